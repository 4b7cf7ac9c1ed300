"""Versions, lists, limits and headers, as a client meets them."""

import asyncio

import httpx
import pytest
from fastapi import APIRouter

from shared.db.pool import Database
from shared.errors import Retryable
from shared.settings import KernelSettings
from shared.telemetry import traces
from shared.web.health import Health
from shared.web.settings import WebSettings
from tests.support import api, teams_api

DRAFT = {"id": "care", "name": "Care"}


async def test_a_write_needs_the_version_it_builds_on(http: httpx.AsyncClient) -> None:
    answer = await http.patch("/v1/teams/care", json=DRAFT)

    assert (answer.status_code, answer.json()["code"]) == (428, "version-required")


@pytest.mark.parametrize("tag", ['"1', "1", 'W/"1"', "*", '"a"', '""', '"1", "2"', '"²"', '"' + "9" * 30 + '"'])
async def test_a_version_that_is_none_is_refused(http: httpx.AsyncClient, tag: str) -> None:
    answer = await http.patch("/v1/teams/care", json=DRAFT, headers={"If-Match": tag.encode("latin-1")})

    assert answer.status_code == 400


async def test_of_two_writers_on_one_version_the_second_is_told_who_was_first(http: httpx.AsyncClient) -> None:
    first = await http.patch("/v1/teams/care", json=DRAFT, headers={"If-Match": '"1"'})
    second = await http.patch("/v1/teams/care", json={**DRAFT, "name": "Mine"}, headers={"If-Match": '"1"'})

    assert (first.status_code, first.headers["etag"]) == (200, '"2"')
    assert (second.status_code, second.headers["etag"]) == (412, '"2"')
    assert second.json()["current_version"] == 2
    assert second.json()["changed_by"] == "agt_other"


async def test_a_version_that_the_client_has_is_not_sent_again(http: httpx.AsyncClient) -> None:
    known = await http.get("/v1/teams/care", headers={"If-None-Match": 'W/"0", "1"'})
    unknown = await http.get("/v1/teams/care", headers={"If-None-Match": '"2"'})

    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", '"1"')
    assert unknown.status_code == 200


async def test_pages_follow_each_other_without_gaps_or_repeats(http: httpx.AsyncClient) -> None:
    first = await http.get("/v1/teams?limit=2")
    second = await http.get(first.links["next"]["url"])

    assert [team["id"] for team in first.json()["data"]] == ["care", "community"]
    assert [team["id"] for team in second.json()["data"]] == ["product"]
    assert second.json()["next_cursor"] is None
    assert "link" not in second.headers


