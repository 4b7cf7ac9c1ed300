"""The event log on Postgres keeps the contract, and what only it promises."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from math import inf
from typing import Any

import pytest

from shared.db.pool import Database
from shared.db.scope import Owner, Scan
from shared.errors import Retryable
from shared.events.catalogue import MESSAGES
from shared.log.port import Gap, StaleMember
from shared.log.postgres import Pace, PostgresLog
from shared.log.postgres.subscription import PostgresSubscription
from tests.contract.log_contract import LogContract
from tests.support.logs import (
    Process,
    append,
    by_key,
    commit,
    encoded,
    fetch,
    fetched,
    positions,
    read,
)
from tests.support.postgres import cut_connections, open_database

QUICK = Pace(poll=timedelta(milliseconds=20), heartbeat=timedelta(milliseconds=50), member_ttl=timedelta(seconds=2))
SILENT = replace(QUICK, heartbeat=timedelta(hours=1))


class PostgresRig:
    """Processes that share one database."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    @asynccontextmanager
    async def process(self, *, silent: bool = False) -> AsyncIterator[Process]:
        async with (
            open_database(self._dsn, size=44) as database,
            PostgresLog.open(database, pace=SILENT if silent else QUICK) as log,
        ):
            yield Process(database, log)


@pytest.fixture
def rig(dsn: str) -> PostgresRig:
    return PostgresRig(dsn)


class TestPostgresLog(LogContract):
    """The contract."""


@pytest.fixture
async def process(rig: PostgresRig) -> AsyncIterator[Process]:
    async with rig.process() as process:
        yield process


async def sequenced(database: Database) -> None:
    """Waits until nothing is queued."""
    waiting = True
    while waiting:
        async with database.transaction(Scan()) as tx:
            waiting = await tx.fetchval("SELECT EXISTS (SELECT FROM log.queue)")


async def test_members_that_crashed_long_ago_are_forgotten(process: Process) -> None:
    async with process.database.transaction(Scan()) as tx:
        await tx.execute(
            "INSERT INTO log.member (consumer_group, member, topics, expires_at) "
            "SELECT 'g', m, '{}', now() - a FROM (VALUES ('old', interval '2 hours'), ('new', '1 minute')) AS v(m, a)"
        )
    async with process.log.subscribe("g", [MESSAGES]), process.database.transaction(Scan()) as tx:
        members = {row["member"] for row in await tx.fetch("SELECT member FROM log.member")}
    assert "old" not in members
    assert len(members) == 2


async def test_events_of_another_process_are_found_without_a_wake_up(rig: PostgresRig, process: Process) -> None:
    async with rig.process() as other, process.log.subscribe("g", [MESSAGES]) as subscription:
        await append(other, encoded("k", 1))
        assert len(await fetched(subscription, 1)) == 1


async def test_a_batch_cannot_be_committed_over_an_earlier_one_that_was_not(process: Process) -> None:
    await append(process, *(encoded("k", n) for n in range(4)))
    async with process.log.subscribe("g", [MESSAGES]) as subscription:
        first, _ = await fetch(subscription, max_records=2)
        second, _ = await fetch(subscription, max_records=2)
        with pytest.raises(StaleMember):
            await commit(process, subscription, second)
        subscription.rewind(first)
        subscription.rewind(second)
        assert by_key(await read(process, subscription, 4)) == {"k": [0, 1, 2, 3]}


async def test_a_cursor_whose_row_was_moved_is_found_again(process: Process) -> None:
    """By an operator who rewrites the table, for example."""
    async with process.log.subscribe("g", [MESSAGES]) as subscription:
        await append(process, *(encoded(f"key-{n}", n) for n in range(40)))
        await read(process, subscription, 40)
        async with process.database.transaction(Owner()) as tx:
            await tx.execute("CLUSTER log.cursor USING pk_cursor")
        await append(process, encoded("key-1", 40))
        batch, records = await fetch(subscription, max_records=1)
        with pytest.raises(StaleMember):
            await commit(process, subscription, batch)
        subscription.rewind(batch)
        assert await read(process, subscription, 1) == records


@pytest.mark.parametrize(("many", "one"), [("a", "b"), ("b", "a")])
async def test_a_backlog_in_one_shard_leaves_room_for_the_others(process: Process, many: str, one: str) -> None:
    async with process.log.subscribe("g", [MESSAGES]) as subscription:
        await append(process, *(encoded(many, n) for n in range(100)))
        await append(process, encoded(one, 100))
        await sequenced(process.database)
        subscription.rewind((await fetch(subscription, max_records=100))[0])
        _, records = await fetch(subscription, max_records=10)
    assert {record.key for record in records} == {"a", "b"}


async def test_a_member_that_lost_a_shard_and_has_it_again_cannot_commit_its_old_batch(
    rig: PostgresRig, process: Process
) -> None:
    await append(process, *(encoded("k", n) for n in range(4)))
    async with rig.process(silent=True) as paused, paused.log.subscribe("g", [MESSAGES]) as member:
        assert isinstance(member, PostgresSubscription)
        batch, _ = await fetch(member, max_records=4)
        async with process.log.subscribe("g", [MESSAGES]) as other:
            assert len(await read(process, other, 4)) == 4
        await member.balance()
        with pytest.raises(StaleMember):
            await commit(paused, member, batch)
        await append(process, encoded("k", 4))
        assert by_key(await read(paused, member, 1)) == {"k": [4]}


