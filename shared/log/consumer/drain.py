"""Drains parked keys: tries their heads again when they are due, in order, and gives up on heads out of budget."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog

from shared.db.pool import Database
from shared.db.scope import Batch, Scan
from shared.db.transaction import Transaction
from shared.errors import Retryable
from shared.log.consumer.consume import Beforehand, Consume
from shared.log.consumer.isolation import in_order
from shared.log.consumer.parking import ParkedKey, Parking, Waiting, reason

KEYS_AT_ONCE: Final = 50
EVENTS_AT_ONCE: Final = 100
"""Of one key in one transaction, for appenders wait for it."""

POSTPONED: Final = timedelta(seconds=5)
"""When something that the head needs is away: not its own fault, so not a try."""

_LOG: Final = structlog.get_logger()


class Drain:
    """The queue of each parked key of one group. Any replica may drain any key; each has one drainer at a time."""

    def __init__(self, database: Database, consume: Consume, parking: Parking) -> None:
        self._database = database
        self._consume = consume
        self._parking = parking

    async def step(self) -> bool:
        """Gives each due key one turn; says whether some may have more to do at once."""
        async with self._database.transaction(Scan(), schema=self._consume.schema) as tx:
            due = await tx.fetch(self._parking.due, self._consume.group, KEYS_AT_ONCE)
        has_more = len(due) == KEYS_AT_ONCE
        for row in due:
            has_more |= await self._key(row["key"], row["workspace_id"])
        return has_more

    async def _key(self, key: str, workspace: str) -> bool:
        scope = Batch(frozenset((workspace,)))
        try:
            async with self._database.transaction(scope, schema=self._consume.schema) as tx:
                parked = await self._parking.lock_due(tx, key)
                return parked is not None and await self._turn(tx, key, parked)
        except Beforehand as first:
            await first.ask()
            return True
        except Retryable as error:
            _LOG.warning("key_postponed", group=self._consume.group, key=key, reason=": ".join(reason(error)))
            async with self._database.transaction(scope, schema=self._consume.schema) as tx:
                await self._parking.postpone(tx, key, POSTPONED)
            return False

    async def _turn(self, tx: Transaction, key: str, parked: ParkedKey) -> bool:
        items = await self._parking.head(tx, key, EVENTS_AT_ONCE)
        left: Sequence[Waiting] = items
        while left:
            outcome = await in_order(tx, self._consume.handler, left)
            for item, fault in outcome.rejected:
                await self._bury(tx, item, fault, parked if item is items[0] else None)
            await self._parking.remove(tx, [*outcome.handled, *(item for item, _ in outcome.rejected)])
            if outcome.error is None:
                break
            head = outcome.left[0]
            history = parked if head is items[0] else None
            attempts = history.attempts + 1 if history else 1
            if attempts < self._consume.tries:
                wait = self._consume.backoff.delay(attempts - 1)
                await self._parking.fail(tx, key, attempts, outcome.error, wait)
                return False
            await self._bury(tx, head, outcome.error, history)
            await self._parking.remove(tx, [head])
            left = outcome.left[1:]
        if len(items) == EVENTS_AT_ONCE:
            await self._parking.renew(tx, key)
            return True
        await self._parking.unpark(tx, key)
        return False

    async def _bury(self, tx: Transaction, item: Waiting, error: Exception, history: ParkedKey | None) -> None:
        """`history`: what is known of the queue's first event, the only one that may have failed before."""
        attempts, since = (history.attempts + 1, history.failed_since) if history else (1, None)
        await self._parking.bury(tx, item, error, attempts=attempts, since=since)
