"""Letting go of the client's objects within a time, whatever state they are in; each way around it is named."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

SECONDS: Final = 5.0


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leaves its group, if the broker can be told; else that finds out by the session."""
    await _within(SECONDS, consumer.stop, "kafka_consumer_abandoned")
    # A fetch that waits to be repeated makes `stop` end early, as if it were cancelled: its connections stay open.
    await _within(SECONDS, consumer._client.close, "kafka_client_abandoned")  # noqa: SLF001


async def abandon_producer(producer: AIOKafkaProducer) -> None:
    """Now, and not when the broker has taken all that it has in hand, which is what its own `stop` waits for."""
    await _within(SECONDS, producer.client.close, "kafka_client_abandoned")
    if producer._sender is not None:  # noqa: SLF001 - there is no abort
        await _within(SECONDS, producer._sender.close, "kafka_producer_abandoned")  # noqa: SLF001
    producer._closed = True  # noqa: SLF001 - so that it does not complain about having been forgotten


async def _within(seconds: float, close: Callable[[], Awaitable[None]], otherwise: str) -> None:
    async def closing() -> None:
        try:
            await close()
        except (KafkaError, OSError) as error:
            structlog.get_logger().info(otherwise, reason=f"{type(error).__name__}: {error}")

    # In a task of its own: what is cancelled in there must not look as if we were.
    async with asyncio.TaskGroup() as group:
        task = group.create_task(closing())
        _, late = await asyncio.wait({task}, timeout=seconds)
        if late:
            structlog.get_logger().warning(otherwise, reason=f"not closed within {seconds:.0f} s")
            task.cancel()