@pytest.mark.parametrize("query", ["cursor=abc", "limit=0", "limit=201", "limit=x", "team=care", "limit=1&Limit=2"])
async def test_a_query_that_means_nothing_is_refused(http: httpx.AsyncClient, query: str) -> None:
    answer = await http.get(f"/v1/teams?{query}")

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "status", "pointers"),
    [
        (b"{", 400, None),
        (b"\xff\xfe", 400, None),
        (b"[" * 40 + b"]" * 40, 400, None),
        (b"", 422, ["#"]),
        (b"[]", 422, ["#"]),
        (b'{"id":"x"}', 422, ["#/name"]),
        (b'{"id":"X","name":1,"y":2}', 422, ["#/id", "#/name", "#/y"]),
    ],
)
async def test_a_body_that_does_not_fit_says_where(
    http: httpx.AsyncClient, body: bytes, status: int, pointers: list[str] | None
) -> None:
    answer = await http.post("/v1/teams", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == status
    assert [error["pointer"] for error in answer.json().get("errors", [])] == (pointers or [])


async def test_a_body_that_is_too_large_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/teams", json={"id": "x", "name": "x" * 300_000})

    assert (answer.status_code, answer.json()["limit"]) == (413, 262_144)


async def test_a_key_that_calls_too_often_is_slowed_down_and_others_are_not(database: Database) -> None:
    await api.new_workspace(database)
    app = api.new_app(database, teams_api.service(), web=WebSettings(api_rate=0.001, api_burst=1))
    async with api.client(app, await api.new_key(database)) as http:
        answers = [await http.get("/v1/teams") for _ in range(2)]
        other = await http.get("/v1/teams", headers={"Authorization": f"Bearer {await api.new_key(database)}"})

    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[0].headers["ratelimit"] == '"key-per-process";r=0;t=1000'
    assert int(answers[1].headers["retry-after"]) > 900
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("DELETE", "/v1/teams", 405),
        ("GET", "/v1/teams/none", 404),
        ("GET", "/v1/teams", 200),
    ],
)
async def test_every_answer_is_guarded_and_can_be_traced(
    http: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await http.request(method, path, headers={"X-Request-Id": "my-request-1"})

    assert answer.status_code == status
    assert {name: answer.headers[name] for name in ("x-request-id", "x-content-type-options", "cache-control")} == {
        "x-request-id": "my-request-1",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }


async def test_a_request_id_that_could_break_a_log_line_is_replaced(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/nothing", headers={"X-Request-Id": "a\tb{evil}"})

    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_the_callers_trace_goes_on(database: Database) -> None:
    seen: list[str] = []
    router = APIRouter()

    @router.get("/v1/trace", operation_id="trace")
    async def trace(call: api.Anyone) -> None:
        async with call.transaction() as tx:
            seen.append(tx.traceparent or "")
        current = traces.current()
        seen.append(current.traceparent if current else "")

    await api.new_workspace(database)
    async with api.client(api.new_app(database, api.Stub(router=router)), await api.new_key(database)) as http:
        await http.get("/v1/trace", headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})

    assert seen[0] == seen[1]
    assert seen[0].startswith(f"00-{'a' * 32}-")
    assert "b" * 16 not in seen[0]


async def test_probes_need_no_key_and_readiness_names_what_is_missing(database: Database) -> None:
    async def away() -> str | None:
        raise Retryable("refused by 10.0.0.1")

    app = api.new_app(database, health=Health(database.clock, {"database": away}))
    async with api.client(app) as http:
        live, ready, metrics = await http.get("/livez"), await http.get("/readyz"), await http.get("/metrics")

    assert live.json() == {"status": "live"}
    assert (ready.status_code, ready.json()["waiting_for"]) == (503, {"database": "does not answer"})
    assert 'baton_http_requests_total{method="GET",route="/readyz",status="503"} 1.0' in metrics.text


@pytest.mark.parametrize(
    ("address", "web", "status"),
    [
        ("10.0.0.1", WebSettings(), 403),
        ("10.0.0.1", WebSettings(metrics_public=True), 200),
        ("::1", WebSettings(), 200),
    ],
)
async def test_metrics_are_for_loopback_unless_opened(
    database: Database, address: str, web: WebSettings, status: int
) -> None:
    app = api.new_app(database, web=web)
    transport = httpx.ASGITransport(app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://baton") as http:
        assert (await http.get("/metrics")).status_code == status


async def test_every_problem_can_be_looked_up(http: httpx.AsyncClient) -> None:
    problem = (await http.get("/v1/teams/none")).json()

    meaning = await http.get(problem["type"])

    assert meaning.json()["code"] == "not-found"
    assert meaning.json() in (await http.get("/problems")).json()["data"]
    assert (await http.get("/problems/none")).status_code == 404


async def test_a_mount_never_meets_the_api_and_its_failures_are_problems(database: Database) -> None:
    async def mount(scope: dict[str, object], _receive: object, _send: object) -> None:
        raise ValueError(f"hunter2 {scope['path']}")

    app = api.new_app(database, api.Stub(mounts={"/webhooks/": mount}), settings=KernelSettings())
    async with api.client(app) as http:
        answer = await http.post("/webhooks/x/y", content=b"z" * 10)

    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "hunter2" not in answer.text


async def test_requests_side_by_side_do_not_mix(database: Database) -> None:
    tokens = {}
    for workspace in ("w1", "w2", "w3"):
        await api.new_workspace(database, workspace)
        tokens[workspace] = await api.new_key(database, workspace)
    app = api.new_app(database, teams_api.service())
    async with api.client(app) as http, asyncio.TaskGroup() as group:
        for workspace, token in tokens.items():
            for number in range(5):
                group.create_task(
                    http.post(
                        "/v1/teams",
                        json={"id": f"t-{'x' * number}", "name": workspace},
                        headers={"Authorization": f"Bearer {token}"},
                    )
                )
    async with api.client(app) as http:
        for workspace, token in tokens.items():
            listed = await http.get("/v1/teams", headers={"Authorization": f"Bearer {token}"})
            assert {team["name"] for team in listed.json()["data"] if team["id"].startswith("t-")} == {workspace}