async def test_a_member_that_reads_again_what_it_has_lost_does_not_ask_all_the_time(
    rig: PostgresRig, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(process, *(encoded("k", n) for n in range(4)))
    async with rig.process(silent=True) as paused, paused.log.subscribe("g", [MESSAGES]) as member:
        batch, _ = await fetch(member, max_records=4)
        async with process.log.subscribe("g", [MESSAGES]) as other:
            assert len(await read(process, other, 4)) == 4
            member.rewind(batch)
            looks = 0
            look = Database.look

            async def counted(database: Database, *arguments: Any) -> Any:
                nonlocal looks
                looks += database is paused.database
                return await look(database, *arguments)

            # As if it had not noticed yet.
            monkeypatch.setattr(PostgresSubscription, "balance", lambda _: asyncio.sleep(0))
            monkeypatch.setattr(member, "_deadline", inf)
            monkeypatch.setattr(Database, "look", counted)
            assert (await fetch(member, max_wait=timedelta(milliseconds=400)))[1] == []
            monkeypatch.undo()
    # Every 20 ms, two at a time.
    assert 0 < looks < 100


async def test_surplus_shards_go_to_a_new_member_only_between_batches(rig: PostgresRig, process: Process) -> None:
    await append(process, *(encoded(f"key-{n}", n) for n in range(40)))
    async with process.log.subscribe("g", [MESSAGES]) as first:
        await fetched(first, 40)
        async with rig.process() as other, other.log.subscribe("g", [MESSAGES]) as second:
            assert (await fetch(second, max_wait=timedelta(milliseconds=400)))[1] == []
        batch, records = await fetch(first, max_wait=timedelta(milliseconds=100))
        assert records == []
        await commit(process, first, batch)


async def test_a_slow_tail_is_told_what_it_missed(process: Process) -> None:
    assert isinstance(process.log, PostgresLog)
    async with process.log.tail([MESSAGES], patience=10) as tail, asyncio.timeout(30):
        await append(process, *(encoded("k", n) for n in range(11)))
        await sequenced(process.database)
        assert await anext(tail) == Gap(missed=11)
        await append(process, encoded("k", 11))
        record = await anext(tail)
    assert not isinstance(record, Gap)
    assert record.value == b"11"


async def test_only_what_every_group_committed_is_trimmed(process: Process) -> None:
    assert isinstance(process.log, PostgresLog)
    await append(process, *(encoded("k", n) for n in range(10)))
    async with process.log.subscribe("fast", [MESSAGES]) as fast, process.log.subscribe("slow", [MESSAGES]) as slow:
        await read(process, fast, 10)
        await read(process, slow, 4, max_records=4)
        assert await process.log.trim(timedelta(hours=1)) == 0
        # The log trims by itself, too, and one at a time.
        while not (gone := await process.log.trim(timedelta(0))):
            continue
        assert gone == 4
        assert await positions(process.database) == [(n, n) for n in range(4, 10)]
        assert by_key(await read(process, slow, 6)) == {"k": list(range(4, 10))}
    async with process.log.subscribe("new", [MESSAGES]) as new:
        assert by_key(await read(process, new, 6)) == {"k": list(range(4, 10))}
    async with process.database.transaction(Scan()) as tx:
        assert await tx.fetchval("SELECT count(*) FROM log.event") == 6


async def test_retention_runs_in_steps(process: Process) -> None:
    assert isinstance(process.log, PostgresLog)
    await append(process, *(encoded(f"key-{n % 9}", n) for n in range(1200)))
    async with process.log.subscribe("g", [MESSAGES]) as subscription:
        await read(process, subscription, 1200)
        while not (gone := await process.log.trim(timedelta(0))):
            continue
        assert gone == 1200
        await append(process, encoded("k", 1))
        assert by_key(await read(process, subscription, 1)) == {"k": [1]}


async def test_a_database_that_is_away_is_retryable(process: Process) -> None:
    async with process.log.subscribe("g", [MESSAGES]) as subscription:
        process.database.pool.terminate()
        with pytest.raises(Retryable):
            await fetch(subscription)
        with pytest.raises(Retryable):
            await process.log.lag("g", [MESSAGES])


async def test_the_log_goes_on_after_all_connections_were_lost(process: Process, dsn: str) -> None:
    await append(process, encoded("k", 1))
    async with process.log.subscribe("g", [MESSAGES]) as subscription:
        await read(process, subscription, 1)
        cut_connections(process.database)
        async with open_database(dsn, size=1) as other:
            await append(Process(other, process.log), encoded("k", 2))
        records = []
        async with asyncio.timeout(30):
            while not records:
                try:
                    _, records = await fetch(subscription)
                except Retryable:
                    await asyncio.sleep(0.05)
        assert by_key(records) == {"k": [2]}
