"""A tail on Kafka: every partition from now on, without a group."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer

from shared.errors import Retryable
from shared.log.background import PATIENCE
from shared.log.kafka.cluster import reaching
from shared.log.port import Gap, Record

_AT_ONCE: Final = 500


class KafkaTail(AsyncIterator[Record | Gap]):
    """Never ends and never fails while the broker is away; it goes on where it was, or says what it left out."""

    def __init__(self, consumer: AIOKafkaConsumer, *, topic: Callable[[str], str], patience: int) -> None:
        self._consumer = consumer
        self._topic = topic
        self._patience = patience
        self._ready: deque[Record | Gap] = deque()

    async def begin(self) -> None:
        """Finds where now is."""
        with reaching("find the end of a topic"):
            async with asyncio.timeout(30):
                await self._consumer.seek_to_end()

    async def __anext__(self) -> Record | Gap:
        failures = 0
        while not self._ready:
            try:
                with reaching("tail"):
                    await self._look()
            except Retryable:
                await asyncio.sleep(PATIENCE.delay(failures).total_seconds())
                failures += 1
        return self._ready.popleft()

    async def _look(self) -> None:
        found = await self._consumer.getmany(timeout_ms=1000, max_records=_AT_ONCE)
        records = [record for batch in found.values() for record in batch]
        self._ready.extend(self._record(record) for record in records)
        if len(records) < _AT_ONCE:
            return
        behind = 0
        for partition in self._consumer.assignment():
            behind += max(0, (self._consumer.highwater(partition) or 0) - await self._consumer.position(partition))
        if behind > self._patience:
            await self._consumer.seek_to_end()
            self._ready.append(Gap(missed=behind))

    def _record(self, record: Any) -> Record:
        return Record(
            topic=self._topic(record.topic),
            partition=record.partition,
            position=record.offset,
            key=record.key.decode(),
            headers=record.headers,
            value=record.value,
        )
