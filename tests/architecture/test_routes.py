"""Every route is looked at before it is served: who may call it, what it is called, how it fails.

Reflection on the real services, because an endpoint without a principal is found by nobody until it is found by
somebody else.
"""

import importlib.util
from typing import Final

import httpx
import pytest
from fastapi.routing import APIRoute
from openapi_spec_validator import validate

from services import assembly
from shared.host import Service, inert_runtime, new_app
from shared.web.app import App
from shared.web.edge import is_public
from shared.web.health import Health
from shared.web.openapi import required_scopes

PRESENT: Final = [name for name in assembly.SERVICES if importlib.util.find_spec(f"services.{name}.service")]
WRITES: Final = {"POST", "PUT", "PATCH", "DELETE"}


def _services() -> list[Service]:
    return [build(inert_runtime(name)) for name, build in assembly.builders(PRESENT).items()]


def _app(services: list[Service]) -> App:
    runtime = inert_runtime("platform")
    return new_app(runtime, services, Health(runtime.clock))


SERVICES: Final = _services()
APP: Final = _app(SERVICES)
ROUTES: Final = list(APP.routes)
GUARDED: Final = [route for route in ROUTES if not is_public(route.path)]
DOCUMENT: Final = APP.openapi()


def _name(route: APIRoute) -> str:
    return f"{'/'.join(sorted(route.methods or ()))} {route.path}"


def _path(route: APIRoute) -> str:
    return route.path.replace("{", "").replace("}", "")


@pytest.mark.parametrize("route", GUARDED, ids=_name)
def test_a_route_asks_who_is_calling(route: APIRoute) -> None:
    assert required_scopes(route) is not None


@pytest.mark.parametrize("route", GUARDED, ids=_name)
async def test_a_route_without_a_key_is_closed(route: APIRoute) -> None:
    transport = httpx.ASGITransport(APP)
    async with httpx.AsyncClient(transport=transport, base_url="http://baton") as client:
        answers = [await client.request(method, _path(route)) for method in sorted(route.methods or ())]

    assert {answer.status_code for answer in answers} == {401}


@pytest.mark.parametrize("route", GUARDED, ids=_name)
def test_a_write_takes_more_than_the_right_to_read(route: APIRoute) -> None:
    scopes = required_scopes(route) or ()
    is_write = bool(WRITES & (route.methods or set()))

    assert not is_write or route.path.endswith(HARMLESS) or not all(scope.endswith(":read") for scope in scopes)


HARMLESS: Final = ("/test", "/backtest", "/shadow", "/preferences", "/presence", "/stream/tickets")
"""Writes that change nothing but what the caller sees."""


@pytest.mark.parametrize("route", GUARDED, ids=_name)
def test_a_route_is_versioned_named_and_typed(route: APIRoute) -> None:
    assert route.path.startswith("/v1/")
    assert route.operation_id
    assert route.tags
    assert "return" in route.endpoint.__annotations__


def test_names_of_operations_are_unique() -> None:
    names = [route.operation_id for route in ROUTES if route.include_in_schema]

    assert sorted({str(name) for name in names}) == sorted(str(name) for name in names)


def test_no_two_routes_share_method_and_path() -> None:
    names = [_name(route) for route in ROUTES]

    assert sorted(set(names)) == sorted(names)


def test_a_mount_hides_no_route() -> None:
    prefixes = [prefix for service in SERVICES for prefix in service.mounts]

    assert [_name(route) for route in ROUTES if route.path.startswith(tuple(prefixes) or ("?",))] == []


def test_behind_every_hook_is_a_mount_that_answers_what_it_does_not_take() -> None:
    hooks = [(service.name, prefix) for service in SERVICES for prefix in service.hooks]

    assert hooks
    assert set(hooks) <= {(service.name, prefix) for service in SERVICES for prefix in service.mounts}


def test_every_mount_is_documented_by_hand() -> None:
    undocumented = [
        prefix
        for service in SERVICES
        for prefix in service.mounts
        if not any(path.startswith(prefix) for path in service.mount_paths)
    ]

    assert undocumented == []


def test_the_document_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_every_operation_says_how_it_fails() -> None:
    silent = [
        f"{method} {path}"
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        if method in {"get", "post", "put", "patch", "delete"} and not any(s >= "400" for s in operation["responses"])
    ]

    assert silent == []


def test_problems_have_one_shape_everywhere() -> None:
    shapes = {
        str(response["content"])
        for item in DOCUMENT["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict)
        for status, response in operation["responses"].items()
        if status >= "400" and "content" in response
    }

    assert shapes == {"{'application/problem+json': {'schema': {'$ref': '#/components/schemas/Problem'}}}"}
