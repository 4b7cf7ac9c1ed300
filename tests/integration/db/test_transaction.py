"""One transaction: what it writes and what it publishes stay or go together, in the workspaces it named."""

import asyncio
import socket
from contextlib import suppress
from datetime import UTC, datetime

import asyncpg
import pytest

from shared.db.appending import Appended, decode_headers, encode_headers
from shared.db.pool import WITH_TRANSACTION_TIMEOUT, Database
from shared.db.scope import Owner, Scan
from shared.db.transaction import Transaction
from shared.errors import Misconfigured, Retryable
from shared.events import envelope
from shared.events.catalogue import MESSAGES
from shared.events.envelope import Encoded
from shared.events.messages import ChannelChanged
from tests.support.consuming import channel
from tests.support.notes import BOTH, NOTE, W1, names, notes
from tests.support.postgres import IS_LAZY, blocking, cut_connections, execute, open_database


async def test_events_come_with_the_commit(database: Database) -> None:
    async with database.transaction(W1) as tx:
        await tx.execute(NOTE, "w1", "row")
        tx.emit(channel("event"), key="k")
        assert await names(database) == []
    assert (await names(database), await notes(database)) == (["event"], ["row"])


async def test_events_go_with_the_rollback(database: Database) -> None:
    with suppress(ZeroDivisionError):
        async with database.transaction(W1) as tx:
            tx.emit(channel("unwritten"), key="k")
            await tx.flush()
            tx.emit(channel("unflushed"), key="k")
            raise ZeroDivisionError
    assert await names(database) == []


async def test_an_event_carries_its_id_time_trace_and_shard(database: Database) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with database.transaction(W1, traceparent=trace) as tx:
        event_id = tx.emit(channel("one"), key="k")
        assert tx.emit(channel("two"), key="k", event_id="evt_mine") == "evt_mine"
    async with database.transaction(Scan()) as tx:
        row = await tx.fetchrow("SELECT * FROM log.event ORDER BY id LIMIT 1")
    assert row is not None
    event = envelope.decode(decode_headers(row["headers"]), row["value"])
    assert (event.id, event.key, event.workspace_id, event.traceparent) == (event_id, "k", "w1", trace)
    assert isinstance(event.data, ChannelChanged)
    assert row["shard"] == database.topology.shard(MESSAGES, "k")
    assert row["topic"] == MESSAGES


async def test_wake_ups_come_after_the_commit_and_only_then(database: Database) -> None:
    woken: list[Appended] = []
    database.on_append.append(woken.append)
    async with database.transaction(W1) as tx:
        tx.emit(channel("one"), key="k")
        tx.emit(channel("another"), key="l")
        await tx.flush()
        assert woken == []
    with suppress(ZeroDivisionError):
        async with database.transaction(W1) as tx:
            tx.emit(channel("two"), key="k")
            await tx.flush()
            raise ZeroDivisionError
    (appended,) = woken
    rows = await database.look("SELECT id, value FROM log.event")
    assert {row["id"]: row["value"] for row in rows} == dict(
        zip(appended.ids, [event.value for event in appended.events], strict=True)
    )
    assert len(rows) == 2


async def test_a_topic_that_does_not_exist_is_said_before_anything_is_committed(database: Database) -> None:
    async def publish() -> None:
        async with database.transaction(W1) as tx:
            await tx.execute(NOTE, "w1", "row")
            tx.append(Encoded(topic="none", key="k", workspace_id="w1", headers=(), value=b""))

    with pytest.raises(Misconfigured):
        await publish()
    assert await notes(database) == []


async def test_headers_survive_as_they_are() -> None:
    headers = (("a", b""), ("a", bytes(range(256))), ("ü" * 300, b"x" * 70_000))
    assert decode_headers(encode_headers(headers)) == headers


async def once(tx: Transaction, *keys: str, day: datetime = datetime(2026, 1, 2, tzinfo=UTC)) -> set[str]:
    return await tx.once("scope", keys, day=day, workspace_id="w1")


async def test_once_names_what_is_new(database: Database) -> None:
    async with database.transaction(W1, schema="demo") as tx:
        assert await once(tx, "a", "b", "a") == {"a", "b"}
        assert await once(tx, "b", "c") == {"c"}
    async with database.transaction(W1, schema="demo") as tx:
        assert await once(tx, "a", "d") == {"d"}


async def test_once_is_taken_back_with_its_transaction(database: Database) -> None:
    with suppress(ZeroDivisionError):
        async with database.transaction(W1, schema="demo") as tx:
            await once(tx, "a")
            raise ZeroDivisionError
    async with database.transaction(W1, schema="demo") as tx:
        assert await once(tx, "a") == {"a"}


async def test_two_transactions_at_once_agree_on_who_was_first(database: Database) -> None:
    found: list[set[str]] = []

    async def work() -> None:
        async with database.transaction(W1, schema="demo") as tx:
            found.append(await once(tx, "a"))
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(work())
    assert sorted(map(len, found)) == [0, 0, 0, 0, 1]


