"""Every error as RFC 9457: which problem an exception is, and how OpenAPI declares it."""

import math
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from shared.errors import BadRequest, Invalid, NotFound, Refusal, Retryable, Unavailable
from shared.web.bodies import encode

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "/problems/"


class MethodNotAllowed(Refusal):
    """The path exists, and takes other methods; `Allow` names them."""

    status = 405
    code = "method-not-allowed"
    title = "The path does not take this method"


class Internal(Refusal):
    """A bug: the request id leads to its traceback in the log, and nothing was committed."""

    status = 500
    code = "internal"
    title = "Something went wrong on our side"


class FieldProblem(BaseModel):
    """What is wrong with one part of a request."""

    pointer: str | None = Field(None, description="JSON pointer into the body", examples=["#/text"])
    parameter: str | None = Field(None, description="Query, path or header parameter", examples=["limit"])
    detail: str = Field(examples=["Field required"])


class Problem(BaseModel):
    """A problem document (RFC 9457); problems of one `code` may carry more members."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["/problems/not-found"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    code: str = Field(description="Stable; what programs should look at", examples=["not-found"])
    detail: str = Field(examples=["there is no ticket tkt_1"])
    instance: str = Field(examples=["req_01a2"])
    request_id: str = Field(examples=["req_01a2"])
    errors: list[FieldProblem] | None = None


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declares problem responses of a route: `responses=problems(403, 404)`."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: schema}} for status in statuses}


def refusal_of(error: Exception) -> Refusal | None:
    """The refusal that an exception stands for; None for a bug."""
    match error:
        case Refusal():
            return error
        case Retryable():
            seconds = max(1, math.ceil(error.retry_after or 1))
            return Unavailable("a dependency is away or busy; try again", headers={"Retry-After": str(seconds)})
        case RequestValidationError():
            return _invalid(error)
        case HTTPException():
            return _of_router(error)
        case _:
            return None


def document(refusal: Refusal, *, request_id: str) -> dict[str, Any]:
    """The members of the problem document."""
    return {
        "type": TYPE_PREFIX + refusal.code,
        "title": refusal.title,
        "status": refusal.status,
        "code": refusal.code,
        "detail": refusal.detail,
        "instance": request_id,
        "request_id": request_id,
        **refusal.fields,
    }


def render(error: Exception, *, request_id: str) -> Response:
    """The response for any exception; one that is not expected tells nothing about itself."""
    refusal = refusal_of(error) or Internal(f"the request failed; quote {request_id} when you report it")
    return Response(
        encode(document(refusal, request_id=request_id)),
        status_code=refusal.status,
        headers=refusal.headers,
        media_type=MEDIA_TYPE,
    )


def leaves(root: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    """Every kind of refusal that is loaded."""
    for kind in root.__subclasses__():
        yield kind
        yield from leaves(kind)


def _invalid(error: RequestValidationError) -> Refusal:
    for item in error.errors():
        if item["type"] == "json_invalid":
            return BadRequest(f"the body is not JSON: {item['ctx']['error']} at character {item['loc'][-1]}")
    found = [_field(item["loc"], item["msg"]) for item in error.errors()]
    if all("pointer" in item for item in found):
        return Invalid("the body is not valid", errors=found)
    return BadRequest("a parameter is not valid", errors=found)


def _field(place: Iterable[Any], detail: str) -> dict[str, str]:
    where, *path = (str(part) for part in place)
    if where == "body":
        return {"pointer": pointer(path), "detail": detail}
    return {"parameter": ".".join(path), "detail": detail}


def pointer(path: Iterable[Any]) -> str:
    """A JSON pointer as URI fragment."""
    return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _of_router(error: HTTPException) -> Refusal:
    headers = dict(error.headers or {})
    match error.status_code:
        case 404:
            return NotFound("there is no such path", headers=headers)
        case 405:
            return MethodNotAllowed("the path does not take this method", headers=headers)
        case _:
            return BadRequest(error.detail, headers=headers)
