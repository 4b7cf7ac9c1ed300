"""The OpenAPI document: what FastAPI knows, plus what the edge does to every request."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from shared.platform.scopes import SCOPES
from shared.web.calls import Requires
from shared.web.edge import TICKET, TICKETED, is_public
from shared.web.problems import Problem, problems

VERSION: Final = "1.0.0"

_DESCRIPTION: Final = (
    "Exactly one person answers. Errors are problem documents (RFC 9457) with a stable `code`; lists use opaque "
    "cursors; writes take `Idempotency-Key`, and those that declare 428 want `If-Match`."
)
_REFERENCE: Final = "#/components/schemas/{model}"
_WRITES: Final = frozenset({"post", "put", "patch", "delete"})
_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same request with the same key is done once; its answer is kept for at least 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "The ETag that was read last.",
    "schema": {"type": "string", "examples": ['"7"']},
}


def document(routes: Sequence[APIRoute], mounted: Mapping[str, Any]) -> dict[str, Any]:
    """The whole document; `mounted` are path items that services wrote by hand for their raw mounts."""
    result: dict[str, Any] = get_openapi(
        title="Baton", version=VERSION, description=_DESCRIPTION, routes=routes, openapi_version="3.1.0"
    )
    for route in routes:
        if route.include_in_schema:
            for method in route.methods or ():
                _complete(result["paths"][route.path_format][method.lower()], route, method.lower())
    result["paths"].update(mounted)
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    for generated in ("HTTPValidationError", "ValidationError"):
        schemas.pop(generated, None)
    problem = Problem.model_json_schema(ref_template=_REFERENCE)
    schemas.update(problem.pop("$defs"))
    schemas["Problem"] = problem
    result["components"]["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key. Scopes: " + "; ".join(f"`{name}`: {text}" for name, text in SCOPES.items()),
        },
        "ticket": {
            "type": "apiKey",
            "in": "query",
            "name": TICKET,
            "description": "A one-time ticket of `POST /v1/stream/tickets`, for clients that can send no header.",
        },
    }
    return result


def required_scopes(route: APIRoute) -> tuple[str, ...] | None:
    """The scopes that a route asks for; None when nothing asks who is calling."""
    for dependency in route.dependant.dependencies:
        if isinstance(dependency.call, Requires):
            return dependency.call.scopes
    return None


def _complete(operation: dict[str, Any], route: APIRoute, method: str) -> None:
    responses = operation["responses"]
    declared = {int(status) for status in route.responses}
    # FastAPI's own 422 describes a body that is never sent.
    responses.pop("422", None)
    added = {400, 500} | ({413, 422} if "requestBody" in operation else set())
    if not is_public(route.path):
        added |= {401, 403, 429, 503}
        scopes = required_scopes(route) or ()
        operation["security"] = [{"key": []}, *([{"ticket": []}] if route.path in TICKETED else [])]
        operation["x-required-scopes"] = list(scopes)
        if method in _WRITES:
            # The same Idempotency-Key at once, or with another request.
            added |= {409, 422}
            operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
        if 428 in declared:
            operation.setdefault("parameters", []).append(_IF_MATCH)
    responses.update(
        {
            str(status): response
            for status, response in problems(*sorted(declared | added)).items()
            if status in added or int(status) >= 400
        }
    )
    operation["responses"] = dict(sorted(responses.items()))
