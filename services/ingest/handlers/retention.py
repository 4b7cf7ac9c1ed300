"""Letting go of what is old, every ten minutes and in every process: what two drop at once is dropped once."""

import asyncio
from datetime import timedelta
from typing import Final

from services.ingest.store import retention as store
from shared.db.pool import Database
from shared.log.background import persevering

EVERY: Final = timedelta(minutes=10)


class Retention:
    """Raw deliveries go after some weeks, items that nothing was heard of after years."""

    def __init__(self, database: Database, *, inbox: timedelta, items: timedelta) -> None:
        self._database = database
        self._inbox = inbox
        self._items = items

    async def run(self) -> None:
        """Until cancelled."""
        await persevering(self._round)

    async def purge(self) -> int:
        """Drops everything that is too old now; returns how many deliveries and items went."""
        deliveries = await store.purge_inbox(self._database, older_than=self._inbox)
        return deliveries + await store.purge_items(self._database, older_than=self._items)

    async def _round(self) -> None:
        await asyncio.sleep(EVERY.total_seconds())
        await self.purge()
