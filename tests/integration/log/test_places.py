"""Who commits at once gives its events their positions itself, waits for nobody, and overtakes nothing of a key."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.db.appending import Passed
from shared.db.pool import Database
from shared.db.scope import Batch, Owner, Scan
from shared.events.catalogue import MESSAGES
from shared.log.postgres import PostgresLog
from tests.support.consuming import QUICK
from tests.support.logs import AT_ONCE, WORKSPACE, Process, encoded, fetch, positions, read
from tests.support.postgres import backup, entries_read
from tests.support.waiting import PATIENCE, answer

_BLOCKED = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
_REWRITTEN = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relid = 'log.shard'::regclass"


@pytest.fixture
def log(database: Database) -> PostgresLog:
    """A log whose sequencer runs only when the test says so."""
    database.holds_log = True
    return PostgresLog(database, pace=QUICK)


async def put(database: Database, *numbers: int, key: str = "k", lazy: bool = True) -> None:
    async with database.transaction(Batch(WORKSPACE), lazy=lazy) as tx:
        for number in numbers:
            tx.append(encoded(key, number))


async def queued(database: Database) -> int:
    return int((await database.look("SELECT count(*) FROM log.queue"))[0][0])


def two_shards(database: Database) -> tuple[int, int]:
    """Those of the keys `a` and `b`."""
    a, b = database.topology.shard(MESSAGES, "a"), database.topology.shard(MESSAGES, "b")
    assert a != b
    return a, b


async def test_events_have_their_positions_with_the_commit(database: Database, log: PostgresLog) -> None:
    await put(database, 1, 2)
    await put(database, 3)
    assert await positions(database) == [(0, 1), (1, 2), (2, 3)]
    assert await queued(database) == 0


async def test_each_shard_counts_by_itself(database: Database, log: PostgresLog) -> None:
    two_shards(database)
    async with database.transaction(Batch(WORKSPACE), lazy=True) as tx:
        for number, key in enumerate("abaab"):
            tx.append(encoded(key, number))
    assert sorted(await positions(database)) == [(0, 0), (0, 1), (1, 2), (1, 4), (2, 3)]


async def test_what_is_taken_back_leaves_no_gap(database: Database, log: PostgresLog) -> None:
    await put(database, 1)
    with suppress(ZeroDivisionError):
        async with database.transaction(Batch(WORKSPACE), lazy=True) as tx:
            tx.append(encoded("k", 2))
            await tx.flush()
            raise ZeroDivisionError
    await put(database, 3)
    assert await positions(database) == [(0, 1), (1, 3)]


async def test_who_waits_for_the_disk_holds_no_shard(database: Database, log: PostgresLog) -> None:
    await put(database, 1, lazy=False)
    assert (await positions(database), await queued(database)) == ([], 1)


async def test_nobody_waits_for_who_holds_a_shard(database: Database, log: PostgresLog) -> None:
    held, _ = two_shards(database)
    async with asyncio.timeout(1), database.transaction(Scan()) as other:
        await other.fetch("SELECT FROM log.shard WHERE id = $1 FOR UPDATE", held)
        async with database.transaction(Batch(WORKSPACE), lazy=True) as tx:
            tx.append(encoded("a", 1))
            tx.append(encoded("b", 2))
        assert (await positions(database), await queued(database)) == ([(0, 2)], 1)
    await log.sequencer.step()
    assert sorted(await positions(database)) == [(0, 1), (0, 2)]


async def test_who_comes_after_what_waits_waits_behind_it(database: Database, log: PostgresLog) -> None:
    await put(database, 1, lazy=False)
    await put(database, 2, 3)
    assert await queued(database) == 3
    await log.sequencer.step()
    await put(database, 4)
    assert await positions(database) == [(0, 1), (1, 2), (2, 3), (3, 4)]


async def test_what_a_transaction_flushed_comes_before_what_it_commits(database: Database, log: PostgresLog) -> None:
    async with database.transaction(Batch(WORKSPACE), lazy=True) as tx:
        tx.append(encoded("k", 1))
        # From here on it may take its time: it must not hold the shard.
        await tx.flush()
        tx.append(encoded("k", 2))
        await put(database, 3)
    await log.sequencer.step()
    assert await positions(database) == [(0, 3), (1, 1), (2, 2)]


async def test_what_a_long_transaction_keeps_in_the_index_is_not_read_with_every_commit(
    database: Database, log: PostgresLog
) -> None:
    """Requests leave rows in the queue's index for as long as a backup lasts."""
    async with backup(database, "log.queue") as reader:
        for start in range(0, 1_000, 100):
            await put(database, *range(start, start + 100), lazy=False)
            await log.sequencer.step()
        last = await reader.fetchval("SELECT last_value FROM log.event_id_seq")
        async with asyncio.timeout(PATIENCE / 2):
            while database.passed.event_id < last:
                await put(database, 1, lazy=False)
                await log.sequencer.step()
        before = await entries_read(database, "pk_queue")
        await put(database, 2)
        assert await entries_read(database, "pk_queue") - before < 100


