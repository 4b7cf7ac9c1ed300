"""A ruleset that changes all the time while messages come, and routers that leave and join: each message once."""

from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from services.router.handlers import deciding
from services.router.handlers.deciding import Router
from shared.db.appending import decode_headers
from shared.db.scope import Batch, Scan, Workspace
from shared.events import envelope
from shared.events.catalogue import ROUTING
from shared.log.postgres import PostgresLog
from tests.support import api, past
from tests.support.consuming import QUICK, consume, consuming
from tests.support.messages import message, received
from tests.support.postgres import open_database
from tests.support.waiting import answer

W = "w1"
CHANGES, PER_CHANGE, CUSTOMERS, ROUTERS = 100, 4, 8, 3
VERSIONS = [
    {"name": f"rule {number}", "when": {"network": "facebook"}, "then": {"team": "care", "tags": [f"by {number}"]}}
    for number in range(2, CHANGES + 2)
]
"""The preset is version 1; a tag tells which one decided, whatever the decision says."""


@asynccontextmanager
async def router(dsn):
    """One of several, with a database and a log of its own."""
    async with open_database(dsn, size=8) as database, PostgresLog.open(database, pace=QUICK) as log:
        what = consume(Router().on_messages, group="router", schema="router", max_records=20)
        async with consuming(database, log, what):
            yield


async def change(database, number):
    """Every tenth change takes back the one before; the version that is in force now."""
    async with database.transaction(Workspace(W), schema="router") as tx:
        if number % 10 == 9:
            return (await deciding.rollback(tx, W, author="agt_1")).version
        return (await deciding.activate(tx, W, number + 2, author="agt_1")).version


async def come(database, events):
    async with database.transaction(Batch(frozenset({W})), schema="ingest") as tx:
        for event in events:
            tx.emit(event.data, key=event.key, event_id=event.id)


def said(number):
    return received(message(f"m{number}", workspace=W, author=f"c{number % CUSTOMERS}", text=f"Hello {number}"))


async def routed(database):
    async with database.transaction(Scan()) as tx:
        rows = await tx.fetch("SELECT headers, value FROM log.event WHERE topic = $1 ORDER BY id", ROUTING)
    return [envelope.decode(decode_headers(row["headers"]), row["value"]).data for row in rows]


async def has_decided(database, events):
    ids = [event.id for event in events]
    [row] = await past.own(database, "SELECT count(*) AS count FROM router.decision WHERE event_id = ANY($1)", ids)
    return row["count"] == len(ids)


async def test_every_message_is_decided_once_and_by_one_version_that_was_in_force_when_it_came(dsn, database):
    await api.new_workspace(database, W)
    for rule in VERSIONS:
        await past.keep(database, rule)
    in_force, sent = [], []
    async with AsyncExitStack() as running:
        leaving = await running.enter_async_context(AsyncExitStack())
        await leaving.enter_async_context(router(dsn))
        for _ in range(ROUTERS - 1):
            await running.enter_async_context(router(dsn))
        for number in range(CHANGES):
            in_force.append(await change(database, number))
            sent += [said(len(sent) + place) for place in range(PER_CHANGE)]
            await come(database, sent[-PER_CHANGE:])
            if number == CHANGES // 2:
                await leaving.aclose()
                await running.enter_async_context(router(dsn))
            if number % 10 == 0:
                # So that changes come between messages that were decided and messages that were not.
                await answer(partial(has_decided, database, sent[:-PER_CHANGE]))
        # The whole topic comes once more; behind it something new, so that its end is seen.
        last = [said(len(sent) + place) for place in range(CUSTOMERS)]
        await come(database, [*sent, *last])
        await answer(partial(has_decided, database, last))
    passed = await routed(database)
    assert Counter(one.event_id for one in passed) == Counter(event.id for event in (*sent, *last))
    kept = await past.own(database, "SELECT event_id, id, ruleset_version FROM router.decision")
    assert {(row["event_id"], row["id"], row["ruleset_version"]) for row in kept} == {
        (one.event_id, one.decision.id, one.decision.ruleset_version) for one in passed
    }
    assert [one.decision.tags for one in passed] == [(f"by {one.decision.ruleset_version}",) for one in passed]
    came_under = {event.id: place // PER_CHANGE for place, event in enumerate(sent)}
    until = {version: place for place, version in enumerate(in_force)}
    late = [one for one in passed if until[one.decision.ruleset_version] < came_under.get(one.event_id, CHANGES - 1)]
    assert late == []
    assert len({one.decision.ruleset_version for one in passed}) >= CHANGES // 10
