"""A handler that keeps a diary, and the little that tests of consumers need around it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from shared.db.pool import Database
from shared.db.scope import Batch, Workspace
from shared.db.transaction import Transaction
from shared.events.catalogue import MESSAGES
from shared.events.envelope import Event
from shared.events.messages import ChannelChanged
from shared.log.consumer import Consume, Consumer
from shared.log.port import Log
from shared.log.postgres import Pace
from shared.retry import Backoff
from shared.telemetry.metrics import Metrics
from tests.support.waiting import answer

QUICK: Final = Pace(
    poll=timedelta(milliseconds=20), heartbeat=timedelta(milliseconds=50), member_ttl=timedelta(seconds=5)
)

PARKED: Final = "SELECT key, attempts, reason FROM demo.parked ORDER BY key"
QUEUED: Final = "SELECT convert_from(value, 'UTF8')::jsonb ->> 'name' FROM demo.parked_event ORDER BY id"
DEAD: Final = (
    "SELECT convert_from(value, 'UTF8')::jsonb ->> 'name', error_class, attempts FROM demo.dead_letter ORDER BY id"
)
"""Questions for `rows`."""


def channel(name: str, *, workspace: str = "w1") -> ChannelChanged:
    """An event whose name is all that matters."""
    return ChannelChanged(
        workspace_id=workspace, channel_id="c", network="n", name=name, external_id="e", purpose="brand", state="active"
    )


async def say(database: Database, key: str, *names: str, workspace: str = "w1", traceparent: str | None = None) -> None:
    """Publishes one event per name, all of one key."""
    async with database.transaction(Workspace(workspace), traceparent=traceparent) as tx:
        for name in names:
            tx.emit(channel(name, workspace=workspace), key=key)


@dataclass
class Diary:
    """Writes every event into demo.seen; fails at names that are listed in `faults`."""

    faults: dict[str, BaseException] = field(default_factory=dict)
    calls: list[list[str]] = field(default_factory=list)
    traces: list[str | None] = field(default_factory=list)

    async def __call__(self, tx: Transaction, events: Sequence[Event]) -> None:
        names = [event.data.name for event in events]
        self.calls.append(names)
        self.traces.append(tx.traceparent)
        await tx.execute(
            "INSERT INTO demo.seen (workspace_id, key, name) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])",
            [event.workspace_id for event in events],
            [event.key for event in events],
            names,
        )
        for name in names:
            if fault := self.faults.get(name):
                raise fault


def consume(handler: object, **changes: object) -> Consume:
    """A group that loses no time."""
    quick = Consume(
        group="demo",
        topics=(MESSAGES,),
        schema="demo",
        handler=handler,
        max_wait=timedelta(milliseconds=50),
        backoff=Backoff(base=timedelta(milliseconds=10), cap=timedelta(milliseconds=10)),
        drain_every=timedelta(milliseconds=20),
    )
    return replace(quick, **changes)


@asynccontextmanager
async def consuming(
    database: Database, log: Log, what: Consume, *, metrics: Metrics | None = None
) -> AsyncIterator[Consumer]:
    """A consumer beside the block, stopped at its end."""
    consumer = Consumer(database, log, what, metrics=metrics or Metrics())
    async with asyncio.TaskGroup() as group:
        group.create_task(consumer.run())
        try:
            yield consumer
        finally:
            consumer.stop()


async def rows(database: Database, sql: str, *arguments: object, workspaces: Sequence[str] = ("w1", "w2")) -> list:
    """A question to the demo schema."""
    async with database.transaction(Batch(frozenset((*workspaces, "_unknown"))), schema="demo") as tx:
        return [tuple(row) for row in await tx.fetch(sql, *arguments)]


async def seen(database: Database, key: str | None = None) -> list[str]:
    """The names in the diary, in order."""
    found = await rows(database, "SELECT name FROM demo.seen WHERE $1::text IS NULL OR key = $1 ORDER BY id", key)
    return [name for (name,) in found]


async def until_seen(database: Database, count: int, *, within: float = 10.0) -> list[str]:
    """Waits until that many names are in the diary."""

    async def enough() -> list[str]:
        names = await seen(database)
        return names if len(names) >= count else []

    return await answer(enough, within=within)


async def lag(log: Log) -> int:
    """Events that the group has not handled."""
    return sum((await log.lag("demo", [MESSAGES])).values())


async def no_lag(log: Log) -> bool:
    """Whether the group has handled everything."""
    return await lag(log) == 0


async def nothing_parked(database: Database) -> bool:
    """Whether no key waits."""
    return await rows(database, PARKED) == []
