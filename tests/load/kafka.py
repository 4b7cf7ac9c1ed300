"""The event log on a real Kafka: relay and consumer beside the bare client, and the whole journey over it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from shared.db.pool import Database
from shared.db.scope import Batch
from shared.events.catalogue import MESSAGES, TOPICS
from shared.events.envelope import Encoded
from shared.log.kafka import Cluster, KafkaLog, Topic, ensure_topics
from shared.log.kafka.producer import Producer
from shared.log.relay import Relay
from tests.load import journey
from tests.load.report import Check, Part, Row
from tests.load.stage import SHARDS, Missing, Stage, temporary_folder
from tests.support import kafka
from tests.support.kafka import Broker

VALUE: Final = b"x" * 600
KEYS: Final = 500
PER_SECOND: Final = 6_000
"""Events that are prepared for each second of measuring: what a relay surely does not exceed."""

AT_ONCE: Final = 500
WORKSPACES: Final = frozenset({"w1"})


@asynccontextmanager
async def broker() -> AsyncIterator[Broker]:
    """One of the run's own; Missing where there is no Java or no jar."""
    if why := kafka.missing():
        raise Missing(why)
    with temporary_folder() as folder:
        node = Broker(Path(folder) / "broker")
        try:
            yield await asyncio.to_thread(node.start)
        finally:
            node.stop()


async def run_latency(lab: Stage) -> Part:
    """As embedded, with the event log on Kafka."""
    part = Part(name="latency-kafka", title="Webhook → live stream over Kafka, everything on the same cores")
    async with broker() as node:
        return await journey.latency(lab, part, target=50, environment={"BATON_EVENT_LOG": f"kafka://{node.servers}"})


async def run_sustained(lab: Stage) -> Part:
    """As embedded, with the event log on Kafka."""
    part = Part(name="sustained-kafka", title="The whole journey over Kafka, sustained")
    async with broker() as node:
        return await journey.sustained(
            lab, part, target=1_500, environment={"BATON_EVENT_LOG": f"kafka://{node.servers}"}
        )


async def run_log(lab: Stage) -> Part:
    """The same events, from Postgres by the relay and straight from memory; then read by a group and by the client."""
    part = Part(name="log-kafka", title="The event log on Kafka, one process, broker and Postgres beside it")
    count = round(PER_SECOND * lab.seconds)
    async with lab.database(size=8) as (_, database), broker() as node:
        cluster = Cluster(servers=(node.servers,))
        await ensure_topics(cluster, dict.fromkeys(TOPICS, Topic(partitions=SHARDS, retention_ms=3_600_000)))
        await ensure_topics(cluster, {"bare": Topic(partitions=SHARDS, retention_ms=3_600_000)})
        appended = await _timed(lambda: _append(database, count))
        relayed = await _timed(lambda: _relay(database, cluster))
        sent = await _timed(lambda: _send(cluster, count))
        taken = await _timed(lambda: _consume(database, cluster, count))
        got = await _timed(lambda: _get(cluster, count))
    rows: Sequence[tuple[str, Any, float]] = (
        ("appended to Postgres, 500 in a transaction", "ours", appended),
        ("bare client: send, all at once", "limit", sent),
        ("relay: from Postgres, acknowledged, deleted", "ours", relayed),
        ("bare client: getmany, commit", "limit", got),
        ("consumer: fetch, transaction, commit", "ours", taken),
    )
    part.rows += [Row(name=name, kind=kind, figures={"events/s": count / seconds}) for name, kind, seconds in rows]
    part.checks += [
        Check(what="relay, of the bare client", value=sent / relayed, target=None),
        Check(what="consumer, of the bare client", value=got / taken, target=None),
    ]
    return part


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


def _key(number: int) -> str:
    return f"wsp_1:chn_1:{number % KEYS}"


async def _append(database: Database, count: int) -> None:
    headers = tuple((f"ce_{name}", b"0123456789abcdef") for name in ("id", "type", "source", "time", "workspaceid"))
    for start in range(0, count, AT_ONCE):
        async with database.transaction(Batch(WORKSPACES)) as tx:
            for number in range(start, min(count, start + AT_ONCE)):
                tx.append(Encoded(topic=MESSAGES, key=_key(number), workspace_id="w1", headers=headers, value=VALUE))


async def _relay(database: Database, cluster: Cluster) -> None:
    async with Producer.open(cluster) as producer, asyncio.TaskGroup() as group:
        running = group.create_task(Relay(database, producer).run())
        while await database.pool.fetchval("SELECT EXISTS (SELECT FROM log.queue)"):  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.02)
        running.cancel()


async def _send(cluster: Cluster, count: int) -> None:
    producer = AIOKafkaProducer(**cluster.options(), acks="all", enable_idempotence=True, linger_ms=5)
    await producer.start()
    try:
        sent = [await producer.send("bare", VALUE, key=_key(number).encode()) for number in range(count)]
        await asyncio.wait(sent)
    finally:
        await producer.stop()


async def _consume(database: Database, cluster: Cluster, count: int) -> None:
    log = KafkaLog(database, cluster)
    async with log.subscribe("bench", [MESSAGES]) as subscription:
        read = 0
        while read < count:
            batch = await subscription.fetch(max_records=AT_ONCE, max_wait=timedelta(seconds=1))
            async with database.transaction(Batch(WORKSPACES)) as tx:
                await subscription.commit_with(tx, batch)
            await subscription.commit_after(batch)
            read += len(batch.records)


async def _get(cluster: Cluster, count: int) -> None:
    consumer = AIOKafkaConsumer(
        "bare", **cluster.options(), group_id="bare", enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        read = 0
        while read < count:
            found: dict[TopicPartition, list[Any]] = await consumer.getmany(timeout_ms=1000, max_records=AT_ONCE)
            read += sum(map(len, found.values()))
            if found:
                await consumer.commit()
    finally:
        await consumer.stop()
