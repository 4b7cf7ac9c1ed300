"""What measurements stand on: a durable Postgres of their own, and fresh migrated databases on it."""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg

from services import assembly
from shared.clock import SystemClock
from shared.db import migrate
from shared.db.embedded import EmbeddedPostgres
from shared.db.pool import Database
from shared.events.catalogue import TOPICS
from shared.ids import TimeOrderedIds

SHARDS: Final = 8
"""Of each topic: what `baton up` has by default."""


class Missing(Exception):
    """A tool or a part of the system is not here: the part is reported as not measured."""


@dataclass(slots=True, kw_only=True)
class Stage:
    """What every part gets."""

    seconds: float
    """How long one figure is measured, where the part has no reason to differ."""
    rows: int
    """Tickets in the list."""
    _server: EmbeddedPostgres | None = None
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    _made: int = 0

    @contextlib.asynccontextmanager
    async def database(self, *, size: int = 16) -> AsyncIterator[tuple[str, Database]]:
        """A fresh migrated database on the run's own durable server: its DSN, and a pool of it."""
        if self._server is None:
            folder = self._stack.enter_context(temporary_folder())
            self._server = await self._stack.enter_async_context(
                EmbeddedPostgres.start(folder / "data", settings={"max_connections": "200"})
            )
        self._made += 1
        name, maintenance = f"bench_{self._made}", self._server.dsn_of("postgres")
        await _execute(maintenance, f"CREATE DATABASE {name}")
        dsn = self._server.dsn_of(name)
        try:
            await migrate.migrate(dsn, assembly.schemas(), topics=dict.fromkeys(TOPICS, SHARDS))
            async with Database.open(dsn, clock=SystemClock(), ids=TimeOrderedIds(), size=size) as database:
                await database.load_topology()
                yield dsn, database
        finally:
            await _execute(maintenance, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def close(self) -> None:
        """Ends the server."""
        await self._stack.aclose()


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Gone with the block; the account that Postgres runs as may pass through."""
    with tempfile.TemporaryDirectory(prefix="baton-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


async def _execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=120)
    try:
        await connection.execute(sql)
    finally:
        await connection.close(timeout=5)