async def test_what_may_succeed_later_is_retryable(database: Database) -> None:
    async with database.transaction(BOTH) as tx:
        await tx.execute(NOTE, "w1", "row")
    async with database.transaction(BOTH) as holder:
        await holder.execute("SELECT * FROM demo.seen FOR UPDATE")
        with pytest.raises(Retryable):
            async with database.transaction(BOTH) as tx:
                await tx.execute("SELECT * FROM demo.seen FOR UPDATE NOWAIT")
        with pytest.raises(Retryable):
            async with database.transaction(BOTH) as tx:
                await tx.execute("SET LOCAL statement_timeout = 50; UPDATE demo.seen SET name = 'x'")
    database.pool.terminate()
    with pytest.raises(Retryable):
        async with database.transaction(BOTH):
            pass


async def test_a_connection_that_lost_its_thread_is_given_to_nobody_else(dsn: str) -> None:
    async with open_database(dsn, size=1) as database:

        async def process() -> int:
            async with database.transaction(Owner()) as tx:
                return await tx.fetchval("SELECT pg_backend_pid()")

        before = await process()
        with pytest.raises(Retryable):
            async with database.transaction(Owner()):
                raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
        assert await process() != before


async def test_now_is_the_databases_and_does_not_move(database: Database) -> None:
    async with database.transaction(W1) as tx:
        first = await tx.now()
        await asyncio.sleep(0.01)
        assert await tx.now() == first
        assert await tx.fetchval("SELECT now()") == first


async def test_cancelling_at_any_moment_leaves_all_or_nothing_and_a_usable_connection(dsn: str) -> None:
    async def work(database: Database, name: str) -> None:
        async with database.transaction(W1) as tx:
            await tx.execute(NOTE, "w1", name)
            tx.emit(channel(name), key="k")

    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
    async with open_database(dsn, size=1) as database:
        for number in range(40):
            async with asyncio.TaskGroup() as group:
                task = group.create_task(work(database, f"{number}"))
                await asyncio.sleep(number * 0.0001)
                task.cancel()
        await work(database, "last")
        assert await notes(database) == await names(database)
        assert (await notes(database))[-1] == "last"
    # No transaction is left for the pool to find.
    assert complaints == []


async def test_a_cancelled_block_stays_cancelled_also_when_its_rollback_cannot_be_said(
    database: Database, server_dsn: str
) -> None:
    began = asyncio.get_running_loop().create_future()

    async def work() -> None:
        async with database.transaction(W1) as tx:
            began.set_result(await tx.fetchval("SELECT pg_backend_pid()"))
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(work())
        pid = await began
        # While we are held up here, nobody in this loop learns that the connection is gone.
        blocking(execute(server_dsn, f"SELECT pg_terminate_backend({pid}, 5000)"))
        task.cancel()
    assert task.cancelled()


async def test_a_cancelled_look_stays_cancelled_also_when_its_connection_is_gone(database: Database) -> None:
    for number in range(20):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(database.look("SELECT pg_sleep(1)"))
            await asyncio.sleep(number * 0.0005)
            task.cancel()
            cut_connections(database)
        assert task.cancelled()


@pytest.mark.parametrize("holds_log", [True, False])
async def test_a_lazy_commit_waits_for_the_disk_where_the_log_is_elsewhere(
    database: Database, *, holds_log: bool
) -> None:
    # What a relay has sent to a broker would otherwise outlive the transaction that it came from.
    database.holds_log = holds_log
    async with database.transaction(W1, lazy=True) as tx:
        assert await tx.fetchval(IS_LAZY) == holds_log
    async with database.transaction(W1) as tx:
        assert not await tx.fetchval(IS_LAZY)


async def test_a_database_that_dies_while_it_is_left_is_left(dsn: str) -> None:
    async with open_database(dsn) as database:
        for holder in database.pool._holders:
            if holder._con is not None:
                # Nothing was heard yet, and the farewell finds nobody.
                holder._con._transport.get_extra_info("socket").shutdown(socket.SHUT_WR)


PARSE_AND_FLUSH = b"P\x00\x00\x00\x10\x00SELECT 1\x00\x00\x00H\x00\x00\x00\x04"
"""What a client sends of a new statement before it waits for its description."""


async def test_whoever_falls_asleep_inside_of_a_statement_keeps_no_row_locked(database: Database) -> None:
    async with database.transaction(Owner()) as tx:
        if await tx.fetchval("SELECT current_setting('server_version_num')::int") < WITH_TRANSACTION_TIMEOUT:
            pytest.skip("this Postgres ends no transaction for its age")
        assert await tx.fetchval("SELECT current_setting('transaction_timeout')") == "20s"
    sleeper = await asyncpg.connect(database.dsn, server_settings={"transaction_timeout": "300"})
    try:
        await sleeper.execute("BEGIN")
        await sleeper.execute("SELECT FROM log.shard FOR UPDATE")
        sleeper._transport.write(PARSE_AND_FLUSH)
        async with database.transaction(Owner()) as tx:
            await tx.execute("SELECT FROM log.shard FOR UPDATE")
    finally:
        sleeper.terminate()
