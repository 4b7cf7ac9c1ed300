"""An event log as tests use it, whichever adapter: processes that share it, records, batches."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from shared.db.pool import Database
from shared.db.scope import Batch, Scan
from shared.events.catalogue import MESSAGES
from shared.events.envelope import Encoded, Headers
from shared.log.port import Fetched, Log, Record, Subscription
from tests.support.waiting import PATIENCE, answer

WORKSPACE = frozenset({"w1"})
SOON = timedelta(seconds=2)
AT_ONCE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Process:
    """What one process has: its own connections and its own log."""

    database: Database
    log: Log


class Rig(Protocol):
    """What the suite needs of an adapter's test set-up. Members must count as dead after at most a second."""

    def process(self, *, silent: bool = False) -> AbstractAsyncContextManager[Process]:
        """A process; the members of a `silent` one send no heartbeat after they joined, and do not leave."""
        ...


def encoded(key: str, value: bytes | str | int, *, topic: str = MESSAGES, headers: Headers = ()) -> Encoded:
    """A record of any bytes."""
    raw = value if isinstance(value, bytes) else str(value).encode()
    return Encoded(topic=topic, key=key, workspace_id="w1", headers=headers, value=raw)


async def append(process: Process, *records: Encoded) -> None:
    """Publishes records in one transaction."""
    async with process.database.transaction(Batch(WORKSPACE)) as tx:
        for record in records:
            tx.append(record)


async def commit(process: Process, subscription: Subscription, batch: Fetched) -> None:
    """Commits as a consumer does."""
    async with process.database.transaction(Batch(WORKSPACE)) as tx:
        await subscription.commit_with(tx, batch)
    await subscription.commit_after(batch)


async def fetch(
    subscription: Subscription, *, max_records: int = 500, max_wait: timedelta = SOON
) -> tuple[Fetched, list[Record]]:
    """One batch."""
    batch = await subscription.fetch(max_records=max_records, max_wait=max_wait)
    return batch, list(batch.records)


async def read(process: Process, subscription: Subscription, count: int, *, max_records: int = 500) -> list[Record]:
    """Fetches and commits until `count` records came."""
    records: list[Record] = []
    async with asyncio.timeout(PATIENCE):
        while len(records) < count:
            batch, new = await fetch(subscription, max_records=max_records)
            await commit(process, subscription, batch)
            records += new
    return records


async def fetched(subscription: Subscription, count: int) -> list[Record]:
    """Fetches without committing until `count` records came."""
    records: list[Record] = []
    async with asyncio.timeout(PATIENCE):
        while len(records) < count:
            records += (await fetch(subscription))[1]
    return records


async def lag_becomes(process: Process, count: int) -> None:
    """An event on its way from one place to the next may be counted in both for a moment."""

    async def is_so() -> bool:
        return sum((await process.log.lag("g", [MESSAGES])).values()) == count

    await answer(is_so)


def by_key(records: Sequence[Record]) -> dict[str, list[int]]:
    """The values of each key, as numbers, in the order in which they came."""
    found: dict[str, list[int]] = defaultdict(list)
    for record in records:
        found[record.key].append(int(record.value))
    return found


def places(records: Sequence[Record]) -> list[tuple[str, int, int]]:
    """Where each record lies."""
    return [(record.topic, record.partition, record.position) for record in records]


async def positions(database: Database) -> list[tuple[int, int]]:
    """Every place that was given on Postgres, with the number that the event there holds."""
    async with database.transaction(Scan()) as tx:
        rows = await tx.fetch(
            "SELECT p.position, e.value FROM log.position p JOIN log.event e ON e.id = p.event_id ORDER BY 1"
        )
    return [(row["position"], int(row["value"])) for row in rows]
