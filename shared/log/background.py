"""Loops that live as long as a block, waits between failures, and wake-ups within the process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import Any, Final, Never

from shared.errors import Retryable
from shared.retry import Backoff, cancellations

PATIENCE: Final = Backoff(cap=timedelta(seconds=5))
"""How long loops wait for a dependency; short, because they poll and nobody else is told when it is back."""


@asynccontextmanager
async def running(*loops: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Runs loops beside the block. They end with it; one that fails ends the block with its own error."""
    failure: Exception | None = None
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(loop()) for loop in loops]
            try:
                yield
            except Exception as error:  # noqa: BLE001 - raised again below, without the group around it
                failure = error
            finally:
                for task in tasks:
                    task.cancel()
    except ExceptionGroup as group_error:
        raise group_error.exceptions[0] from None
    if failure is not None:
        raise failure


async def persevering(step: Callable[[], Awaitable[object]]) -> Never:
    """Repeats a step until cancelled; waits, longer each time, while what it depends on is away."""
    before = cancellations()
    failures = 0
    while True:
        try:
            await step()
        except Retryable as error:
            if cancellations() > before:
                # What failed while it was being cancelled is not to be repeated.
                raise asyncio.CancelledError from error
            await asyncio.sleep(PATIENCE.delay(failures, retry_after=error.retry_after).total_seconds())
            failures += 1
        else:
            failures = 0


class Wakes:
    """Wake-ups by topic. They only save the wait for the next poll, which finds what they miss."""

    def __init__(self) -> None:
        self._listeners: dict[asyncio.Event, frozenset[str]] = {}

    @contextmanager
    def listen(self, topics: Iterable[str]) -> Iterator[asyncio.Event]:
        """An event that is set whenever one of the topics has something new."""
        event = asyncio.Event()
        self._listeners[event] = frozenset(topics)
        try:
            yield event
        finally:
            del self._listeners[event]

    def wake(self, topics: Iterable[str]) -> None:
        """Something new in these topics."""
        names = frozenset(topics)
        for event, wanted in self._listeners.items():
            if wanted & names:
                event.set()


async def woken(event: asyncio.Event, *, within: timedelta) -> None:
    """Returns when the event is set or the time is over; the event is clear afterwards."""
    if not event.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(within.total_seconds()):
                await event.wait()
    event.clear()
