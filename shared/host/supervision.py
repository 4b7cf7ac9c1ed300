"""Loops that must not end: started again with back-off when they fail, unless an operator has to act first."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import structlog

from shared.clock import Clock
from shared.errors import Misconfigured, Retryable
from shared.log.consumer import PoisonFlood
from shared.retry import Backoff, pause
from shared.telemetry.metrics import Metrics

BACKOFF: Final = Backoff(base=timedelta(milliseconds=250), cap=timedelta(seconds=30))
FLOOD_PAUSE: Final = timedelta(seconds=60)
"""A flood of poison is a bug of ours: looking again soon would only fill the log."""

HEALTHY_AFTER: Final = 60.0
"""Seconds after which a failure counts as the first one again."""

LAG_EVERY: Final = 0.25
LAG_WORTH_TELLING: Final = 0.5


class Supervisor:
    """Keeps the loops of one process running."""

    def __init__(self, clock: Clock, metrics: Metrics, stopping: asyncio.Event) -> None:
        self._clock = clock
        self._metrics = metrics
        self._stopping = stopping

    async def keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Runs a loop until it returns or the process stops; Misconfigured ends the process."""
        failures = 0
        while True:
            started = self._clock.elapsed()
            try:
                await loop()
            except Misconfigured:
                raise
            except Exception as error:  # noqa: BLE001 - told, counted and tried again
                failures = 0 if self._clock.elapsed() - started > HEALTHY_AFTER else failures
                wait = self._told(name, error, failures)
            else:
                return
            failures += 1
            if not await pause(wait, self._stopping):
                return

    def _told(self, name: str, error: Exception, failures: int) -> timedelta:
        self._metrics.counter("baton_task_failures_total", task=name).inc()
        log = structlog.get_logger()
        if isinstance(error, PoisonFlood):
            log.critical("task_stopped", task=name, reason=str(error), again_in=FLOOD_PAUSE.total_seconds())
            return FLOOD_PAUSE
        if isinstance(error, Retryable):
            log.warning("task_waits", task=name, reason=str(error), failures=failures)
            return BACKOFF.delay(failures, retry_after=error.retry_after)
        log.error("task_failed", task=name, failures=failures, exc_info=error)
        return BACKOFF.delay(failures)

    async def watch_loop(self) -> None:
        """Measures how late the event loop wakes: whatever blocks it delays every lease and every answer."""
        gauge = self._metrics.gauge("baton_event_loop_lag_seconds")
        while True:
            due = self._clock.elapsed() + LAG_EVERY
            await asyncio.sleep(LAG_EVERY)
            lag = max(0.0, self._clock.elapsed() - due)
            gauge.set(lag)
            if lag > LAG_WORTH_TELLING:
                structlog.get_logger().warning("event_loop_was_blocked", seconds=round(lag, 3))
