"""What the relay sends through: an idempotent producer, one piece of a partition at a time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Self
from zlib import crc32

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from shared.errors import Retryable
from shared.log.kafka.closing import abandon_producer
from shared.log.kafka.cluster import Cluster, reaching
from shared.log.kafka.owner import check_owner
from shared.log.relay import Outgoing

LARGEST_PIECE: Final = 512 * 1024
"""Bytes of one partition that are sent together; one event may be larger."""

LARGEST_REQUEST: Final = 64 * 1024 * 1024
"""The broker's own limit is the one that counts: `max.message.bytes` of the topic."""


class Producer:
    """The broker as the relay needs it.

    An error means that nobody knows what arrived: then the producer is replaced, because what it still has in hand
    must not arrive behind what is sent next. Its successor sends the same events again, in the same order.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._life: _Life | None = None
        self._starting = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(cls, cluster: Cluster) -> AsyncIterator[Self]:
        """Connects when it is first needed: a process starts, and takes in work, while the broker is away."""
        producer = cls(cluster)
        try:
            yield producer
        finally:
            if producer._life is not None:
                await producer._life.end()

    async def send(self, events: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """As the relay's port says."""
        life = await self._living()
        try:
            with reaching("send events"):
                async with asyncio.timeout(self._cluster.pace.delivery.total_seconds()):
                    return await self._send(life, events)
        except Retryable as error:
            if isinstance(error.__cause__, MessageSizeTooLargeError):
                largest = max(len(event.value) for event in events)
                raise Retryable(f"Kafka refuses an event of {largest} bytes: raise max.message.bytes") from error
            await self._replace(life)
            raise

    async def _send(self, life: "_Life", events: Sequence[Outgoing]) -> list[Outgoing]:
        pieces: dict[tuple[str, int], tuple[Any, list[Outgoing]]] = {}
        full: set[tuple[str, int]] = set()
        counts: dict[str, int] = {}
        for event in events:
            topic = self._cluster.name(event.topic)
            if topic not in counts:
                counts[topic] = len(await life.client.partitions_for(topic))
            key = event.key.encode()
            # Of our own choice, so that it is one call in C; nobody else writes to these topics.
            place = (topic, crc32(key) % counts[topic])
            if place in full:
                continue
            batch, taken = pieces.setdefault(place, (life.client.create_batch(), []))
            stamp = round(event.appended_at.timestamp() * 1000)
            if batch.append(key=key, value=event.value, timestamp=stamp, headers=list(event.headers)) is None:
                full.add(place)
            else:
                taken.append(event)
        # One after the other: which of two shards goes first into one partition must not depend on the scheduler.
        arrivals = [
            await life.client.send_batch(batch, topic, partition=partition)
            for (topic, partition), (batch, _) in pieces.items()
        ]
        await life.arrived(arrivals)
        return [event for _, taken in pieces.values() for event in taken]

    async def _living(self) -> "_Life":
        async with self._starting:
            if self._life is None:
                with reaching("start a producer"):
                    self._life = await _Life.begin(self._cluster)
            return self._life

    async def _replace(self, life: "_Life") -> None:
        async with self._starting:
            if self._life is life:
                self._life = None
                await life.end()


class _Life:
    """One producer from its start until its first error."""

    def __init__(self, client: AIOKafkaProducer) -> None:
        self.client = client
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def begin(cls, cluster: Cluster) -> Self:
        client = AIOKafkaProducer(
            **cluster.options(),
            acks="all",
            enable_idempotence=True,
            max_batch_size=LARGEST_PIECE,
            max_request_size=LARGEST_REQUEST,
        )
        try:
            async with asyncio.timeout(cluster.pace.delivery.total_seconds()):
                await client.start()
                check_owner(cluster, (await client.client.fetch_all_metadata()).topics())
        except BaseException:
            await abandon_producer(client)
            raise
        return cls(client)

    async def arrived(self, arrivals: "Sequence[asyncio.Future[Any]]") -> None:
        """Waits for every acknowledgment; KafkaError when one failed, or when the producer ended meanwhile."""
        left: set[asyncio.Future[Any]] = set(arrivals)
        try:
            while left:
                done, left = await asyncio.wait({*left, self._ended}, return_when=asyncio.FIRST_COMPLETED)
                for arrival in done - {self._ended}:
                    arrival.result()
                if self._ended.done():
                    raise KafkaError("the producer was replaced")
                left.discard(self._ended)
        finally:
            for arrival in left - {self._ended}:
                arrival.cancel()

    async def end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)
        await abandon_producer(self.client)
