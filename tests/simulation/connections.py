"""Pool and connections as a process holds them: asyncpg's, as far as the product uses it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from shared.db.session import Asked
from tests.simulation.database import Postgres
from tests.simulation.loop import OWNER
from tests.simulation.statements import Real, Statement


class Connection:
    """What a process holds of the server."""

    def __init__(self, postgres: Postgres, real: Real) -> None:
        self._postgres = postgres
        self.real: Real | None = real
        self.running: Statement | None = None
        self.is_weighty = False
        """Whether its transaction has written what matters."""
        self.owner: Any = OWNER.get()
        self._is_closed = False

    @property
    def is_gone(self) -> bool:
        """Nobody waits for its answers any more."""
        return self._is_closed or (self.owner is not None and self.owner.is_dead)

    def is_closed(self) -> bool:
        """As asyncpg's."""
        return self.is_gone

    def terminate(self) -> None:
        """As asyncpg's."""
        self.cut(self.running)

    def cut(self, statement: Statement | None, error: Exception | None = None) -> None:
        """The connection is lost; whoever waits hears so."""
        self._is_closed = True
        if statement is not None and not statement.answer.done():
            statement.answer.set_exception(
                error or asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
            )
        self._postgres.abandon(self)

    def send_ahead(self, *asked: Asked, end: str = "") -> None:
        """As the product's session: what it begins is known with the next statement."""
        self.is_weighty = False
        if not self.is_gone and self.real is not None:
            self._postgres.begin_with(self, asked, end)

    async def fetch(self, sql: str, *arguments: Any) -> Any:
        return await self._perform("fetch", sql, *arguments)

    async def fetchrow(self, sql: str, *arguments: Any) -> Any:
        return await self._perform("fetchrow", sql, *arguments)

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        return await self._perform("fetchval", sql, *arguments)

    async def execute(self, sql: str, *arguments: Any) -> Any:
        return await self._perform("execute", sql, *arguments)

    async def fetchrow_and_end(self, sql: str, *arguments: Any) -> Any:
        return await self._perform("fetchrow_and_end", sql, *arguments)

    async def _perform(self, method: str, *arguments: Any) -> Any:
        if self.is_gone or self.real is None:
            raise asyncpg.InterfaceError("connection is closed")
        return await self._postgres.perform(self, method, arguments)


@dataclass(slots=True)
class Pool:
    """In place of asyncpg's: as many connections as it may have, and real ones behind them."""

    postgres: Postgres
    size: int
    is_lookout: bool = False
    held: list[Connection] = field(default_factory=list)
    _slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.size)

    @asynccontextmanager
    async def acquire(self, *, timeout: float) -> AsyncIterator[Connection]:  # noqa: ASYNC109 - asyncpg's name
        """A connection."""
        async with asyncio.timeout(timeout):
            await self._slots.acquire()
        connection = Connection(self.postgres, self.postgres.take(lookout=self.is_lookout))
        self.held.append(connection)
        try:
            yield connection
        finally:
            if not (connection.owner is not None and connection.owner.is_dead):
                self.held.remove(connection)
                if connection.real is not None:
                    self.postgres.give(connection.real)
                    connection.real = None
                self._slots.release()

    def lose(self) -> None:
        """The process has died: so have its connections."""
        for connection in self.held:
            self.postgres.abandon(connection)
        self.held.clear()

    def idle_out(self) -> None:
        """The server ends the transactions of a client that does nothing."""
        for connection in self.held:
            real = connection.real
            if connection.running is None and real is not None and real.is_in_transaction:
                connection.cut(None)
