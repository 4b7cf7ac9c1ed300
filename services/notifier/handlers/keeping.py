"""Forgetting: feed entries and deliveries that are older than anybody may resume or replay."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from services.notifier.settings import NotifierSettings
from services.notifier.store import feed
from shared.host import Runtime
from shared.platform.store import workspaces

EVERY: Final = timedelta(minutes=10)
_PAGE: Final = 200


class Keeping:
    """Keeps the feed as long as settings say, and no longer."""

    def __init__(self, runtime: Runtime, settings: NotifierSettings) -> None:
        self._runtime = runtime
        # An event that the log still holds may come again: the feed is what tells that it was there before.
        days = max(settings.feed_retention_days, runtime.settings.log_retention_days + 1)
        self._keep = timedelta(days=days)

    async def run(self) -> None:
        """Until the process leaves."""
        while not self._runtime.stopping.is_set():
            if gone := await self.sweep():
                structlog.get_logger().info("feed_trimmed", entries=gone)
            await asyncio.sleep(EVERY.total_seconds())

    async def sweep(self) -> int:
        """Forgets what is too old in all workspaces; returns how many entries went."""
        gone, after = 0, ""
        while True:
            async with self._runtime.scan() as tx:
                page = await workspaces.page(tx, after=after, limit=_PAGE)
            for workspace in page:
                gone += await self._trim(workspace.id)
            if len(page) < _PAGE:
                return gone
            after = page[-1].id

    async def _trim(self, workspace_id: str) -> int:
        gone = 0
        while True:
            async with self._runtime.batch([workspace_id]) as tx:
                trimmed = await feed.purge(tx, workspace_id, keep=self._keep)
                if trimmed:
                    await feed.purge_deliveries(tx, workspace_id)
            gone += trimmed
            if not trimmed:
                return gone
