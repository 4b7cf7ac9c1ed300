"""Processes that share one database and one broker, under a prefix of their own."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Final

from shared.db.pool import Database
from shared.events.catalogue import TOPICS
from shared.log.kafka import Cluster, KafkaLog, Pace, Topic, ensure_topics
from shared.log.relay import RelayPace
from shared.telemetry.metrics import Metrics
from tests.support.logs import Process
from tests.support.waiting import answer

PARTITIONS: Final = 4
QUICK: Final = Pace(
    session=timedelta(seconds=3),
    heartbeat=timedelta(milliseconds=300),
    hold=timedelta(milliseconds=700),
    metadata=timedelta(seconds=2),
    retry=timedelta(milliseconds=100),
)
"""Fails over soon, and still lets a live member wait for a core."""

SILENT: Final = replace(QUICK, heartbeat=timedelta(hours=1))
RELAY: Final = RelayPace(
    poll=timedelta(milliseconds=20), heartbeat=timedelta(milliseconds=100), ttl=timedelta(milliseconds=2_000)
)

OpenDatabase = Callable[[], AbstractAsyncContextManager[Database]]


class KafkaRig:
    """What the contract suite needs of this adapter."""

    def __init__(self, servers: str, prefix: str, open_database: OpenDatabase) -> None:
        self.cluster = Cluster(servers=(servers,), prefix=prefix, pace=QUICK)
        self._open = open_database

    async def create_topics(self, partitions: int = PARTITIONS) -> list[str]:
        """As `baton migrate` does."""
        wanted = Topic(partitions=partitions, retention_ms=3_600_000)
        return await ensure_topics(self.cluster, dict.fromkeys(TOPICS, wanted))

    @asynccontextmanager
    async def process(self, *, silent: bool = False, cluster: Cluster | None = None) -> AsyncIterator[Process]:
        """One process with a relay of its own."""
        found = cluster or (replace(self.cluster, pace=SILENT) if silent else self.cluster)
        async with (
            self._open() as database,
            KafkaLog.open(database, found, metrics=Metrics(), relay=RELAY) as log,
        ):
            yield Process(database, log)


async def relayed(process: Process) -> None:
    """Until everything that was appended is on the broker."""

    async def is_empty() -> bool:
        return not await process.database.pool.fetchval("SELECT EXISTS (SELECT FROM log.queue)")

    await answer(is_empty, within=20)
