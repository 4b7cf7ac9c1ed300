"""Every error becomes a problem document, and a bug tells nothing about itself."""

import json
from http import HTTPStatus

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

import shared.web.app  # noqa: F401 - loads every refusal that the face itself knows
from shared.errors import Invalid, Refusal, Retryable, VersionStale
from shared.web import problems
from shared.web.calls import stale

LEAVES = sorted(
    {kind for kind in problems.leaves() if kind.__module__.startswith("shared.")}, key=lambda kind: kind.__qualname__
)


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.code)
def test_every_refusal_is_rendered_with_its_own_status_and_code(kind: type[Refusal]) -> None:
    response = problems.render(kind("because", extra=1), request_id="req_1")

    assert response.status_code == kind.status
    assert response.media_type == "application/problem+json"
    assert json.loads(response.body) == {
        "type": f"/problems/{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "code": kind.code,
        "detail": "because",
        "instance": "req_1",
        "request_id": "req_1",
        "extra": 1,
    }


def test_codes_tell_refusals_apart() -> None:
    codes = [kind.code for kind in LEAVES]

    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.code)
def test_every_refusal_has_a_meaning_that_can_be_looked_up(kind: type[Refusal]) -> None:
    assert kind.__doc__
    assert 400 <= kind.status < 600


def test_a_bug_hides_its_message() -> None:
    response = problems.render(ValueError("password is hunter2"), request_id="req_1")

    assert response.status_code == 500
    assert b"hunter2" not in response.body
    assert json.loads(response.body)["code"] == "internal"


def test_an_away_dependency_says_when_to_come_back() -> None:
    response = problems.render(Retryable("the database is away", retry_after=2.5), request_id="req_1")

    assert response.status_code == 503
    assert response.headers["retry-after"] == "3"
    assert b"database" not in response.body


def test_a_body_error_points_into_the_body() -> None:
    error = RequestValidationError([{"type": "missing", "loc": ("body", "items", 0, "a/b"), "msg": "Field required"}])

    refusal = problems.refusal_of(error)

    assert isinstance(refusal, Invalid)
    assert refusal.fields["errors"] == [{"pointer": "#/items/0/a~1b", "detail": "Field required"}]


def test_a_parameter_error_names_the_parameter() -> None:
    error = RequestValidationError([{"type": "int_parsing", "loc": ("query", "limit"), "msg": "not a number"}])

    refusal = problems.refusal_of(error)

    assert refusal is not None
    assert (refusal.status, refusal.fields["errors"]) == (400, [{"parameter": "limit", "detail": "not a number"}])


def test_broken_json_says_where_it_breaks() -> None:
    error = RequestValidationError(
        [{"type": "json_invalid", "loc": ("body", 7), "msg": "JSON decode error", "ctx": {"error": "Expecting value"}}]
    )

    refusal = problems.refusal_of(error)

    assert refusal is not None
    assert (refusal.status, refusal.detail) == (400, "the body is not JSON: Expecting value at character 7")


@pytest.mark.parametrize(
    ("status", "code"), [(404, "not-found"), (405, "method-not-allowed"), (400, "bad-request"), (418, "bad-request")]
)
def test_what_the_router_says_becomes_a_problem(status: int, code: str) -> None:
    refusal = problems.refusal_of(HTTPException(status, headers={"Allow": "GET"}))

    assert refusal is not None
    assert (refusal.code, refusal.headers) == (code, {"Allow": "GET"})


def test_declared_problems_refer_to_the_one_schema() -> None:
    declared = problems.problems(404, 409)

    assert set(declared) == {404, 409}
    assert declared[404]["description"] == HTTPStatus.NOT_FOUND.phrase
    assert declared[409]["content"] == {
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
    }


def test_a_stale_version_shows_the_current_one_and_who_changed_it() -> None:
    refusal = stale(7, changed_by="agt_1")

    assert isinstance(refusal, VersionStale)
    assert refusal.headers == {"ETag": '"7"'}
    assert refusal.fields == {"current_version": 7, "changed_by": "agt_1"}
