"""One Postgres server and one migrated template per test session, and a database of its own for every test."""

import asyncio
import contextlib
import itertools
import os
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from typing import Any, Final, TypeVar

import asyncpg

from shared.clock import Clock, SystemClock
from shared.db import migrate
from shared.db.embedded import EmbeddedPostgres
from shared.db.pool import Database
from shared.events.catalogue import TOPICS
from shared.ids import TimeOrderedIds
from tests.support.session import Session

T = TypeVar("T")

SCHEMAS: Final = [
    "shared.db.tables:LOG_SCHEMA",
    "shared.platform.tables:SCHEMA",
    "services.ingest.store.tables:SCHEMA",
    "services.router.store.tables:SCHEMA",
    "services.tickets.store.tables:SCHEMA",
    "services.notifier.store.tables:SCHEMA",
    "tests.support.demo:SCHEMA",
]
"""Every schema that the template holds, as `module:name`; a new service adds its own line."""

SHARDS: Final = 4
"""Shards of each topic: enough to show what partitions do, few enough to stay quick."""


IS_LAZY: Final = "SELECT source = 'session' FROM pg_settings WHERE name = 'synchronous_commit'"
"""Whether this transaction said that it does not wait for the disk; the server of tests never does."""

PATIENCE: Final = 20.0
"""Seconds that a drop may take; a database that stays goes with its server."""


class Server:
    """A server that all workers of one test session share."""

    def __init__(self, session: str) -> None:
        self._session = Session(session)
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._stack = contextlib.AsyncExitStack()
        self._numbers = itertools.count(1)
        self._found: dict[str, str] = {}
        # Two threads, as who makes the next database may not stand behind who drops the last.
        self._making = ThreadPoolExecutor(1)
        self._clearing = ThreadPoolExecutor(1)
        self._spare: Future[str] | None = None
        self._dropping: deque[Future[None]] = deque()

    def start(self) -> None:
        """Joins the session's server, or makes it and its template."""
        if not self._found:
            self._found = self._session.join(lambda: self._runner.run(self._make()))

    async def _make(self) -> dict[str, str]:
        folder = os.environ.get("BATON_TEST_DSN_DIR")
        if folder:
            maintenance = f"postgresql://baton@/postgres?host={folder}"
        else:
            # From the main thread, in which pytest and its workers run tests: the server dies with it.
            server = await self._stack.enter_async_context(
                EmbeddedPostgres.start(self._session.home / "data", durable=False, settings={"max_connections": "200"})
            )
            maintenance = server.dsn_of("postgres")
        template = f"baton_template_{os.getpid()}"
        self._stack.push_async_callback(drop_database, maintenance, template)
        await drop_database(maintenance, template)
        await execute(maintenance, f"CREATE DATABASE {template}")
        await migrate_all(in_database(maintenance, template))
        # Nobody may be connected to a database while it is copied.
        await execute(maintenance, f"ALTER DATABASE {template} ALLOW_CONNECTIONS false")
        return {"maintenance": maintenance, "template": template}

    def stop(self) -> None:
        """Leaves; the maker waits for the others first."""
        if self._spare is not None:
            self._drop(self._spare.result())
        self._making.shutdown()
        # What still waits to be dropped goes with the server, unless that is somebody else's.
        self._clearing.shutdown(cancel_futures="BATON_TEST_DSN_DIR" not in os.environ)
        self._look_at_dropped()
        self._session.leave(lambda: self._runner.run(self._stack.aclose()))
        if self._found:
            self._runner.close()

    @property
    def dsn(self) -> str:
        """The server's maintenance database."""
        self.start()
        return self._found["maintenance"]

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The DSN of a migrated database that nobody else uses, dropped at the end."""
        self.start()
        # The next one is made and the last one dropped while tests run, and no test waits for a drop: that waits until
        # every process of the server has heard of it, which has taken minutes beside tests that stop processes.
        name = (self._spare or self._making.submit(self._create)).result()
        self._spare = self._making.submit(self._create)
        try:
            yield in_database(self.dsn, name)
        finally:
            self._drop(name)
            self._look_at_dropped()

    def _create(self) -> str:
        name = f"baton_test_{os.getpid()}_{next(self._numbers)}"
        asyncio.run(execute(self.dsn, f"CREATE DATABASE {name} TEMPLATE {self._found['template']}"))
        return name

    def _drop(self, name: str) -> None:
        self._dropping.append(self._clearing.submit(lambda: asyncio.run(self._dropped(name))))

    async def _dropped(self, name: str) -> None:
        with contextlib.suppress(TimeoutError, asyncpg.QueryCanceledError):
            await drop_database(self.dsn, name, within=PATIENCE)

    def _look_at_dropped(self) -> None:
        while self._dropping and self._dropping[0].done():
            dropped = self._dropping.popleft()
            if not dropped.cancelled():
                dropped.result()


async def migrate_all(dsn: str) -> None:
    """All of SCHEMAS at their heads, and all topics."""
    schemas = []
    for entry in SCHEMAS:
        module, name = entry.split(":")
        schemas.append(getattr(import_module(module), name))
    await migrate.migrate(dsn, schemas, topics=dict.fromkeys(TOPICS, SHARDS))


@contextlib.asynccontextmanager
async def open_database(dsn: str, *, size: int = 16, clock: Clock | None = None) -> AsyncIterator[Database]:
    """A Database with its topology loaded."""
    async with Database.open(dsn, clock=clock or SystemClock(), ids=TimeOrderedIds(), size=size) as database:
        await database.load_topology()
        yield database


@contextlib.asynccontextmanager
async def beside(database: Database) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """A connection with none of the pool's settings, which write only inside of transactions."""
    connection = await asyncpg.connect(database.dsn, timeout=10)
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


def cut_connections(database: Database) -> None:
    """Every connection is gone at once, as when the network or the server is."""
    for holder in (*database.pool._holders, *database.lookouts._holders):
        if holder._con is not None:
            holder._con._transport.abort()


@contextlib.asynccontextmanager
async def backup(database: Database, table: str) -> AsyncIterator[asyncpg.Connection]:
    """Sees the table as it is now, for as long as this lasts: what is deleted meanwhile stays in its indexes."""
    async with database.pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        await connection.fetchval(f"SELECT count(*) FROM {table}")
        yield connection


async def entries_read(database: Database, index: str) -> int:
    """Of this index, since it was made, by the sessions that looked or wrote last: others may not have said so yet."""
    async with database.lookouts.acquire() as connection:
        await connection.execute("SELECT pg_stat_force_next_flush()")
    async with database.pool.acquire() as connection:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        return int(
            await connection.fetchval("SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = $1", index)
        )


def in_database(dsn: str, name: str) -> str:
    """The same server, another database."""
    return dsn.replace("@/postgres?", f"@/{name}?")


async def drop_database(maintenance: str, name: str, *, within: float = 180) -> None:
    """Gone, whoever is connected."""
    await execute(maintenance, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", within=within)


def blocking(work: Coroutine[Any, Any, T]) -> T:
    """Runs `work` to its end from a place without a loop, or inside somebody else's."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def execute(dsn: str, sql: str, *, within: float = 60) -> None:
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=within)
    try:
        await connection.execute(sql)
    finally:
        await connection.close(timeout=5)
