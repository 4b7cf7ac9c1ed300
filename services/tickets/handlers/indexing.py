"""The index of words takes in what is new beside the batches that write it."""

import asyncio
from typing import Final, Never

from services.tickets import NAME
from services.tickets.store import search
from shared.db.pool import Database
from shared.db.scope import Scan
from shared.log.background import persevering

PAUSE: Final = 0.5
"""Seconds between two steps while there is something new. Until then it is found as well, one text after the other."""

IDLE: Final = 2.0
"""Seconds until the next look where nothing was."""


class Indexing:
    """The loop; in several processes they wait for each other, and the later one finds nothing left."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> Never:
        """Until cancelled."""
        await persevering(self._turn)

    async def step(self) -> int:
        """Takes in what is new, and returns how many pages that were."""
        async with self._database.transaction(Scan(), schema=NAME, lazy=True) as tx:
            return await search.index(tx)

    async def _turn(self) -> None:
        await asyncio.sleep(PAUSE if await self.step() else IDLE)
