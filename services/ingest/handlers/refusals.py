"""Requests with wrong signatures, by channel: counted in memory and written together, so that a flood costs nothing."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Final

from services.ingest import NAME
from services.ingest.store import intake as store
from shared.db.pool import Database
from shared.db.scope import Batch
from shared.errors import Retryable

EVERY: Final = timedelta(seconds=1)


class Refusals:
    """What `GET /v1/channels/{id}/health` tells of signatures. Up to a second of counts is lost with the process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, workspace_id: str, channel_id: str) -> None:
        """One more."""
        self._counts[workspace_id, channel_id] += 1

    async def run(self) -> None:
        """Writes what has come together, once a second."""
        while True:
            await asyncio.sleep(EVERY.total_seconds())
            await self.flush()

    async def flush(self) -> None:
        """Writes now; counts stay while the database is away."""
        counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            workspaces = Batch(frozenset(workspace for workspace, _ in counts))
            async with self._database.transaction(workspaces, schema=NAME) as tx:
                await store.count_refusals(tx, counts)
        except Retryable:
            self._counts.update(counts)
