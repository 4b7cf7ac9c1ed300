"""The loop around the normalizer: takes its share of the shards, wakes when something is stored, steps around bugs."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from services.ingest import NAME
from services.ingest.handlers.normalizer import Normalizer
from services.ingest.settings import IngestSettings
from services.ingest.store.shards import SHARES
from shared.db.pool import Database
from shared.db.scope import Scan
from shared.errors import Misconfigured, Retryable
from shared.log.background import persevering, running, woken

TRIES: Final = 3
"""A delivery that makes its transaction fail so often, alone, is put aside."""

_LEAVE_SECONDS: Final = 2.0


class Worker:
    """One member among those that normalize."""

    def __init__(self, database: Database, normalizer: Normalizer, *, member: str, settings: IngestSettings) -> None:
        self._database = database
        self._normalizer = normalizer
        self._member = member
        self._ttl = timedelta(milliseconds=settings.normalizer_ttl_ms)
        self._heartbeat = timedelta(milliseconds=settings.normalizer_heartbeat_ms)
        self._poll = timedelta(milliseconds=settings.normalizer_poll_ms)
        self._batch = settings.normalizer_batch
        self._woken = asyncio.Event()
        self._careful = 0
        """Deliveries that are still to be taken one by one, because a batch failed."""
        self._failures = 0
        self._has_given_up = False
        """A second one right after the first would not be the delivery's fault."""

    def wake(self) -> None:
        """Something was stored, or changed hands."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled; what it owns goes to the others at once."""
        try:
            async with running(self._beats):
                await persevering(self._work)
        finally:
            await self.leave()

    async def _beats(self) -> None:
        await persevering(self._beat)

    async def _beat(self) -> None:
        await self.share()
        await asyncio.sleep(self._heartbeat.total_seconds())

    async def _work(self) -> None:
        # Cleared before the look: what is stored from here on wakes us again.
        self._woken.clear()
        count = await self.step()
        if count and (self._normalizer.has_more or self._careful):
            return
        await woken(self._woken, within=self._poll)

    async def share(self) -> None:
        """One heartbeat: gives back what is too much, takes what is free."""
        async with self._database.transaction(Scan(), schema=NAME) as tx:
            share = await SHARES.beat(tx, self._member, ttl=self._ttl)
            if share.owned > share.fair:
                await SHARES.give(tx, self._member, share.owned - share.fair)
            elif share.owned < share.fair and await SHARES.take(tx, self._member, share.fair - share.owned):
                tx.after_commit(self.wake)

    async def step(self) -> int:
        """One batch, or one delivery while a culprit is looked for; raises what is nobody's single fault."""
        try:
            count = await self._normalizer.step(most=1 if self._careful else None)
        except (Retryable, Misconfigured):
            raise
        except Exception as error:
            if self._careful:
                self._failures += 1
            self._careful = self._batch
            if self._failures < TRIES:
                structlog.get_logger().exception("normalizer_failed", error=type(error).__name__)
                return 1
            if self._has_given_up:
                raise
            await self._normalizer.give_up_first(f"{type(error).__name__} in {TRIES} transactions")
            self._has_given_up = True
            self._failures = 0
            return 1
        if count:
            self._has_given_up = False
            self._failures = 0
            self._careful = max(0, self._careful - count)
        return count

    async def leave(self) -> None:
        try:
            async with asyncio.timeout(_LEAVE_SECONDS), self._database.transaction(Scan(), schema=NAME) as tx:
                await SHARES.leave(tx, self._member)
        except (Retryable, TimeoutError):
            # The lease ends by itself.
            return
