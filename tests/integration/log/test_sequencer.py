"""Events get their positions one after the other, whoever gives them, and whatever happens to that one."""

import asyncio

import pytest

from shared import failpoints
from shared.db.appending import _WRITE
from shared.db.pool import Database
from shared.db.scope import Batch, Owner, Scan
from shared.events.catalogue import MESSAGES
from shared.log.postgres import PostgresLog
from tests.support.consuming import QUICK
from tests.support.logs import WORKSPACE, encoded, fetched, positions
from tests.support.postgres import backup, entries_read
from tests.support.waiting import PATIENCE


@pytest.fixture
def log(database: Database) -> PostgresLog:
    """A log whose sequencer runs only when the test says so."""
    return PostgresLog(database, pace=QUICK)


async def put(database: Database, *numbers: int, key: str = "k") -> None:
    async with database.transaction(Batch(WORKSPACE)) as tx:
        for number in numbers:
            tx.append(encoded(key, number))


async def test_positions_are_dense_and_follow_the_ids(database: Database, log: PostgresLog) -> None:
    await put(database, 1, 2, 3)
    await log.sequencer.step()
    await put(database, 4)
    await log.sequencer.step()
    await log.sequencer.step()
    assert await positions(database) == [(0, 1), (1, 2), (2, 3), (3, 4)]


async def test_a_late_commit_with_an_early_id_comes_behind(database: Database, log: PostgresLog) -> None:
    async with database.transaction(Batch(WORKSPACE)) as late:
        late.append(encoded("k", 1))
        await late.flush()
        await put(database, 2)
        await log.sequencer.step()
    await log.sequencer.step()
    assert await positions(database) == [(0, 2), (1, 1)]


async def test_a_step_is_bounded_and_says_that_there_is_more(database: Database, log: PostgresLog) -> None:
    await put(database, *range(5))
    log.sequencer._chunk = 3
    assert await log.sequencer.step()
    assert len(await positions(database)) == 3
    assert not await log.sequencer.step()
    assert await positions(database) == [(n, n) for n in range(5)]


async def test_many_sequencers_give_each_event_one_position(database: Database) -> None:
    logs = [PostgresLog(database, pace=QUICK) for _ in range(6)]
    finished = asyncio.Event()

    async def sequence(log: PostgresLog) -> None:
        while not finished.is_set():
            await log.sequencer.step()

    async with asyncio.TaskGroup() as sequencers:
        for log in logs:
            sequencers.create_task(sequence(log))
        for start in range(0, 300, 10):
            await put(database, *range(start, start + 10))
        finished.set()
    await logs[0].sequencer.step()
    assert await positions(database) == [(n, n) for n in range(300)]


async def test_a_shard_that_another_sequencer_holds_does_not_hold_up_the_rest(
    database: Database, log: PostgresLog
) -> None:
    await put(database, 1, key="a")
    await put(database, 2, key="b")
    held = database.topology.shard(MESSAGES, "a")
    assert held != database.topology.shard(MESSAGES, "b")
    async with database.transaction(Scan()) as other:
        await other.fetch("SELECT FROM log.shard WHERE id = $1 FOR UPDATE", held)
        await log.sequencer.step()
        assert await positions(database) == [(0, 2)]
    await log.sequencer.step()
    assert len(await positions(database)) == 2


async def test_a_sequencer_that_dies_before_its_commit_has_done_nothing(
    database: Database, log: PostgresLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(database, 1, 2)
    with monkeypatch.context() as armed:
        armed.setitem(failpoints._ARMED, "sequencer.before_commit", "raise")
        with pytest.raises(failpoints.InjectedFailure):
            await log.sequencer.step()
    assert await positions(database) == []
    await log.sequencer.step()
    assert await positions(database) == [(0, 1), (1, 2)]


async def test_readers_find_what_a_sequencer_committed_before_it_died(
    database: Database, log: PostgresLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with log.subscribe("g", [MESSAGES]) as subscription:
        await put(database, 1)
        with monkeypatch.context() as armed:
            armed.setitem(failpoints._ARMED, "sequencer.committed", "raise")
            with pytest.raises(failpoints.InjectedFailure):
                await log.sequencer.step()
        assert len(await fetched(subscription, 1)) == 1


async def test_lag_counts_events_that_have_no_position_yet(database: Database, log: PostgresLog) -> None:
    await put(database, 1, 2)
    await log.sequencer.step()
    await put(database, 3)
    assert sum((await log.lag("g", [MESSAGES])).values()) == 3


async def past(database: Database, log: PostgresLog, event_id: int) -> None:
    """Until the sequencer knows that up to this id nothing can appear any more: other transactions of the server end."""
    async with asyncio.timeout(PATIENCE / 2):
        while log.sequencer._horizon.after < event_id:
            await put(database, 1)
            await log.sequencer.step()


async def test_what_a_long_transaction_keeps_in_the_index_is_not_read_again(
    database: Database, log: PostgresLog
) -> None:
    async with backup(database, "log.queue") as reader:
        for start in range(0, 1_000, 100):
            await put(database, *range(start, start + 100))
            await log.sequencer.step()
        last = await reader.fetchval("SELECT last_value FROM log.event_id_seq")
        await past(database, log, last)
        before = await entries_read(database, "pk_queue")
        await log.sequencer.step()
        assert await entries_read(database, "pk_queue") - before < 100


async def test_who_had_an_id_before_and_commits_after_many_looks_is_found(database: Database, log: PostgresLog) -> None:
    await put(database, 1)
    await past(database, log, 1)
    async with database.transaction(Batch(WORKSPACE)) as late:
        late.append(encoded("k", 77))
        await late.flush()
        for number in range(10):
            await put(database, number)
            await log.sequencer.step()
    await log.sequencer.step()
    assert [number for _, number in await positions(database)][-1] == 77


async def test_ids_that_a_crashed_server_gives_again_are_found(database: Database, log: PostgresLog) -> None:
    await put(database, 1)
    await past(database, log, 1)
    async with database.transaction(Owner()) as tx:
        # As after a recovery that lost the end of the log: the first id is given once more.
        await tx.execute("TRUNCATE log.life")
        await tx.execute("DELETE FROM log.position WHERE position = 0")
        await tx.execute("INSERT INTO log.queue (shard, event_id) SELECT shard, id FROM log.event ORDER BY id LIMIT 1")
    await put(database, 3)
    await log.sequencer.step()
    # In the order of their ids, whichever of them was behind.
    assert [number for _, number in await positions(database)][-2:] == [1, 3]


async def test_an_event_gets_its_id_from_who_has_a_number(database: Database) -> None:
    columns = ([1], ["t"], ["k"], ["w"], [b""], [b""])
    async with database.transaction(Owner()) as tx:
        plan = [row[0].strip() for row in await tx.fetch(f"EXPLAIN (VERBOSE) {_WRITE}", *columns)]
    (gives_ids,) = [number for number, line in enumerate(plan) if "nextval" in line]
    assert plan[gives_ids + 1] == "One-Time Filter: (pg_current_xact_id() IS NOT NULL)"