async def test_no_commit_reads_what_a_long_transaction_keeps_of_the_rows_that_every_commit_needs(
    database: Database,
) -> None:
    """A shard's row is not rewritten for its positions; a cursor's is found where it lies."""
    hour = timedelta(hours=1)
    database.holds_log = True
    log = PostgresLog(database, pace=replace(QUICK, heartbeat=hour, member_ttl=hour))
    async with backup(database, "log.cursor"), log.subscribe("g", [MESSAGES]) as subscription:
        shards = await database.look(_REWRITTEN)
        for number in range(200):
            await put(database, number)
            assert len(await read(Process(database, log), subscription, 1)) == 1
        before = await entries_read(database, "pk_cursor")
        for number in range(10):
            await put(database, number)
            await read(Process(database, log), subscription, 1)
        assert await entries_read(database, "pk_cursor") == before
        assert await database.look(_REWRITTEN) == shards


async def test_positions_follow_what_was_committed_while_the_lock_was_awaited(
    database: Database, log: PostgresLog
) -> None:
    """And not what was there when the statement began."""
    shard = database.topology.shard(MESSAGES, "k")
    async with asyncio.TaskGroup() as group, database.transaction(Owner()) as other:
        await other.execute("SELECT pg_advisory_xact_lock(77)")
        following = group.create_task(
            database.look(
                "SELECT waited, log.next_position($1) FROM (SELECT pg_advisory_xact_lock(77)::text AS waited) w", shard
            )
        )
        await answer(lambda: database.pool.fetchval(_BLOCKED))
        await put(database, 1, 2, 3)
        assert not following.done()
    assert following.result()[0][1] == 3


async def test_what_was_trimmed_is_not_given_again(database: Database, log: PostgresLog) -> None:
    await put(database, 1, 2)
    assert await log.trim(timedelta(0)) == 2
    await put(database, 3)
    assert await positions(database) == [(2, 3)]


async def test_what_waits_is_seen_whatever_was_passed_in_another_life_of_the_server(
    database: Database, log: PostgresLog
) -> None:
    await put(database, 1, lazy=False)
    database.passed = Passed(1_000_000, "another life")
    await put(database, 2)
    await log.sequencer.step()
    assert await positions(database) == [(0, 1), (1, 2)]


async def test_the_next_look_comes_soon_where_a_shard_was_held(database: Database, log: PostgresLog) -> None:
    await put(database, 1, lazy=False)
    async with database.transaction(Scan()) as other:
        await other.fetch("SELECT FROM log.shard FOR UPDATE")
        await log.sequencer.step()
        assert log.sequencer._pause < QUICK.poll
    await log.sequencer.step()
    assert log.sequencer._pause == QUICK.poll
    assert await positions(database) == [(0, 1)]


async def test_readers_of_the_process_have_them_without_asking(
    database: Database, log: PostgresLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.on_append.append(log.sequencer.notify)
    async with log.subscribe("g", [MESSAGES]) as subscription:
        assert (await fetch(subscription, max_wait=AT_ONCE))[1] == []
        monkeypatch.setattr(Database, "look", None)
        await put(database, 1, 2)
        await put(database, 3)
        _, records = await fetch(subscription)
        assert [record.value for record in records] == [b"1", b"2", b"3"]
        assert [record.position for record in records] == [0, 1, 2]
        monkeypatch.undo()


async def test_places_are_dense_whoever_gives_them(database: Database, log: PostgresLog) -> None:
    """Batches, requests and a sequencer side by side; each key has one writer, which does not wait for a position."""
    finished = asyncio.Event()

    async def sequence() -> None:
        while not finished.is_set():
            await log.sequencer.step()

    async def write(writer: int) -> None:
        for number in range(40):
            await put(database, 100 * writer + number, key="k", lazy=(writer + number) % 4 > 0)

    async with asyncio.TaskGroup() as sequencers:
        sequencers.create_task(sequence())
        async with asyncio.TaskGroup() as writers:
            for writer in range(8):
                writers.create_task(write(writer))
        finished.set()
    await log.sequencer.step()
    found = await positions(database)
    assert [position for position, _ in found] == list(range(320))
    for writer in range(8):
        mine = [number for _, number in found if number // 100 == writer]
        assert mine == [100 * writer + number for number in range(40)]
