"""What fails is put aside, in order and in sight, and holds up nothing else."""

import asyncio
from collections.abc import Sequence

import pytest

from shared.db.pool import Database
from shared.db.scope import Batch, Scan
from shared.db.transaction import Transaction
from shared.errors import Rejected
from shared.events.catalogue import MESSAGES, TICKETS
from shared.events.envelope import Encoded, Event
from shared.log.consumer import Consumer, PoisonFlood, PoisonLimit
from shared.log.port import Log
from shared.telemetry.metrics import Metrics
from tests.support.consuming import (
    DEAD,
    PARKED,
    QUEUED,
    Diary,
    channel,
    consume,
    consuming,
    lag,
    no_lag,
    nothing_parked,
    rows,
    say,
    seen,
    until_seen,
)
from tests.support.waiting import answer, eventually

# -- poison -----------------------------------------------------------------------------------------------------


async def test_a_rejected_event_becomes_a_dead_letter_and_its_key_goes_on(
    database: Database, log: Log, diary: Diary
) -> None:
    diary.faults = {"bad": Rejected("never")}
    await say(database, "k", "one", "bad", "two")
    await say(database, "other", "three")
    async with consuming(database, log, consume(diary)):
        await until_seen(database, 3)
    assert await seen(database, "k") == ["one", "two"]
    assert await rows(database, DEAD) == [("bad", "Rejected", 1)]
    assert await rows(database, PARKED) == []


async def test_an_event_that_cannot_be_read_is_kept_as_it_came(database: Database, log: Log, diary: Diary) -> None:
    raw, headers = b"\xff{", (("ce_type", b"channel.changed.v1"), ("ce_workspaceid", b"w1"), ("x", b"\x00"))
    async with database.transaction(Batch(frozenset({"w1"}))) as tx:
        tx.append(Encoded(topic=MESSAGES, key="k", workspace_id="w1", headers=headers, value=raw))
        tx.append(Encoded(topic=MESSAGES, key="k", workspace_id="w1", headers=(), value=b"{}"))
    await say(database, "k", "one")
    async with consuming(database, log, consume(diary)):
        await until_seen(database, 1)
    found = await rows(database, "SELECT workspace_id, value, event_type, key FROM demo.dead_letter ORDER BY id")
    assert found == [("w1", raw, "channel.changed.v1", "k"), ("_unknown", b"{}", None, "k")]


async def test_a_key_that_fails_waits_in_order_while_others_go_on(database: Database, log: Log, diary: Diary) -> None:
    diary.faults = {"bad": ValueError("bug")}
    await say(database, "k", "one", "bad", "three")
    await say(database, "other", "four")
    async with consuming(database, log, consume(diary, tries=1000)):
        await until_seen(database, 2)
        await say(database, "k", "five")
        await say(database, "other", "six")
        await until_seen(database, 3)
        assert await seen(database, "other") == ["four", "six"]
        assert await seen(database, "k") == ["one"]
        ((key, attempts, why),) = await rows(database, PARKED)
        assert (key, why.partition(" (")[0]) == ("k", "ValueError: bug")
        assert attempts >= 1
        assert await lag(log) == 0
        diary.faults.clear()
        await until_seen(database, 6)
        await say(database, "k", "seven")
        await until_seen(database, 7)
    assert await seen(database, "k") == ["one", "bad", "three", "five", "seven"]
    assert await rows(database, PARKED) == []
    assert await rows(database, QUEUED) == []


async def test_a_head_out_of_budget_becomes_a_dead_letter_and_the_rest_go_on(
    database: Database, log: Log, diary: Diary
) -> None:
    diary.faults = {"bad": ValueError("bug"), "worse": Rejected("never"), "worst": KeyError("bug")}
    await say(database, "k", "bad", "one", "worse", "worst", "two")
    metrics = Metrics()
    async with consuming(database, log, consume(diary, tries=3), metrics=metrics):
        await until_seen(database, 2)
        await eventually(lambda: b'baton_dead_letters_total{group="demo"} 3.0' in metrics.exposition()[0])
    assert await seen(database) == ["one", "two"]
    assert await rows(database, DEAD) == [("bad", "ValueError", 3), ("worse", "Rejected", 1), ("worst", "KeyError", 3)]
    assert await rows(database, "SELECT count(*) FROM demo.dead_letter WHERE first_failed_at < created_at") == [(2,)]
    assert diary.calls.count(["worst"]) == 3
    assert await rows(database, PARKED) == []


async def test_a_failing_statement_spoils_only_its_own_key(database: Database, log: Log, diary: Diary) -> None:
    async def divide(tx: Transaction, events: Sequence[Event]) -> None:
        for event in events:
            await tx.execute("SELECT 1 / $1::int", int(event.data.name))
        await diary(tx, events)

    for number in (1, 0, 2):
        await say(database, f"key-{number}", str(number))
    async with consuming(database, log, consume(divide)):
        await until_seen(database, 2)
    assert sorted(await seen(database)) == ["1", "2"]


async def test_events_of_failing_keys_are_not_published_and_the_others_are(database: Database, log: Log) -> None:
    async def pass_on(tx: Transaction, events: Sequence[Event]) -> None:
        for event in events:
            tx.append(Encoded(topic=TICKETS, key="t", workspace_id="w1", headers=(), value=event.data.name.encode()))
            if event.data.name == "flushes":
                await tx.flush()
            if event.data.name == "bad":
                await tx.flush()
                raise ValueError

    for name in ("one", "flushes", "bad", "two"):
        await say(database, name, name)
    async with consuming(database, log, consume(pass_on, tries=2)):
        await answer(lambda: rows(database, DEAD))
    async with database.transaction(Scan()) as tx:
        values = await tx.fetch("SELECT value FROM log.event WHERE topic = $1 ORDER BY value", TICKETS)
    assert [value for (value,) in values] == [b"flushes", b"one", b"two"]


