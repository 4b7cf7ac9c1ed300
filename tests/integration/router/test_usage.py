"""What each rule did is counted with the decisions, once, and tells which rules nobody needs."""

import asyncio

import pytest

from services.router.handlers.deciding import Router
from services.router.handlers.shadows import Shadows
from services.router.store import rule_counts
from shared.db.scope import Batch
from tests.support import api, past
from tests.support.messages import message, received
from tests.support.past import REFUNDS

TAGGER = {"name": "loud", "when": {"text": "lovely"}, "then": {"tags": ["loud"]}}
NEVER = {"name": "never", "when": {"text": "zeppelin"}, "then": {"team": "care"}}
OFF = {"name": "off", "when": {"text": "refund"}, "then": {"team": "care"}, "enabled": False}


@pytest.fixture
async def ready(database):
    await api.new_workspace(database)
    await past.activate(database, await past.keep(database, REFUNDS, TAGGER, NEVER, OFF))
    return database


async def listed(database, version=2, workspace="w1", **query):
    token = await api.new_key(database, workspace)
    async with api.client(api.new_app(database, past.router(past.runtime(database))), token) as client:
        answer = await client.get(f"/v1/rulesets/{version}/rules", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


async def test_each_rule_tells_what_it_decided_and_what_it_added_to(ready):
    await past.decide(ready, ["refund", "lovely refund", "Lovely"])
    rows = (await listed(ready))["data"]
    assert [(row["rule"], row["decided"], row["added"], row["idle"]) for row in rows] == [
        ("refunds", 2, 0, False),
        ("loud", 0, 2, False),
        ("never", 0, 0, True),
        ("off", 0, 0, False),
        ("fallback", 1, 0, False),
    ]
    assert [row["first_at"] is None for row in rows] == [False, False, True, True, False]


async def test_what_is_delivered_twice_is_counted_once(ready):
    for _ in range(2):
        await past.decide(ready, ["refund"])
    [row] = [row for row in (await listed(ready))["data"] if row["rule"] == "refunds"]
    assert (row["decided"], row["first_at"]) == (1, row["last_at"])


async def test_versions_are_counted_apart_and_keep_their_counts(ready):
    await past.decide(ready, ["refund"])
    await past.activate(ready, 1)
    await past.decide(ready, [message("later", workspace="w1", text="refund")])
    assert (await listed(ready))["data"][0]["decided"] == 1
    assert {row["rule"]: row["decided"] for row in (await listed(ready, 1))["data"]}["complaints"] == 1


async def test_a_rule_is_idle_when_it_has_not_held_for_so_many_days(ready):
    await past.decide(ready, ["refund", "Lovely"])
    await past.own(
        ready,
        "UPDATE router.rule_count SET first_at = now() - interval '40 days', last_at = now() - interval '20 days' "
        "WHERE rule = 'refunds' RETURNING 1",
    )
    idle = [[row["rule"] for row in (await listed(ready, days=days, idle=True))["data"]] for days in (30, 10)]
    assert idle == [["never"], ["refunds", "never"]]
    assert "never" not in [row["rule"] for row in (await listed(ready, idle=False))["data"]]


async def test_the_list_has_pages(ready):
    first = await listed(ready, limit=2)
    rest = await listed(ready, limit=50, cursor=first["next_cursor"])
    assert [row["rule"] for row in (*first["data"], *rest["data"])] == ["refunds", "loud", "never", "off", "fallback"]


async def test_workspaces_are_counted_apart_in_one_batch(ready):
    await api.new_workspace(ready, "w2")
    events = [
        received(message("m1", workspace=workspace, channel=workspace, text="refund")) for workspace in ("w1", "w2")
    ]
    async with ready.transaction(Batch(frozenset({"w1", "w2"})), schema="router") as tx:
        await Router().on_messages(tx, events)
    assert (await listed(ready))["data"][0]["decided"] == 1
    others = {row["rule"]: row["decided"] for row in (await listed(ready, 1, "w2"))["data"]}
    assert (others["complaints"], sum(others.values())) == (1, 1)


async def test_two_processes_count_without_waiting_for_each_other_and_add_up(ready):
    routers = [Router(Shadows(writer)) for writer in (1, 2)]
    gate = asyncio.Barrier(2)

    async def work(number, router):
        # Only whoever meets the same new author waits, to learn who saw him first.
        event = received(message(f"of {number}", workspace="w1", author=f"c{number}", text="refund"))
        async with ready.transaction(Batch(frozenset({"w1"})), schema="router") as tx:
            await router.on_messages(tx, [event])
            await tx.flush()
            # Both have written, neither has committed: with rows in common this could never be.
            async with asyncio.timeout(10):
                await gate.wait()

    async with asyncio.TaskGroup() as group:
        for number, router in enumerate(routers):
            group.create_task(work(number, router))
    assert (await listed(ready))["data"][0]["decided"] == 2
    assert len(await past.own(ready, "SELECT 1 FROM router.rule_count WHERE rule = 'refunds'")) == 2


def test_there_are_so_many_writers_however_often_processes_start():
    writers = {rule_counts.writer_of(f"rtr_{number}") for number in range(2_000)}
    assert writers == set(range(rule_counts.WRITERS))
