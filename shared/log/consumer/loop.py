"""The loop that runs a consumer group's member: fetch, handle, commit, until it is stopped or cancelled."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from shared.db.pool import Database
from shared.db.scope import Scan
from shared.errors import Retryable
from shared.log.background import PATIENCE, persevering, running
from shared.log.consumer.batch import BatchWork
from shared.log.consumer.consume import Consume
from shared.log.consumer.drain import Drain
from shared.log.consumer.parking import Parking
from shared.log.port import Log, StaleMember, Subscription
from shared.retry import pause
from shared.telemetry.metrics import Metrics
from shared.telemetry.spans import OFF, Spans

WATCH: Final = timedelta(seconds=5)
"""Between two looks at lag and parked keys."""

_LOG: Final = structlog.get_logger()


class Consumer:
    """One member of one group. Cancelling it loses nothing: what is not committed is delivered again."""

    def __init__(self, database: Database, log: Log, consume: Consume, *, metrics: Metrics, spans: Spans = OFF) -> None:
        self._database = database
        self._log = log
        self._consume = consume
        self._metrics = metrics
        self._parking = Parking(consume.schema, consume.group, ids=database.ids, metrics=metrics)
        self._work = BatchWork(database, consume, self._parking, metrics, spans)
        self._drain = Drain(database, consume, self._parking)
        self._stopping = asyncio.Event()
        self._failures = 0
        self._stalls = 0

    def stop(self) -> None:
        """Finish the batch in hand, commit it, leave the group."""
        self._stopping.set()

    async def run(self) -> None:
        """Consumes until stopped; waits while the database or the log is away; raises PoisonFlood, and bugs."""
        while not self._stopping.is_set():
            try:
                async with (
                    self._log.subscribe(self._consume.group, self._consume.topics) as subscription,
                    running(lambda: persevering(self._drain_turn), lambda: persevering(self._watch_turn)),
                ):
                    while not self._stopping.is_set():
                        await self._turn(subscription)
            except Retryable as error:
                await self._wait(error)

    async def _turn(self, subscription: Subscription) -> None:
        try:
            await self._batch(subscription)
        except StaleMember:
            # Its shards moved on, and so do we: those that are ours now are read at once.
            return
        except Retryable as error:
            await self._wait(error)
        else:
            self._failures = 0

    async def _batch(self, subscription: Subscription) -> None:
        batch = await subscription.fetch(max_records=self._consume.max_records, max_wait=self._consume.max_wait)
        if not batch.records:
            return
        try:
            await self._work.handle(subscription, batch, is_stuck=self._stalls >= self._consume.stuck_after)
        except BaseException as error:
            subscription.rewind(batch)
            self._stalls += isinstance(error, Retryable) and not isinstance(error, StaleMember)
            raise
        self._stalls = 0
        if self._consume.rest and len(batch.records) < self._consume.max_records:
            await pause(self._consume.rest, self._stopping)

    async def _wait(self, error: Retryable) -> None:
        _LOG.warning("consumer_waits", group=self._consume.group, failures=self._failures, reason=str(error))
        await pause(PATIENCE.delay(self._failures, retry_after=error.retry_after), self._stopping)
        self._failures += 1

    async def _drain_turn(self) -> None:
        if not await self._drain.step():
            await asyncio.sleep(self._consume.drain_every.total_seconds())

    async def _watch_turn(self) -> None:
        group = self._consume.group
        lag = await self._log.lag(group, self._consume.topics)
        self._metrics.gauge("baton_consumer_lag", group=group).set(sum(lag.values()))
        async with self._database.transaction(Scan(), schema=self._consume.schema) as tx:
            parked = await tx.fetchval(self._parking.count, group)
        self._metrics.gauge("baton_parked_keys", group=group).set(parked)
        await asyncio.sleep(WATCH.total_seconds())
