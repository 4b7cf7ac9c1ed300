"""The index finds what a linear search would."""

import pytest
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Message, Scope

from shared.web.routing import Index


async def endpoint(_: object) -> Response:
    return Response("found")


def route(path: str, *methods: str) -> Route:
    return Route(path, endpoint, methods=list(methods))


ROUTES = [
    route("/v1/tickets", "GET"),
    route("/v1/tickets/bulk", "POST"),
    route("/v1/tickets/{id}", "GET"),
    route("/v1/tickets/{id}", "PATCH"),
    route("/v1/tickets/{id}/claim", "POST"),
    route("/v1/teams", "GET"),
    route("/livez", "GET"),
    route("/{anything}/here", "GET"),
]


def scope(method: str, path: str) -> Scope:
    return {"type": "http", "method": method, "path": path, "root_path": ""}


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", "/v1/tickets", 0),
        ("POST", "/v1/tickets/bulk", 1),
        ("GET", "/v1/tickets/t1", 2),
        ("PATCH", "/v1/tickets/t1", 3),
        ("POST", "/v1/tickets/t1/claim", 4),
        ("GET", "/v1/teams", 5),
        ("GET", "/livez", 6),
        ("GET", "/v9/here", 7),
    ],
)
def test_the_first_route_that_fits_is_found(method: str, path: str, found: int) -> None:
    match, child = Index(ROUTES).matches(scope(method, path))

    assert match is Match.FULL
    assert child["route"] is ROUTES[found]


@pytest.mark.parametrize("path", ["/", "", "/v1", "/v1/nothing", "/v1/tickets/", "/v1/tickets/a/b/c", "/livez/x"])
def test_a_path_that_nothing_takes_is_not_found(path: str) -> None:
    assert Index(ROUTES).matches(scope("GET", path)) == (Match.NONE, {})


async def test_a_method_that_the_path_does_not_take_is_told_which_it_takes() -> None:
    index = Index(ROUTES)
    request = scope("DELETE", "/v1/tickets/t1")
    match, child = index.matches(request)
    request.update(child)

    async def unused(*_: Message) -> Message:
        raise AssertionError

    assert match is Match.PARTIAL
    with pytest.raises(HTTPException) as refused:
        await index.handle(request, unused, unused)
    assert (refused.value.status_code, refused.value.headers) == (405, {"Allow": "GET, HEAD, PATCH"})