async def test_a_handler_that_leaves_its_workspace_fails_alone(database: Database, log: Log, diary: Diary) -> None:
    async def stray(tx: Transaction, events: Sequence[Event]) -> None:
        await diary(tx, events)
        for event in events:
            if event.data.name == "stray":
                tx.emit(channel("intruder", workspace="w9"), key="k")

    await say(database, "a", "stray")
    await say(database, "b", "one")
    async with consuming(database, log, consume(stray, tries=2)):
        assert await until_seen(database, 1) == ["one"]
        dead = await answer(lambda: rows(database, DEAD))
    assert dead == [("stray", "InsufficientPrivilegeError", 2)]


async def test_too_much_poison_stops_the_consumer_and_moves_nothing(database: Database, log: Log, diary: Diary) -> None:
    for number in range(40):
        await say(database, f"key-{number}", f"{number}")
    diary.faults = {f"{number}": ValueError("bug") for number in range(0, 40, 2)}
    with pytest.raises(PoisonFlood):
        await Consumer(database, log, consume(diary), metrics=Metrics()).run()
    assert await seen(database) == []
    assert await rows(database, PARKED) == []
    assert await lag(log) == 40


async def test_many_failures_in_a_row_stop_the_consumer_too(database: Database, log: Log, diary: Diary) -> None:
    for number in range(8):
        await say(database, f"key-{number}", f"{number}")
    diary.faults = {f"{number}": ValueError("bug") for number in range(8)}
    few = consume(diary, max_records=2, poison=PoisonLimit(in_a_row=6))
    with pytest.raises(PoisonFlood):
        async with asyncio.timeout(30):
            await Consumer(database, log, few, metrics=Metrics()).run()
    assert len(await rows(database, PARKED)) < 6


async def test_one_success_ends_a_row_of_failures(database: Database, log: Log, diary: Diary) -> None:
    diary.faults = {name: ValueError("bug") for name in "abcdefg" if name != "d"}
    async with consuming(database, log, consume(diary, tries=1000, poison=PoisonLimit(in_a_row=4))):
        for name in "abcdefg":
            await say(database, name, name)
            await answer(lambda: no_lag(log))
    assert await seen(database) == ["d"]


async def test_failures_beside_successes_are_not_in_a_row(database: Database, log: Log, diary: Diary) -> None:
    diary.faults = {f"bad-{n}": ValueError("bug") for n in range(5)}
    async with consuming(database, log, consume(diary, tries=1000, poison=PoisonLimit(in_a_row=4))):
        for number in range(5):
            async with database.transaction(Batch(frozenset({"w1"}))) as tx:
                tx.emit(channel(f"bad-{number}"), key=f"bad-{number}")
                tx.emit(channel(f"good-{number}"), key=f"good-{number}")
            await answer(lambda: no_lag(log))
    assert len(await seen(database)) == 5


async def test_one_bad_key_in_a_large_batch_costs_few_calls(database: Database, log: Log, diary: Diary) -> None:
    async with database.transaction(Batch(frozenset({"w1"}))) as tx:
        for number in range(256):
            tx.emit(channel(f"{number}"), key=f"key-{number}")
    diary.faults = {"77": ValueError("bug")}
    async with consuming(database, log, consume(diary, tries=2)):
        await until_seen(database, 255)
    assert len(diary.calls) < 40


# -- queues of parked keys --------------------------------------------------------------------------------------


async def test_an_event_waits_for_whoever_drains_its_key_and_is_then_handled_directly(
    database: Database, log: Log, diary: Diary
) -> None:
    async with database.transaction(Batch(frozenset({"w1"}))) as tx:
        await tx.execute(
            "INSERT INTO demo.parked (consumer_group, key, workspace_id, attempts, reason, next_at) "
            "VALUES ('demo', 'k', 'w1', 1, 'x', now() + interval '1 hour')"
        )
    async with database.transaction(Batch(frozenset({"w1"}))) as drainer:
        await drainer.execute("SELECT FROM demo.parked WHERE key = 'k' FOR UPDATE")
        await say(database, "k", "next")
        async with consuming(database, log, consume(diary)):
            await asyncio.sleep(0.2)
            assert await seen(database) == []
            await drainer.execute("DELETE FROM demo.parked WHERE key = 'k'")
            await drainer.commit()
            await until_seen(database, 1)
    assert await rows(database, QUEUED) == []


async def test_a_key_that_somebody_holds_does_not_hold_up_other_parked_keys(
    database: Database, log: Log, diary: Diary
) -> None:
    diary.faults = {name: ValueError("bug") for name in ("held", "free")}
    for name in ("held", "free"):
        await say(database, name, name)
    async with consuming(database, log, consume(diary, tries=1000)):
        await answer(lambda: rows(database, f"{PARKED} OFFSET 1"))
        async with database.transaction(Batch(frozenset({"w1"}))) as holder:
            await holder.execute("SELECT FROM demo.parked WHERE key = 'held' FOR UPDATE")
            diary.faults.clear()
            assert await until_seen(database, 1) == ["free"]
        await until_seen(database, 2)


async def test_a_long_queue_is_drained_in_turns(database: Database, log: Log, diary: Diary) -> None:
    diary.faults = {"bad": ValueError("bug")}
    await say(database, "k", "bad", *(f"{n:03}" for n in range(250)))
    async with consuming(database, log, consume(diary, tries=2)):
        assert await until_seen(database, 250) == [f"{n:03}" for n in range(250)]
        await answer(lambda: nothing_parked(database))
