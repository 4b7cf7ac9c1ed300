"""The pool of connections, and the only door to a transaction."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self
from zlib import crc32

import asyncpg
import msgspec

from shared.clock import Clock
from shared.db import columns
from shared.db.appending import OnAppend, Passed
from shared.db.scope import SCAN_ROLE, Scope
from shared.db.session import Session
from shared.db.transaction import Transaction
from shared.errors import Misconfigured, Retryable
from shared.ids import Ids
from shared.retry import cancellations

COMMAND_TIMEOUT: Final = 30.0
"""Seconds a statement may take before the client gives up; the server gives up earlier (SESSION)."""

SESSION: Final = {
    "application_name": "baton",
    "statement_timeout": "10000",
    "lock_timeout": "3000",
    "idle_in_transaction_session_timeout": "5000",
    "jit": "off",
    # Starting workers takes longer than any of our statements.
    "max_parallel_workers_per_gather": "0",
    # A statement of ours has one plan, by its index: making one costs as much as running it for a single message. Only
    # the API's lists (scope.WORKSPACE_PLANS) differ by what is asked.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    # Tables are joined with the few rows of a batch: a merge would read them from one end to the other.
    "enable_mergejoin": "off",
    "timezone": "UTC",
}
"""Far below the lease TTL (30 s): a paused process must not keep a row locked past it."""

TRANSACTION_TIMEOUT: Final = "20s"
"""The same for a process that was paused inside of a statement, between its description and its arguments: there the
server counts neither as idle nor as busy."""

WITH_TRANSACTION_TIMEOUT: Final = 170_000
"""The first version of Postgres that ends transactions for their age."""

LOOKOUTS: Final = 4
"""Connections for `look`; its statements take a millisecond."""

AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    asyncpg.DiskFullError,
    asyncpg.OutOfMemoryError,
)
"""What Postgres or the way to it says when the same work may succeed later."""


@dataclass(slots=True)
class Topology:
    """Topics and their shards, as the `log` schema holds them; topics never lose shards."""

    shards: dict[str, list[int]] = field(default_factory=dict)

    def shard(self, topic: str, key: str) -> int:
        """The shard of a key: the same in every process and for as long as the topic is not grown."""
        try:
            shards = self.shards[topic]
        except KeyError:
            raise Misconfigured(f"topic {topic} does not exist in the log: run `baton migrate`") from None
        return shards[crc32(key.encode()) % len(shards)]


@dataclass(slots=True)
class Database:
    """A pool of prepared connections to one database."""

    pool: "asyncpg.Pool[asyncpg.Record]"
    lookouts: "asyncpg.Pool[asyncpg.Record]"
    """Connections whose role is the scanning one."""
    clock: Clock
    ids: Ids
    dsn: str = field(default="", repr=False)
    """Where it is; may hold a password."""
    topology: Topology = field(default_factory=Topology)
    holds_log: bool = False
    """The event log is read from this database: whoever has read an event and commits makes durable what led to it."""
    passed: Passed = field(default_factory=Passed)
    """What the sequencer of this process, where there is one, has behind it."""
    on_append: list[OnAppend] = field(default_factory=list)
    """Called after each commit that appended events; must not block."""

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str, *, clock: Clock, ids: Ids, size: int = 16) -> AsyncIterator[Self]:
        """Connects; Retryable while the server is away."""
        try:
            # Only what has begun a transaction may write: its BEGIN is not waited for.
            pool = await _pool(dsn, min_size=1, max_size=size, default_transaction_read_only="on")
            # What the sequencer moves may be lost in a crash and is moved again; whoever commits after it has read it
            # makes it durable too, for the server writes its log in one order.
            lookouts = await _pool(dsn, min_size=0, max_size=LOOKOUTS, role=SCAN_ROLE, synchronous_commit="off")
        except AWAY as error:
            raise Retryable(f"the database is away: {error}") from error
        try:
            yield cls(pool=pool, lookouts=lookouts, clock=clock, ids=ids, dsn=dsn)
        finally:
            await _close(lookouts)
            await _close(pool)

    async def load_topology(self) -> None:
        """Reads which shards each topic has; at start, and after topics were added."""
        async with self.connection() as connection:
            rows = await connection.fetch("SELECT id, topic FROM log.shard ORDER BY topic, partition")
        shards: dict[str, list[int]] = {}
        for row in rows:
            shards.setdefault(row["topic"], []).append(row["id"])
        self.topology.shards = shards

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"]:
        """A bare connection as the role that owns the schemas, for what is asked of the catalogue alone.

        Raises Retryable as `transaction` does.
        """
        with _reaching():
            async with self.pool.acquire(timeout=10) as connection:
                yield connection

    async def system(self) -> str:
        """Which system this database is, among others that share something with it."""
        async with self.pool.acquire(timeout=10) as connection:
            return str(await connection.fetchval("SELECT id FROM log.system"))

    async def look(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """One statement by the scanning role, in one round trip: for what is asked all the time.

        Raises Retryable as `transaction` does.
        """
        with _reaching():
            async with self.lookouts.acquire(timeout=10) as connection:
                rows: list[asyncpg.Record] = await connection.fetch(*columns.packed(sql, arguments))
        return rows

    @asynccontextmanager
    async def transaction(
        self, scope: Scope, *, schema: str = "platform", traceparent: str | None = None, lazy: bool = False
    ) -> AsyncIterator[Transaction]:
        """One transaction in one scope; commits when the block ends, rolls back when it raises.

        A `lazy` one does not wait for the disk, where the event log is in this database: a crash of the server may take
        it with all that came after it, so it is for work that is then found undone and done again.

        Raises Retryable when the database is away, busy or was too slow; then nothing was committed, except that a
        connection lost during COMMIT itself leaves it open whether it was: callers must be safe to run again.
        """
        with _reaching():
            async with self.pool.acquire(timeout=10) as connection:
                is_lazy = lazy and self.holds_log
                tx = Transaction(connection, self, scope, schema=schema, traceparent=traceparent, is_lazy=is_lazy)
                try:
                    tx.begin()
                    yield tx
                    await tx.commit()
                except BaseException as error:
                    if isinstance(error, asyncpg.InternalClientError):
                        # Client and server have lost each other's thread: nobody else should be given this connection.
                        connection.terminate()
                    await tx.rollback()
                    raise
        tx.run_after_commit()


@contextmanager
def _reaching() -> Iterator[None]:
    """What the database or the way to it could not do is Retryable, whatever its class."""
    before = cancellations()
    try:
        yield
    except AWAY as error:
        if cancellations() > before:
            # A connection that is lost while its statement is being cancelled fails to go back to the pool, and that
            # error takes the cancellation's place: whoever repeats what is Retryable would never end.
            raise asyncio.CancelledError from error
        raise Retryable(f"the database is away or busy: {type(error).__name__}: {error}") from error


async def _pool(dsn: str, *, min_size: int, max_size: int, **session: str) -> "asyncpg.Pool[asyncpg.Record]":
    return await asyncpg.create_pool(
        dsn,
        connection_class=Session,
        min_size=min_size,
        max_size=max_size,
        timeout=10,
        command_timeout=COMMAND_TIMEOUT,
        server_settings={**SESSION, **session},
        init=_prepare,
        reset=_keep,
        statement_cache_size=512,
        max_inactive_connection_lifetime=300,
    )


async def _keep(_: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> None:
    # Nothing of a session survives a transaction (all settings are LOCAL), so the reset round trip is saved.
    return


async def _close(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    # Neither a connection that hangs nor one that breaks may keep the process from leaving.
    try:
        async with asyncio.timeout(5):
            await pool.close()
    except AWAY:
        pool.terminate()


async def _prepare(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    def encode(value: Any) -> str:
        return msgspec.json.encode(value).decode()

    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=encode, decoder=msgspec.json.decode)
    version = connection.get_server_version()
    if version.major * 10_000 + version.minor >= WITH_TRANSACTION_TIMEOUT:
        await connection.execute(f"SET transaction_timeout = '{TRANSACTION_TIMEOUT}'")
