"""Wake-ups between processes: coalesced NOTIFYs that save others the wait for their next poll."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, Never

import asyncpg

from shared.db.pool import AWAY, Database
from shared.errors import Retryable
from shared.log.background import persevering, running

CHANNEL: Final = "baton_log"

_NOTIFY: Final = "SELECT pg_notify($1, $2)"
_TIMEOUT: Final = 5.0
_ALIVE_EVERY: Final = 15.0


class Signal:
    """Tells other processes on the same database that something was appended, and hears them.

    Never part of a commit, because NOTIFYs serialise commits; at most one each `pause`, however much is appended.
    What gets lost, or is not passed on by a pooler in transaction mode, is found by polling.
    """

    def __init__(
        self, database: Database, name: str, *, heard: Callable[[], None], pause: timedelta = timedelta(milliseconds=5)
    ) -> None:
        self._database = database
        self._name = name
        self._heard = heard
        self._pause = pause.total_seconds()
        self._wanted = asyncio.Event()

    def tell(self) -> None:
        """Something was appended that another process may be waiting for."""
        self._wanted.set()

    async def run(self) -> None:
        """Tells and listens until cancelled; waits while the database is away."""
        async with running(lambda: persevering(self._tell), lambda: persevering(self._listen)):
            await asyncio.Event().wait()

    async def _tell(self) -> None:
        await self._wanted.wait()
        self._wanted.clear()
        try:
            async with self._database.pool.acquire(timeout=_TIMEOUT) as connection:
                await connection.execute(_NOTIFY, CHANNEL, self._name, timeout=_TIMEOUT)
        except AWAY as error:
            raise Retryable(f"the database is away: {error}") from error
        await asyncio.sleep(self._pause)

    async def _listen(self) -> Never:
        try:
            connection = await asyncpg.connect(self._database.dsn, timeout=_TIMEOUT, command_timeout=_TIMEOUT)
        except AWAY as error:
            raise Retryable(f"the database is away: {error}") from error
        try:
            await connection.add_listener(CHANNEL, self._hear)
            # What was told while nobody listened.
            self._heard()
            while True:
                await asyncio.sleep(_ALIVE_EVERY)
                await connection.execute("SELECT 1")
        except AWAY as error:
            raise Retryable(f"the database is away: {error}") from error
        finally:
            with suppress(*AWAY, asyncpg.PostgresError):
                await connection.close(timeout=1)

    def _hear(self, _connection: Any, _pid: int, _channel: str, name: object) -> None:
        if name != self._name:
            self._heard()
