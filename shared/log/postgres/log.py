"""The log on Postgres: the rows that transactions append are the log itself."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, Self

import structlog

from shared.db.pool import Database
from shared.db.scope import Scan
from shared.log.background import Wakes, persevering, running
from shared.log.port import Log
from shared.log.postgres.groups import Membership
from shared.log.postgres.pace import Pace
from shared.log.postgres.recent import Recent
from shared.log.postgres.retention import trim
from shared.log.postgres.sequencer import Sequencer
from shared.log.postgres.subscription import PostgresSubscription
from shared.log.postgres.tail import PostgresTail

TAIL_PATIENCE: Final = 10_000
"""A tail that is this many records behind skips to the end, and says so."""

_LAG: Final = """
SELECT s.topic, s.partition,
    log.next_position(s.id) - greatest(s.first_position, coalesce(c.position, 0))
    + (SELECT count(*) FROM log.queue q WHERE q.shard = s.id) AS lag
FROM log.shard s LEFT JOIN log.cursor c ON c.consumer_group = $1 AND c.shard = s.id
WHERE s.topic = ANY ($2)
"""


class PostgresLog(Log):
    """The event log of one database; `open` it, so that it is sequenced and trimmed."""

    def __init__(self, database: Database, *, pace: Pace) -> None:
        self._database = database
        self._pace = pace
        self._wakes = Wakes()
        self._recent = Recent()
        self.sequencer = Sequencer(database, self._wakes, self._recent, poll=pace.poll)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        database: Database,
        *,
        pace: Pace | None = None,
        retention: timedelta = timedelta(days=7),
        sequences: bool = True,
    ) -> AsyncIterator[Self]:
        """Runs the sequencer and retention beside the block. Without `sequences`, another process must do both."""
        log = cls(database, pace=pace or Pace())
        database.holds_log = True
        if not sequences:
            yield log
            return
        database.on_append.append(log.sequencer.notify)
        try:
            async with running(log.sequencer.run, lambda: log._keep_trimmed(retention)):
                yield log
        finally:
            database.on_append.remove(log.sequencer.notify)

    @asynccontextmanager
    async def subscribe(
        self, group: str, topics: Sequence[str], *, member: str | None = None
    ) -> AsyncIterator[PostgresSubscription]:
        """Joins a group. Each life of a member has a name of its own, which begins with `member`."""
        name = self._database.ids.new(member or group)
        with self._wakes.listen(topics) as wake, self._recent.reading() as recent:
            subscription = PostgresSubscription(
                self._database, Membership(group, name, tuple(topics)), pace=self._pace, wake=wake, recent=recent
            )
            try:
                await subscription.join()
                async with running(subscription.keep_alive):
                    yield subscription
            finally:
                await subscription.leave()

    @asynccontextmanager
    async def tail(self, topics: Sequence[str], *, patience: int = TAIL_PATIENCE) -> AsyncIterator[PostgresTail]:
        """Records from now on."""
        with self._wakes.listen(topics) as wake:
            tail = PostgresTail(self._database, topics, pace=self._pace, wake=wake, patience=patience)
            await tail.begin()
            yield tail

    async def lag(self, group: str, topics: Sequence[str]) -> Mapping[tuple[str, int], int]:
        """Positions that the group has not committed, and events that have no position yet."""
        async with self._database.transaction(Scan()) as tx:
            rows = await tx.fetch(_LAG, group, list(topics))
        return {(row["topic"], row["partition"]): row["lag"] for row in rows}

    async def trim(self, older_than: timedelta) -> int:
        """Deletes what all groups have committed and is older; returns how many events went."""
        return await trim(self._database, older_than=older_than)

    async def _keep_trimmed(self, older_than: timedelta) -> None:
        async def step() -> None:
            if count := await self.trim(older_than):
                structlog.get_logger().info("log_trimmed", events=count)
            await asyncio.sleep(self._pace.trim.total_seconds())

        await persevering(step)
