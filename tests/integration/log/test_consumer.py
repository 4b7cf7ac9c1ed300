"""A consumer gives every event its effects once, in the order of its key, whatever fails around it."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import pytest

from shared import failpoints
from shared.db.pool import Database
from shared.db.scope import Owner
from shared.db.transaction import Transaction
from shared.errors import Rejected, Retryable
from shared.events.catalogue import TICKETS
from shared.events.envelope import Encoded, Event
from shared.log.consumer import Beforehand, Consumer
from shared.log.port import Log
from shared.telemetry.metrics import Metrics
from tests.support.consuming import (
    DEAD,
    PARKED,
    Diary,
    consume,
    consuming,
    lag,
    rows,
    say,
    seen,
    until_seen,
)
from tests.support.postgres import IS_LAZY, cut_connections
from tests.support.waiting import answer, eventually

# -- what a handler may rely on ---------------------------------------------------------------------------------


async def test_events_are_handled_once_and_in_order_over_restarts(database: Database, log: Log, diary: Diary) -> None:
    for start in (0, 30, 60):
        await say(database, "k", *(f"{n:02}" for n in range(start, start + 30)))
        async with consuming(database, log, consume(diary, max_records=7)):
            await until_seen(database, start + 30)
    assert await seen(database) == [f"{n:02}" for n in range(90)]
    assert await lag(log) == 0


async def test_one_batch_holds_events_of_several_workspaces(database: Database, log: Log, diary: Diary) -> None:
    await say(database, "a", "one", workspace="w1")
    await say(database, "b", "two", workspace="w2")
    async with consuming(database, log, consume(diary)):
        await until_seen(database, 2)
    assert await rows(database, "SELECT name FROM demo.seen", workspaces=["w2"]) == [("two",)]


async def test_events_of_a_handler_are_published_with_its_effects(database: Database, log: Log) -> None:
    async def pass_on(tx: Transaction, events: Sequence[Event]) -> None:
        for event in events:
            tx.append(Encoded(topic=TICKETS, key=event.key, workspace_id="w1", headers=(), value=b"on"))
        await tx.flush()

    await say(database, "k", "one", "two")
    async with consuming(database, log, consume(pass_on)), log.subscribe("after", [TICKETS]) as after:
        records = []
        while len(records) < 2:
            records += (await after.fetch(max_records=10, max_wait=consume(pass_on).max_wait)).records
    assert [record.value for record in records] == [b"on", b"on"]


async def test_the_transaction_carries_the_trace_of_its_events(database: Database, log: Log, diary: Diary) -> None:
    traces = {name: f"00-{n:032x}-{n:016x}-01" for n, name in enumerate(("one", "bad", "two"), 1)}
    diary.faults = {"bad": ValueError("bug")}
    for name, trace in traces.items():
        await say(database, name, name, traceparent=trace)
    async with consuming(database, log, consume(diary)):
        await until_seen(database, 2)
    assert diary.traces == [traces[names[0]] for names in diary.calls]


@pytest.mark.parametrize("is_outward", [False, True])
async def test_only_what_is_told_outside_waits_for_the_disk(
    database: Database, log: Log, diary: Diary, *, is_outward: bool
) -> None:
    found: list[bool] = []

    async def handle(tx: Transaction, events: Sequence[Event]) -> None:
        found.append(await tx.fetchval(IS_LAZY))
        await diary(tx, events)

    await say(database, "k", "one")
    async with consuming(database, log, consume(handle, is_outward=is_outward)):
        await until_seen(database, 1)
    assert found == [not is_outward]


async def test_what_a_handler_asks_beforehand_is_asked_outside_of_any_transaction(
    database: Database, log: Log, diary: Diary
) -> None:
    asked: list[list[tuple[str]]] = []

    async def ask() -> None:
        async with database.transaction(Owner()) as tx:
            open_ones = await tx.fetch(
                "SELECT query FROM pg_stat_activity WHERE datname = current_database()"
                " AND state LIKE 'idle in transaction%' AND query LIKE 'INSERT INTO demo.seen%'"
            )
        asked.append([tuple(row) for row in open_ones])

    async def handle(tx: Transaction, events: Sequence[Event]) -> None:
        await diary(tx, events)
        if len(asked) < 2:
            raise Beforehand(ask)

    await say(database, "k", "one", "two")
    async with consuming(database, log, consume(handle)):
        await until_seen(database, 2)
    assert asked == [[], []]
    assert await seen(database) == ["one", "two"]


async def test_a_parked_key_may_ask_beforehand_as_well(database: Database, log: Log, diary: Diary) -> None:
    asked: list[str] = []

    async def ask() -> None:
        asked.append("asked")

    async def handle(tx: Transaction, events: Sequence[Event]) -> None:
        await diary(tx, events)
        if not diary.faults and not asked:
            raise Beforehand(ask)

    diary.faults = {"bad": ValueError("bug")}
    await say(database, "k", "bad", "two")
    async with consuming(database, log, consume(handle)):
        await answer(lambda: rows(database, PARKED))
        diary.faults = {}
        assert await until_seen(database, 2) == ["bad", "two"]
    assert asked == ["asked"]


# -- dependencies that are away ---------------------------------------------------------------------------------


async def test_a_batch_waits_in_place_while_a_dependency_is_away(database: Database, log: Log, diary: Diary) -> None:
    diary.faults = {"two": Retryable("away")}
    await say(database, "k", "one", "two", "three")
    async with consuming(database, log, consume(diary)):
        await eventually(lambda: len(diary.calls) >= 3)
        assert await seen(database) == []
        assert await rows(database, PARKED) == []
        diary.faults.clear()
        assert await until_seen(database, 3) == ["one", "two", "three"]


async def test_what_is_away_for_one_key_only_does_not_hold_up_the_others_for_long(
    database: Database, log: Log, diary: Diary
) -> None:
    diary.faults = {"slow": Retryable("a lock that never comes free")}
    await say(database, "a", "slow")
    await say(database, "b", "other")
    async with consuming(database, log, consume(diary, stuck_after=2)):
        assert await until_seen(database, 1) == ["other"]
        assert [key for key, _, _ in await rows(database, PARKED)] == ["a"]
    assert await rows(database, DEAD) == []


async def test_consumption_goes_on_after_all_connections_were_lost(database: Database, log: Log, diary: Diary) -> None:
    await say(database, "k", "one")
    async with consuming(database, log, consume(diary)):
        await until_seen(database, 1)
        cut_connections(database)
        await answer(lambda: _said(database, "two"))
        await until_seen(database, 2)
    found = await seen(database)
    assert (found[0], found[-1]) == ("one", "two")


async def _said(database: Database, name: str) -> bool:
    """False while a lost connection is still in the pool."""
    with suppress(Retryable):
        await say(database, "k", name)
        return True
    return False


# -- ends -------------------------------------------------------------------------------------------------------


async def test_cancelling_at_any_moment_loses_and_doubles_nothing(database: Database, log: Log, diary: Diary) -> None:
    chance = random.Random(11)
    names = [f"{n:03}" for n in range(120)]
    for name in names:
        await say(database, f"key-{int(name) % 5}", name)
    diary.faults = {"013": ValueError("bug"), "057": Rejected("never")}
    what = consume(diary, max_records=5, tries=1000)
    for _ in range(25):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(Consumer(database, log, what, metrics=Metrics()).run())
            await asyncio.sleep(chance.uniform(0.005, 0.06))
            task.cancel()
    diary.faults.pop("013")
    async with consuming(database, log, what):
        found = await until_seen(database, 119)
    assert sorted(found) == [name for name in names if name != "057"]
    for number in range(5):
        of_key = await seen(database, f"key-{number}")
        assert of_key == sorted(of_key)


async def test_a_group_that_may_be_late_rests_after_a_batch_that_was_not_full(
    database: Database, log: Log, diary: Diary
) -> None:
    await say(database, "k", "one", "two", "three")
    async with consuming(database, log, consume(diary, max_records=2, rest=timedelta(hours=1))):
        await until_seen(database, 3)
        await say(database, "k", "four")
    assert diary.calls == [["one", "two"], ["three"]]


async def test_a_stop_finishes_the_batch_in_hand(database: Database, log: Log, diary: Diary) -> None:
    entered, may_go_on = asyncio.Event(), asyncio.Event()

    async def slow(tx: Transaction, events: Sequence[Event]) -> None:
        entered.set()
        await may_go_on.wait()
        await diary(tx, events)

    await say(database, "k", "one")
    consumer = Consumer(database, log, consume(slow), metrics=Metrics())
    async with asyncio.TaskGroup() as group, asyncio.timeout(30):
        run = group.create_task(consumer.run())
        await entered.wait()
        consumer.stop()
        may_go_on.set()
        await run
    assert await seen(database) == ["one"]
    assert await lag(log) == 0


async def test_a_failing_wake_up_after_the_commit_does_not_double_the_effects(
    database: Database, log: Log, diary: Diary
) -> None:
    async def wake(tx: Transaction, events: Sequence[Event]) -> None:
        await diary(tx, events)
        tx.after_commit(lambda: 1 / 0)

    await say(database, "k", "one")
    with pytest.raises(ZeroDivisionError):
        await Consumer(database, log, consume(wake), metrics=Metrics()).run()
    assert await seen(database) == ["one"]


@pytest.mark.parametrize("place", ["consumer.before_commit", "consumer.committed"])
async def test_a_consumer_that_dies_around_its_commit_has_effects_once(
    database: Database, log: Log, diary: Diary, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    await say(database, "k", "one", "two")
    with monkeypatch.context() as armed:
        armed.setitem(failpoints._ARMED, place, "raise")
        with pytest.raises(failpoints.InjectedFailure):
            await Consumer(database, log, consume(diary), metrics=Metrics()).run()
    await say(database, "k", "three")
    async with consuming(database, log, consume(diary)):
        assert await until_seen(database, 3) == ["one", "two", "three"]


async def test_lag_parked_keys_and_batches_are_measured(database: Database, log: Log, diary: Diary) -> None:
    diary.faults = {"bad": ValueError("bug")}
    await say(database, "k", "bad")
    async with consuming(database, log, consume(diary, tries=1000)):
        await answer(lambda: rows(database, PARKED))
    metrics = Metrics()
    async with consuming(database, log, consume(diary, tries=1000), metrics=metrics):
        await eventually(lambda: b'baton_parked_keys{group="demo"} 1.0' in metrics.exposition()[0])
        await say(database, "other", "one")
        await until_seen(database, 1)
        await eventually(lambda: b'baton_consumer_batch_seconds_count{group="demo"} 1.0' in metrics.exposition()[0])
    assert b'baton_consumer_lag{group="demo"} 0.0' in metrics.exposition()[0]
