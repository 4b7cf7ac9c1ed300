"""The log on Kafka: a relay carries what transactions append, groups and tails read it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError

from shared.db.pool import Database
from shared.db.scope import Scan
from shared.errors import Misconfigured
from shared.log.background import running
from shared.log.kafka.closing import SECONDS, stop_consumer
from shared.log.kafka.cluster import Cluster, reaching
from shared.log.kafka.noise import Noise
from shared.log.kafka.owner import check_owner
from shared.log.kafka.producer import Producer
from shared.log.kafka.subscription import KafkaSubscription, Stalled
from shared.log.kafka.tail import KafkaTail
from shared.log.port import Log
from shared.log.relay import Relay, RelayPace
from shared.telemetry.metrics import Metrics

TAIL_PATIENCE: Final = 10_000
"""A tail that is this many records behind skips to the end, and says so."""

STALLS: Final = 2
"""Members of one group that stall one after the other, without one record between them, before the process ends."""

NOT_SENT: Final = -1
"""The partition, in `lag`, of what the relay has still to send."""

_QUEUED: Final = """
SELECT s.topic, count(*) AS count FROM log.queue q JOIN log.shard s ON s.id = q.shard
WHERE s.topic = ANY ($1) GROUP BY s.topic
"""


class KafkaLog(Log):
    """The event log of one cluster; `open` it, so that what is appended is relayed."""

    def __init__(self, database: Database, cluster: Cluster) -> None:
        self._database = database
        self._cluster = cluster
        self._stalls: dict[str, int] = {}

    @classmethod
    @asynccontextmanager
    async def open(
        cls, database: Database, cluster: Cluster, *, metrics: Metrics, relay: RelayPace | None = None
    ) -> AsyncIterator[Self]:
        """Runs the relay beside the block; begins while the broker is away, too."""
        cluster = replace(cluster, system=await database.system())
        log = cls(database, cluster)
        async with Producer.open(cluster) as producer:
            carrier = Relay(database, producer, pace=relay)
            database.on_append.append(carrier.notify)
            try:
                with Noise(metrics).caught(logging.getLogger("aiokafka")):
                    async with running(carrier.run):
                        yield log
            finally:
                database.on_append.remove(carrier.notify)

    @asynccontextmanager
    async def subscribe(
        self, group: str, topics: Sequence[str], *, member: str | None = None
    ) -> AsyncIterator[KafkaSubscription]:
        """Joins a group. A static member (BATON_KAFKA_MEMBER) keeps its partitions over a quick restart."""
        pace = self._cluster.pace
        name = member or group
        static = f"{self._cluster.member}-{name}" if self._cluster.member else None
        consumer = AIOKafkaConsumer(
            **self._cluster.options(),
            client_id=f"baton-{name}",
            group_id=self._cluster.name(group),
            group_instance_id=static,
            session_timeout_ms=round(pace.session.total_seconds() * 1000),
            heartbeat_interval_ms=round(pace.heartbeat.total_seconds() * 1000),
            rebalance_timeout_ms=round((pace.session + pace.hold).total_seconds() * 1000),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=250,
            # The range assignor would give all first partitions to the first member.
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
        )
        subscription = KafkaSubscription(consumer, self._cluster)
        consumer.subscribe([self._cluster.name(topic) for topic in topics], listener=subscription)
        try:
            with reaching("join a group"):
                async with asyncio.timeout(pace.join.total_seconds()):
                    await consumer.start()
                    check_owner(self._cluster, await consumer.topics())
            yield subscription
        except Stalled as error:
            self._stalled(name, error)
            raise
        finally:
            if subscription.has_got_something:
                self._stalls.pop(name, None)
            await stop_consumer(consumer)

    def _stalled(self, name: str, error: Stalled) -> None:
        self._stalls[name] = self._stalls.get(name, 0) + 1
        if self._stalls[name] >= STALLS:
            raise Misconfigured(f"group {name} makes no progress, and a new member did not either: {error}") from error

    @asynccontextmanager
    async def tail(self, topics: Sequence[str], *, patience: int = TAIL_PATIENCE) -> AsyncIterator[KafkaTail]:
        """Records from now on."""
        consumer = AIOKafkaConsumer(
            *(self._cluster.name(topic) for topic in topics),
            **self._cluster.options(),
            client_id="baton-tail",
            auto_offset_reset="latest",
            enable_auto_commit=False,
            fetch_max_wait_ms=250,
        )
        try:
            with reaching("tail"):
                async with asyncio.timeout(self._cluster.pace.join.total_seconds()):
                    await consumer.start()
                    check_owner(self._cluster, await consumer.topics())
            tail = KafkaTail(consumer, topic=self._cluster.topic, patience=patience)
            await tail.begin()
            yield tail
        finally:
            await stop_consumer(consumer)

    async def lag(self, group: str, topics: Sequence[str]) -> Mapping[tuple[str, int], int]:
        """What the group has not committed, and, as partition -1, what was not sent yet; for a moment, both."""
        async with self._database.transaction(Scan()) as tx:
            rows = await tx.fetch(_QUEUED, list(topics))
        found = {(row["topic"], NOT_SENT): int(row["count"]) for row in rows}
        admin = AIOKafkaAdminClient(**self._cluster.options(), client_id="baton-lag")
        consumer = AIOKafkaConsumer(**self._cluster.options(), client_id="baton-lag")
        try:
            with reaching("ask for the lag"):
                async with asyncio.timeout(self._cluster.pace.request.total_seconds()):
                    await admin.start()
                    await consumer.start()
                    found |= await self._behind(admin, consumer, group, topics)
        finally:
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(SECONDS):
                    await admin.close()
            await stop_consumer(consumer)
        return found

    async def _behind(
        self, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, group: str, topics: Sequence[str]
    ) -> dict[tuple[str, int], int]:
        names = [self._cluster.name(topic) for topic in topics]
        described = await admin.describe_topics(names)
        partitions = [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in described
            for partition in topic["partitions"]
        ]
        committed = await admin.list_consumer_group_offsets(self._cluster.name(group), partitions=partitions)
        ends = await consumer.end_offsets(partitions)
        starts = await consumer.beginning_offsets(partitions)
        behind = {}
        for each in partitions:
            offset = committed[each].offset if each in committed else -1
            behind[self._cluster.topic(each.topic), each.partition] = max(0, ends[each] - max(offset, starts[each]))
        return behind
