"""A server that dies keeps every event and every commit of a consumer; positions that nobody has used may come again."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shared.db import migrate
from shared.db.embedded import EmbeddedPostgres
from shared.db.pool import Database
from shared.db.scope import Batch
from shared.db.tables import LOG_SCHEMA
from shared.errors import Retryable
from shared.events.catalogue import MESSAGES
from shared.log.background import running
from shared.log.port import StaleMember
from shared.log.postgres import Pace, PostgresLog
from shared.platform.tables import SCHEMA as PLATFORM_SCHEMA
from tests.support.consuming import QUICK, Diary, consume, consuming, say, seen, until_seen
from tests.support.demo import SCHEMA as DEMO_SCHEMA
from tests.support.logs import AT_ONCE, WORKSPACE, Process, append, commit, encoded, fetch, read
from tests.support.postgres import open_database
from tests.support.waiting import answer

NAMES = [str(number) for number in range(20)]
UNHURRIED = {"wal_writer_delay": "10s", "fsync": "off"}
"""Nothing that was committed without waiting is written by itself; and the machine does not die, only the server."""


@asynccontextmanager
async def server(data: Path, *, pace: Pace = QUICK) -> AsyncIterator[tuple[EmbeddedPostgres, Process]]:
    async with EmbeddedPostgres.start(data, settings=UNHURRIED) as postgres:
        await migrate.migrate(postgres.dsn, [LOG_SCHEMA, PLATFORM_SCHEMA, DEMO_SCHEMA], topics={MESSAGES: 1})
        async with open_database(postgres.dsn) as database, PostgresLog.open(database, pace=pace) as log:
            yield postgres, Process(database, log)


async def is_newer(database: Database, than: datetime) -> bool:
    """Whether a server answers that was started since; the last backends of one that died may outlive it."""
    with suppress(Retryable):
        return bool((await database.look("SELECT pg_postmaster_start_time() > $1", than))[0][0])
    return False


async def positions(process: Process) -> int:
    """How many events have one."""
    return int((await process.database.look("SELECT count(*) FROM log.position"))[0][0])


@pytest.mark.timeout(60)
async def test_events_are_read_once_whatever_the_crash_took(tmp_path: Path) -> None:
    async with server(tmp_path / "data") as (postgres, process):
        await append(process, *(encoded("k", name) for name in NAMES[:10]))
        async with process.log.subscribe("g", [MESSAGES]) as subscription:
            before = await read(process, subscription, 10)
        await append(process, *(encoded("k", name) for name in NAMES[10:]))
        while await positions(process) < len(NAMES):
            continue
        os.kill(postgres.pid, signal.SIGKILL)

    async with (
        server(tmp_path / "data") as (postgres, process),
        process.log.subscribe("g", [MESSAGES]) as subscription,
    ):
        after = await read(process, subscription, 10)
    assert [record.value.decode() for record in (*before, *after)] == NAMES
    assert [record.position for record in (*before, *after)] == list(range(20))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("is_outward", [False, True])
async def test_what_a_crash_took_of_a_consumers_work_is_done_again(tmp_path: Path, *, is_outward: bool) -> None:
    diary = Diary()
    async with server(tmp_path / "data") as (postgres, process):
        await say(process.database, "k", *NAMES)
        async with consuming(process.database, process.log, consume(diary, is_outward=is_outward)):
            await until_seen(process.database, len(NAMES))
            os.kill(postgres.pid, signal.SIGKILL)

    async with server(tmp_path / "data") as (postgres, process):
        if is_outward:
            # Others had been told: it was on the disk before.
            assert await seen(process.database) == NAMES
        await say(process.database, "k", "last")
        async with consuming(process.database, process.log, consume(diary, is_outward=is_outward)):
            await until_seen(process.database, len(NAMES) + 1)
        assert await seen(process.database) == [*NAMES, "last"]


UNDISTURBED = Pace(poll=timedelta(milliseconds=20), heartbeat=timedelta(seconds=30), member_ttl=timedelta(minutes=2))
"""No heartbeat makes durable what is to be lost."""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("is_at_hand", [False, True])
async def test_what_was_read_before_a_crash_is_not_committed_after_it(tmp_path: Path, *, is_at_hand: bool) -> None:
    async with (
        server(tmp_path / "data", pace=UNDISTURBED) as (postgres, process),
        running(postgres.keep_running),
        process.log.subscribe("g", [MESSAGES]) as subscription,
    ):
        if is_at_hand:
            # From here on it is given what its own process appends.
            assert (await fetch(subscription, max_wait=AT_ONCE))[1] == []
        async with process.database.transaction(Batch(WORKSPACE), lazy=True) as tx:
            tx.append(encoded("k", "lost"))
        batch, (lost,) = await fetch(subscription)
        ((now,),) = await process.database.look("SELECT clock_timestamp()")
        os.kill(postgres.pid, signal.SIGKILL)
        await answer(lambda: is_newer(process.database, now))
        # Both the id and the position of the lost one are free again.
        await append(process, encoded("k", "kept"))
        with pytest.raises(StaleMember):
            await commit(process, subscription, batch)
        while True:
            subscription.rewind(batch)
            batch, (kept,) = await fetch(subscription)
            with suppress(StaleMember):
                await commit(process, subscription, batch)
                break
    assert (lost.value, kept.value) == (b"lost", b"kept")
    assert kept.position == lost.position
