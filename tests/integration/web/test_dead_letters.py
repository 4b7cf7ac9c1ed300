"""Operators see what every service of the process gave up on, in their workspace, and decide what becomes of it."""

import base64
from collections.abc import AsyncIterator

import httpx
import pytest

from shared.db.appending import encode_headers
from shared.db.pool import Database
from shared.db.scope import Owner
from tests.support import api

SCHEMAS = ("demo", "tickets")


async def add_letter(
    database: Database,
    letter: str,
    *,
    schema: str = "demo",
    workspace: str = "w1",
    key: str = "k",
    value: bytes = b"{}",
) -> None:
    async with database.transaction(Owner()) as tx:
        await tx.execute(
            f"INSERT INTO {schema}.dead_letter (id, workspace_id, consumer_group, topic, partition, position, key, "
            "headers, value, error_class, error_message, attempts, first_failed_at) "
            "VALUES ($1, $2, 'group', 'topic', 0, 7, $3, $4, $5, 'ValueError', 'no', 5, now())",
            letter,
            workspace,
            key,
            encode_headers((("ce_id", b"evt_1"),)),
            value,
        )


async def add_parked(database: Database, key: str, *, schema: str = "demo", workspace: str = "w1") -> None:
    async with database.transaction(Owner()) as tx:
        await tx.execute(
            f"INSERT INTO {schema}.parked (consumer_group, key, workspace_id, reason) VALUES ('group', $1, $2, 'no')",
            key,
            workspace,
        )


@pytest.fixture
async def operator(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """A manager's client of a process with two services."""
    await api.new_workspace(database)
    app = api.new_app(database, *(api.Stub(name=name) for name in SCHEMAS))
    async with api.client(app, await api.new_key(database, role="manager")) as client:
        yield client


async def pages(client: httpx.AsyncClient, path: str) -> list[dict[str, object]]:
    found, link = [], f"{path}?limit=2"
    while link:
        answer = await client.get(link)
        found += answer.json()["data"]
        link = answer.links.get("next", {}).get("url", "")
    return found


async def test_letters_of_all_services_are_listed_newest_first(operator: httpx.AsyncClient, database: Database) -> None:
    for number, schema in enumerate(["demo", "tickets", "demo", "tickets", "tickets"]):
        await add_letter(database, f"dlq_{number}", schema=schema)
    await add_letter(database, "dlq_foreign", workspace="w2")

    listed = await pages(operator, "/v1/dead-letters")

    assert [(letter["service"], letter["id"]) for letter in listed] == [
        ("tickets", "dlq_4"),
        ("tickets", "dlq_3"),
        ("demo", "dlq_2"),
        ("tickets", "dlq_1"),
        ("demo", "dlq_0"),
    ]


@pytest.mark.parametrize(("value", "shown"), [(b'{"a":1}', {"a": 1}), (b"\xff\x00", None)])
async def test_a_letter_is_shown_with_its_event_whatever_it_is(
    operator: httpx.AsyncClient, database: Database, value: bytes, shown: object
) -> None:
    await add_letter(database, "dlq_1", schema="tickets", value=value)

    letter = (await operator.get("/v1/dead-letters/dlq_1")).json()

    assert letter["service"] == "tickets"
    assert letter["headers"] == {"ce_id": "evt_1"}
    assert letter["value"] == shown
    assert base64.b64decode(letter["value_base64"]) == value


async def test_a_letter_goes_back_to_its_own_queue_once(operator: httpx.AsyncClient, database: Database) -> None:
    await add_letter(database, "dlq_1", schema="tickets", key="ticket-1")
    key = {"Idempotency-Key": "once"}

    answers = [await operator.post("/v1/dead-letters/dlq_1/redrive", headers=key) for _ in range(2)]
    parked = await pages(operator, "/v1/dead-letters/parked")

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert [(entry["service"], entry["key"], entry["waiting"]) for entry in parked] == [("tickets", "ticket-1", 1)]
    assert (await operator.get("/v1/dead-letters/dlq_1")).status_code == 404
    assert (await operator.post("/v1/dead-letters/dlq_1/redrive")).status_code == 404


async def test_a_letter_is_dropped_for_good(operator: httpx.AsyncClient, database: Database) -> None:
    await add_letter(database, "dlq_1")

    assert (await operator.delete("/v1/dead-letters/dlq_1")).status_code == 204
    assert await pages(operator, "/v1/dead-letters") == []
    assert await pages(operator, "/v1/dead-letters/parked") == []


async def test_parked_keys_are_paged_through_all_services(operator: httpx.AsyncClient, database: Database) -> None:
    for key in ("a", "b", "c"):
        await add_parked(database, key)
        await add_parked(database, f"t-{key}", schema="tickets")
    await add_parked(database, "foreign", workspace="w2")

    listed = await pages(operator, "/v1/dead-letters/parked")

    assert [entry["key"] for entry in listed] == ["a", "b", "c", "t-a", "t-b", "t-c"]


async def test_nothing_of_another_workspace_can_be_touched(operator: httpx.AsyncClient, database: Database) -> None:
    await add_letter(database, "dlq_1", workspace="w2")

    answers = [
        await operator.get("/v1/dead-letters/dlq_1"),
        await operator.post("/v1/dead-letters/dlq_1/redrive"),
        await operator.delete("/v1/dead-letters/dlq_1"),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]


async def test_agents_do_not_see_dead_letters(operator: httpx.AsyncClient, database: Database) -> None:
    token = await api.new_key(database, role="agent")

    assert (await operator.get("/v1/dead-letters", headers={"Authorization": f"Bearer {token}"})).status_code == 403
