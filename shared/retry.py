"""Waiting before trying again: exponential back-off with full jitter, bounded by a deadline and a stop event."""

import asyncio
import random as chance
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from shared.errors import Retryable

T = TypeVar("T")
Random = Callable[[], float]
"""A number in [0, 1), as `random.random` gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait at most before the n-th repetition: `base * factor ** n`, never above `cap`."""

    base: timedelta = timedelta(milliseconds=100)
    cap: timedelta = timedelta(seconds=30)
    factor: float = 2.0

    def ceiling(self, attempt: int) -> timedelta:
        """The longest wait before this repetition; the first is number 0."""
        try:
            seconds = self.base.total_seconds() * self.factor**attempt
        except OverflowError:
            return self.cap
        return timedelta(seconds=min(seconds, self.cap.total_seconds()))

    def delay(self, attempt: int, *, random: Random = chance.random, retry_after: float | None = None) -> timedelta:
        """Anything up to the ceiling, so that callers spread out; never less than what the other side asked for."""
        jittered = self.ceiling(attempt) * random()
        return jittered if retry_after is None else max(jittered, timedelta(seconds=retry_after))

    def delays(self, *, random: Random = chance.random) -> Iterator[timedelta]:
        """The waits one after another, without end."""
        attempt = 0
        while True:
            yield self.delay(attempt, random=random)
            attempt += 1


async def pause(delay: timedelta, stop: asyncio.Event) -> bool:
    """Waits so long, or until stopped; returns whether to go on."""
    try:
        async with asyncio.timeout(delay.total_seconds()):
            await stop.wait()
    except TimeoutError:
        return not stop.is_set()
    return False


def cancellations() -> int:
    """How often this task was asked to end; code that clean-up made say something else can see it by the difference."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


async def retrying(
    call: Callable[[], Awaitable[T]],
    *,
    within: timedelta,
    stop: asyncio.Event,
    backoff: Backoff = Backoff(),
    random: Random = chance.random,
) -> T:
    """Calls until it succeeds; only Retryable errors are repeated.

    The last of them is raised once stopped, or as soon as the next wait would end after `within`: the caller's
    deadline is kept, and nobody sleeps only to give up. A call that hangs is the caller's to bound.
    """
    now = asyncio.get_running_loop().time
    deadline = now() + within.total_seconds()
    attempt = 0
    while True:
        try:
            return await call()
        except Retryable as error:
            delay = backoff.delay(attempt, random=random, retry_after=error.retry_after)
            if now() + delay.total_seconds() > deadline or not await pause(delay, stop):
                raise
        attempt += 1
