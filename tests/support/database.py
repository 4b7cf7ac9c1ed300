"""A database that dies under a Baton which lives on, and how long it takes until messages move again."""

import asyncio
import os
import secrets
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import asyncpg

from shared.db.embedded import EmbeddedPostgres
from shared.log.background import running
from tests.support.burst import Round
from tests.support.callers import until
from tests.support.disk import Disk
from tests.support.page import Page, deliver, unique
from tests.support.system import System

PATIENCE: Final = 15
"""Seconds until messages move again: above the five that are promised, so that a busy machine fails no test."""


@dataclass(kw_only=True)
class Outage:
    """The embedded Postgres of a system is killed; its supervisor starts it again."""

    system: System
    dsn: str
    recovered_after: float = 0.0
    """Seconds from the moment at which the database answered again to the next message on a ticket."""

    async def die(self) -> None:
        """SIGKILL to the postmaster; Baton is not told."""
        os.kill(self._pid, signal.SIGKILL)

    async def revive(self) -> None:
        """Waits for the database, and then for Baton."""
        # How long Postgres itself takes to recover is up to the disk.
        before = await until(self._messages, within=90, every=0.01)
        back = time.monotonic()

        async def moves() -> bool:
            return (await self._messages() or 0) > before

        await until(moves, within=60)
        self.recovered_after = time.monotonic() - back

    @property
    def _pid(self) -> int:
        return int((self.system.data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])

    async def _messages(self) -> int | None:
        with suppress(OSError, asyncpg.PostgresError):
            connection = await asyncpg.connect(self.dsn, timeout=5)
            try:
                return int(await connection.fetchval("SELECT count(*) FROM tickets.message"))
            finally:
                await connection.close(timeout=5)
        return None


@dataclass(kw_only=True)
class ForeignOutage(Outage):
    """The same for a Postgres that nobody but the test starts again, after it has looked at what that is like."""

    server: EmbeddedPostgres
    meanwhile: Callable[[], Awaitable[None]]

    async def revive(self) -> None:
        """Starts it once the test has seen enough."""
        await self.server.exited()
        await self.meanwhile()
        async with running(self.server.keep_running):
            await super().revive()

    @property
    def _pid(self) -> int:
        return self.server.pid


@dataclass(kw_only=True)
class FullDisk(ForeignOutage):
    """The disk under that Postgres is full, for tables first and then for the write-ahead log, which ends it."""

    disk: Disk
    page: Page
    story: Round

    async def die(self) -> None:
        """What is acknowledged until nothing is any more counts."""
        self.disk.fill()
        await until(self._refused, every=0)
        await self._end()

    async def revive(self) -> None:
        """There is room again once the test has seen enough."""
        async with running(self.server.keep_running):
            async with running(self._stay_full):
                await self.meanwhile()
            self.disk.free()
            await Outage.revive(self)

    async def _stay_full(self) -> None:
        """Postgres exits, or begins again and again, or comes back on the room of old segments, which is taken as well."""
        while True:
            self.disk.fill()
            await self._end()
            await asyncio.sleep(0.02)

    async def _end(self) -> None:
        """Writes to the write-ahead log until the server gives up."""
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection = await asyncpg.connect(self.dsn, timeout=5)
            while True:
                await connection.execute("SELECT pg_logical_emit_message(false, 'test', repeat('x', 1000000))")

    async def _refused(self) -> bool:
        author, item = unique(), f"{self.page.post}_{unique()}"
        # Too long for a row, so that its table needs room, and too random to be packed.
        body = self.page.comment(author, secrets.token_hex(20_000), item=item)
        answer = await deliver(self.page.admin.http, self.page, body)
        if answer.status_code == 200:
            self.story.items[item] = author
        return answer.status_code == 503
