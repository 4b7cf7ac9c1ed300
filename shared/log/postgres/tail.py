"""A tail on Postgres: positions from now on, without a group; it holds no buffer, only its place."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final

from shared.db.pool import Database
from shared.errors import Retryable
from shared.log.background import PATIENCE, woken
from shared.log.port import Gap, Record
from shared.log.postgres.pace import Pace
from shared.log.postgres.reading import read

_AT_ONCE: Final = 500
"""Records of one shard that are read together, and so the most that a tail keeps in memory per shard."""

_PLACES: Final = "SELECT id, topic, partition, log.next_position(id) AS next FROM log.shard WHERE topic = ANY ($1)"


class PostgresTail(AsyncIterator[Record | Gap]):
    """Never ends and never fails while the database is away; it goes on where it was, or says what it left out."""

    def __init__(
        self, database: Database, topics: Sequence[str], *, pace: Pace, wake: asyncio.Event, patience: int
    ) -> None:
        self._database = database
        self._topics = list(topics)
        self._pace = pace
        self._wake = wake
        self._patience = patience
        self._names: dict[int, tuple[str, int]] = {}
        self._places: dict[int, int] = {}
        self._ready: deque[Record | Gap] = deque()

    async def begin(self) -> None:
        """Finds where now is."""
        self._places = await self._ends()

    async def __anext__(self) -> Record | Gap:
        failures = 0
        while not self._ready:
            self._wake.clear()
            try:
                await self._look()
            except Retryable:
                await asyncio.sleep(PATIENCE.delay(failures).total_seconds())
                failures += 1
                continue
            if not self._ready:
                await woken(self._wake, within=self._pace.poll)
        return self._ready.popleft()

    async def _look(self) -> None:
        ends = await self._ends()
        behind = {shard: end - self._places.get(shard, 0) for shard, end in ends.items()}
        missed = sum(behind.values())
        if missed > self._patience:
            self._places = ends
            self._ready.append(Gap(missed=missed))
            return
        starts = {shard: self._places[shard] for shard, count in behind.items() if count > 0}
        if not starts:
            return
        for row in await read(self._database, starts, share=_AT_ONCE, limit=_AT_ONCE * len(starts)):
            self._places[row.shard] = row.position + 1
            self._ready.append(row.record(*self._names[row.shard]))

    async def _ends(self) -> dict[int, int]:
        rows = await self._database.look(_PLACES, self._topics)
        self._names = {row["id"]: (row["topic"], row["partition"]) for row in rows}
        ends = {row["id"]: row["next"] for row in rows}
        for shard in ends:
            self._places.setdefault(shard, 0)
        return ends
