"""One batch of one group: handled as a whole, or, when that fails, with its failing keys put aside."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog

from shared import failpoints
from shared.db.pool import Database
from shared.db.scope import Batch
from shared.db.transaction import Transaction
from shared.errors import Retryable
from shared.log.consumer.consume import Beforehand, Consume, PoisonFlood
from shared.log.consumer.isolation import Isolation, Outcome
from shared.log.consumer.parking import KeysParked, Parking, Waiting, reason, waiting
from shared.log.port import Fetched, Subscription
from shared.telemetry.metrics import Metrics
from shared.telemetry.spans import OFF, Spans

_LOG: Final = structlog.get_logger()


class BatchWork:
    """Handles batches; what it raises has left nothing behind."""

    def __init__(
        self, database: Database, consume: Consume, parking: Parking, metrics: Metrics, spans: Spans = OFF
    ) -> None:
        self._database = database
        self._consume = consume
        self._parking = parking
        self._metrics = metrics
        self._spans = spans
        self._in_a_row = 0
        self._looks_first = False
        """The last batch had parked keys, so the next one may have some, too."""

    async def handle(self, subscription: Subscription, batch: Fetched, *, is_stuck: bool) -> None:
        """Effects and position in one transaction. Retryable: nothing is wrong with the batch, try it again."""
        items = [
            waiting(
                topic=record.topic,
                partition=record.partition,
                position=record.position,
                key=record.key,
                headers=record.headers,
                value=record.value,
            )
            for record in batch.records
        ]
        started = self._database.clock.elapsed()
        group = self._consume.group
        with self._spans.handling(
            f"process {group}",
            (item.event.traceparent for item in items if item.event),
            {"messaging.consumer.group.name": group, "messaging.batch.message_count": len(items)},
        ):
            while True:
                try:
                    if is_stuck or not await self._whole(subscription, batch, items):
                        await self._apart(subscription, batch, items, is_stuck=is_stuck)
                    break
                except Beforehand as first:
                    await first.ask()
            failpoints.hit("consumer.committed")
            await subscription.commit_after(batch)
            failpoints.hit("consumer.position_committed")
        self._metrics.histogram("baton_consumer_batch_seconds", group=group).observe(
            self._database.clock.elapsed() - started
        )

    async def _whole(self, subscription: Subscription, batch: Fetched, items: Sequence[Waiting]) -> bool:
        committed: list[bool] = []
        try:
            async with self._transaction(items) as tx:
                tx.after_commit(lambda: committed.append(True))
                looks_first = self._looks_first or any(item.fault for item in items)
                ready = await self._put_aside(tx, items) if looks_first else items
                events = [item.event for item in ready if item.event is not None]
                if events:
                    tx.traceparent = events[0].traceparent
                    await self._consume.handler(tx, events)
                if not looks_first:
                    self._parking.expect_none(tx, {item.key for item in items})
                await self._commit(tx, subscription, batch)
        except (Retryable, Beforehand):
            raise
        except KeysParked:
            self._looks_first = True
            return await self._whole(subscription, batch, items)
        except Exception as error:
            if committed:
                raise
            _LOG.warning("batch_failed", group=self._consume.group, reason=": ".join(reason(error)))
            return False
        self._in_a_row = 0
        return True

    async def _apart(
        self, subscription: Subscription, batch: Fetched, items: Sequence[Waiting], *, is_stuck: bool
    ) -> None:
        async with self._transaction(items) as tx:
            ready = await self._put_aside(tx, items)
            isolation = Isolation(tx, self._consume.handler, self._consume.poison, is_stuck=is_stuck)
            if ready:
                await isolation.run(ready)
            in_a_row = 0 if isolation.succeeded else self._in_a_row + len(isolation.failed)
            if in_a_row >= self._consume.poison.in_a_row:
                raise PoisonFlood(f"{in_a_row} keys in a row fail in group {self._consume.group}")
            for outcome in isolation.failed:
                await self._settle(tx, outcome)
            await self._commit(tx, subscription, batch)
        self._in_a_row = in_a_row

    @asynccontextmanager
    async def _transaction(self, items: Sequence[Waiting]) -> AsyncIterator[Transaction]:
        workspaces = Batch(frozenset(item.workspace_id for item in items))
        lazy = not self._consume.is_outward
        async with self._database.transaction(workspaces, schema=self._consume.schema, lazy=lazy) as tx:
            yield tx

    async def _commit(self, tx: Transaction, subscription: Subscription, batch: Fetched) -> None:
        await subscription.commit_with(tx, batch)
        failpoints.hit("consumer.before_commit")

    async def _put_aside(self, tx: Transaction, items: Sequence[Waiting]) -> list[Waiting]:
        """Buries what cannot be read and parks what belongs behind parked keys; returns the rest."""
        for item in items:
            if item.fault is not None:
                await self._parking.bury(tx, item, item.fault)
        readable = [item for item in items if item.fault is None]
        parked = await self._parking.lock_known(tx, {item.key for item in readable})
        self._looks_first = bool(parked)
        if not parked:
            return readable
        await self._parking.append(tx, [item for item in readable if item.key in parked])
        return [item for item in readable if item.key not in parked]

    async def _settle(self, tx: Transaction, outcome: Outcome) -> None:
        for item, fault in outcome.rejected:
            await self._parking.bury(tx, item, fault)
        if outcome.error is not None:
            await self._parking.park(tx, outcome.left, outcome.error, self._consume.backoff.delay(0))
