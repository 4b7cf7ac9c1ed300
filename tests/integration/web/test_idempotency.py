"""The same request with the same key is done once, and answered alike as long as the key lives."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from shared.db.pool import Database
from shared.db.scope import Owner
from shared.web import idempotency
from tests.integration.web.conftest import Effects
from tests.support import api, teams_api

KEY = {"Idempotency-Key": "k-1"}
DRAFT = {"id": "vip", "name": "VIP"}


async def test_the_second_answer_is_the_first_one(http: httpx.AsyncClient, effects: Effects) -> None:
    first = await http.post("/v1/teams", json=DRAFT, headers=KEY)
    second = await http.post("/v1/teams", json=DRAFT, headers=KEY)

    assert (first.status_code, first.json()["id"]) == (201, "vip")
    assert (second.status_code, second.content) == (201, first.content)
    assert {name: second.headers[name] for name in ("etag", "location", "content-type")} == {
        "etag": '"1"',
        "location": "/v1/teams/vip",
        "content-type": "application/json",
    }
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert await effects.names() == ["VIP"]


async def test_what_an_answer_tells_is_not_in_the_database(http: httpx.AsyncClient, database: Database) -> None:
    await http.post("/v1/teams", json={"id": "vip", "name": "canary-8731"}, headers=KEY)

    async with database.transaction(Owner()) as tx:
        kept: bytes = await tx.fetchval("SELECT body FROM demo.idempotency")
    assert len(kept) > len("canary")
    assert b"canary" not in kept


async def test_an_empty_answer_is_kept_too(http: httpx.AsyncClient, effects: Effects) -> None:
    answers = [await http.delete("/v1/teams/product", headers=KEY) for _ in range(2)]

    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b""), (204, b"")]
    assert await effects.names() == ["product"]


async def test_another_payload_under_the_same_key_is_refused(http: httpx.AsyncClient, effects: Effects) -> None:
    await http.post("/v1/teams", json=DRAFT, headers=KEY)

    answer = await http.post("/v1/teams", json={**DRAFT, "name": "Other"}, headers=KEY)

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-key-reused")
    assert await effects.names() == ["VIP"]


async def test_another_object_under_the_same_key_is_refused(http: httpx.AsyncClient) -> None:
    await http.delete("/v1/teams/product", headers=KEY)

    assert (await http.delete("/v1/teams/care", headers=KEY)).status_code == 422


async def test_keys_of_other_routes_principals_and_workspaces_do_not_meet(
    http: httpx.AsyncClient, database: Database, effects: Effects
) -> None:
    await api.new_workspace(database, "w2")
    others = [await api.new_key(database), await api.new_key(database, "w2")]
    await http.post("/v1/teams", json={**DRAFT, "name": "taken"}, headers=KEY)
    await http.delete("/v1/teams/product", headers=KEY)

    for token in others:
        await http.post(
            "/v1/teams", json={**DRAFT, "name": "taken"}, headers={**KEY, "Authorization": f"Bearer {token}"}
        )

    assert await effects.names() == ["taken", "product", "taken", "taken"]


async def test_a_concurrent_duplicate_is_told_to_wait(database: Database, effects: Effects) -> None:
    await api.new_workspace(database)
    gate = teams_api.Gate(closed=True)
    app = api.new_app(database, teams_api.service(gate))
    async with api.client(app, await api.new_key(database)) as http, asyncio.TaskGroup() as group:
        first = group.create_task(http.post("/v1/teams", json=DRAFT, headers=KEY))
        await gate.reached.wait()

        during = await http.post("/v1/teams", json=DRAFT, headers=KEY)
        gate.opened.set()
        done = await first
        after = await http.post("/v1/teams", json=DRAFT, headers=KEY)

    assert (during.status_code, during.json()["code"]) == (409, "request-in-progress")
    assert during.headers["retry-after"] == "1"
    assert done.status_code == 201
    assert after.content == done.content
    assert await effects.names() == ["VIP"]


async def test_a_storm_of_duplicates_is_done_once(http: httpx.AsyncClient, effects: Effects) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(http.post("/v1/teams", json=DRAFT, headers=KEY)) for _ in range(12)]

    assert {task.result().status_code for task in tasks} <= {201, 409}
    assert await effects.names() == ["VIP"]


async def test_a_refusal_is_kept_and_its_effects_are_not(http: httpx.AsyncClient, effects: Effects) -> None:
    draft = {"id": "care", "name": "Again"}
    first = await http.post("/v1/teams", json=draft, headers=KEY)
    await http.delete("/v1/teams/care")
    second = await http.post("/v1/teams", json=draft, headers=KEY)

    assert (first.status_code, second.status_code) == (409, 409)
    assert second.content == first.content
    assert second.headers["content-type"] == "application/problem+json"
    assert await effects.names() == ["care"]


async def test_a_refusal_that_keeps_its_effects_is_committed_with_them(
    http: httpx.AsyncClient, effects: Effects
) -> None:
    draft = {"id": "x", "name": "taken"}
    answers = [await http.post("/v1/teams", json=draft, headers=KEY) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [409, 409]
    assert answers[1].json() == answers[0].json()
    assert answers[0].json()["wish"] == "taken"
    assert await effects.names() == ["taken"]


async def test_effects_are_kept_without_an_idempotency_key_too(http: httpx.AsyncClient, effects: Effects) -> None:
    answer = await http.post("/v1/teams", json={"id": "x", "name": "taken"})

    assert answer.json()["code"] == "name-taken"
    assert await effects.names() == ["taken"]


async def test_any_other_refusal_undoes_what_was_written(http: httpx.AsyncClient, effects: Effects) -> None:
    answer = await http.post("/v1/teams", json={"id": "care", "name": "Again"})

    assert answer.status_code == 409
    assert await effects.names() == []


@pytest.mark.parametrize(("how", "status"), [("away", 503), ("bug", 500)])
async def test_a_failure_is_never_kept(http: httpx.AsyncClient, effects: Effects, how: str, status: int) -> None:
    answer = await http.post(f"/v1/broken/{how}", headers=KEY)

    assert answer.status_code == status
    assert "10.0.0.1" not in answer.text
    assert "hunter2" not in answer.text
    assert (await effects.names(), await effects.stored()) == ([], 0)


async def test_a_stale_version_is_not_answered_for_a_fresh_one(http: httpx.AsyncClient) -> None:
    draft = {"id": "care", "name": "Care"}
    stale = await http.patch("/v1/teams/care", json=draft, headers={**KEY, "If-Match": '"9"'})

    fresh = await http.patch("/v1/teams/care", json=draft, headers={**KEY, "If-Match": '"1"'})

    assert (stale.status_code, fresh.status_code) == (412, 422)


@pytest.mark.parametrize("key", ["", "a b", "ü", "x" * 256])
async def test_a_key_must_be_short_and_visible(http: httpx.AsyncClient, key: str) -> None:
    answer = await http.post("/v1/teams", json=DRAFT, headers={"Idempotency-Key": key.encode("latin-1")})

    assert answer.status_code == 400


async def test_old_answers_are_forgotten_in_every_workspace(
    http: httpx.AsyncClient, database: Database, effects: Effects
) -> None:
    await api.new_workspace(database, "w2")
    await http.post("/v1/teams", json=DRAFT, headers=KEY)
    await http.post("/v1/teams", json={"id": "young", "name": "Y"}, headers={"Idempotency-Key": "k-2"})
    async with database.transaction(Owner()) as tx:
        await tx.execute("UPDATE demo.idempotency SET created_at = now() - interval '49 hours' WHERE key = 'k-1'")
        await tx.execute(
            "INSERT INTO demo.idempotency (workspace_id, principal, route, key, fingerprint, status, headers, body, "
            "created_at) VALUES ('w2', 'p', 'r', 'k', '', 200, '{}', '', now() - interval '49 hours')"
        )

    assert await idempotency.purge(database, "demo") == 2
    assert await effects.stored() == 1
    assert await idempotency.purge(database, "demo", older_than=timedelta(hours=24)) == 0
