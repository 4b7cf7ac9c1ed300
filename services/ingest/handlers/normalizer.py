"""From the inbox to the log: one owner per shard, in inbox order, a batch of deliveries per transaction."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

import structlog

from services.ingest import NAME
from services.ingest.domain.batch import Account, Batch, Located, Published, Reading, accounts, locate
from services.ingest.domain.deliveries import Delivery, Settled, key_of
from services.ingest.settings import IngestSettings
from services.ingest.store import normalized as store
from services.ingest.store import shards
from services.ingest.store.shards import Queue, Waiting
from shared import failpoints
from shared.db.pool import Database
from shared.db.scope import Batch as Scope
from shared.db.transaction import Transaction
from shared.events.catalogue import TYPE_OF
from shared.networks.port import Network
from shared.telemetry import traces
from shared.telemetry.metrics import Metrics
from shared.telemetry.spans import OFF, Spans

BREATH: Final = 16
"""Deliveries that are parsed before other tasks of the process get their turn."""


class Normalizer:
    """Works off the shards that `member` owns. Several may run in any number of processes."""

    def __init__(
        self,
        database: Database,
        *,
        member: str,
        networks: Mapping[str, Network],
        settings: IngestSettings,
        metrics: Metrics,
        spans: Spans = OFF,
    ) -> None:
        self._database = database
        self._member = member
        self._queue = Queue(database, member)
        self._networks = networks
        self._most = settings.normalizer_batch
        self._most_bytes = settings.normalizer_batch_bytes
        self._metrics = metrics
        self._spans = spans
        self.has_more = False
        """The last step left something behind that it has seen, or may have."""

    async def step(self, *, most: int | None = None) -> int:
        """Normalizes what waits, at most one batch; returns how many deliveries that was."""
        since = self._database.clock.now()
        waiting = await self._waiting(most or self._most)
        if not waiting:
            return 0
        async with self._transaction(waiting) as tx:
            settled = await self._normalize(tx, waiting)
            failpoints.hit("normalizer.before_commit")
        failpoints.hit("normalizer.committed")
        for outcome in settled:
            self._metrics.counter("baton_inbox_deliveries_total", state=outcome.state).inc()
        if self._spans.is_on:
            begun = [traces.begun_by(entry.inbox_id) for entry in waiting]
            self._spans.began(begun, "normalize", since=since, until=self._database.clock.now())
        return len(waiting)

    async def give_up_first(self, reason: str) -> None:
        """Settles the delivery that comes next without reading it: it has made whole transactions fail."""
        waiting = await self._waiting(1)
        if not waiting:
            return
        async with self._transaction(waiting) as tx:
            shards.done(tx, waiting, member=self._member)
            settled = [_failed(entry.inbox_id, "normalizer-failed", reason) for entry in waiting]
            store.write(tx, settled, known={}, events=())
        structlog.get_logger().error("delivery_given_up", inbox_ids=[entry.inbox_id for entry in waiting])

    async def _waiting(self, most: int) -> list[Waiting]:
        waiting = await self._queue.waiting(most)
        taken = _bounded(waiting, self._most_bytes)
        self.has_more = len(taken) < len(waiting) or self._queue.has_more
        return taken

    def _transaction(self, waiting: Sequence[Waiting]) -> AbstractAsyncContextManager[Transaction]:
        workspaces = Scope(frozenset(entry.workspace_id for entry in waiting))
        return self._database.transaction(workspaces, schema=NAME, lazy=True)

    async def _normalize(self, tx: Transaction, waiting: Sequence[Waiting]) -> list[Settled]:
        deliveries = await store.deliveries(tx, waiting)
        failed, readings = await self._read(deliveries)
        located = await self._locate(tx, readings, failed)
        batch = await _load(tx, located)
        settled = [*await self._apply(batch, located), *failed.values()]
        shards.done(tx, waiting, member=self._member)
        _write(tx, batch, settled)
        return settled

    async def _read(self, deliveries: Sequence[Delivery]) -> tuple[dict[str, Settled], list[Reading]]:
        failed: dict[str, Settled] = {}
        readings: list[Reading] = []
        for number, delivery in enumerate(deliveries, start=1):
            network = self._networks.get(delivery.network)
            if network is None:
                failed[delivery.id] = _failed(
                    delivery.id, "unknown-network", f"no network is called {delivery.network}"
                )
                continue
            try:
                parsed = network.parse(delivery.body)
            except Exception as error:  # noqa: BLE001 - a bug in one parser must not block the others' deliveries
                failed[delivery.id] = self._bug(delivery.id, error)
                continue
            readings.append(Reading(delivery=delivery, parsed=parsed, capabilities=network.capabilities))
            if number % BREATH == 0:
                await asyncio.sleep(0)
        return failed, readings

    async def _locate(self, tx: Transaction, readings: Sequence[Reading], failed: dict[str, Settled]) -> list[Located]:
        others = accounts(readings)
        channels: Mapping[Account, str] = await store.channels(tx, others) if others else {}
        located = []
        for reading in readings:
            try:
                located.append(locate(reading, channels))
            except Exception as error:  # noqa: BLE001 - what a parser made may be no item after all
                failed[reading.delivery.id] = self._bug(reading.delivery.id, error)
        return located

    async def _apply(self, batch: Batch, located: Sequence[Located]) -> list[Settled]:
        settled = []
        for number, one in enumerate(located, start=1):
            try:
                settled.append(batch.settle(one))
            except Exception as error:  # noqa: BLE001 - the batch is as before, and the next delivery may do
                settled.append(self._bug(one.reading.delivery.id, error))
            if number % BREATH == 0:
                await asyncio.sleep(0)
        return settled

    def _bug(self, inbox_id: str, error: Exception) -> Settled:
        structlog.get_logger().exception("parser_failed", inbox_id=inbox_id, error=type(error).__name__)
        return _failed(inbox_id, "parser-failed", f"{type(error).__name__}: the raw body is kept")


async def _load(tx: Transaction, located: Sequence[Located]) -> Batch:
    keys = {key for one in located for key in one.mentioned()}
    stored = await store.items(tx, keys) if keys else {}
    # What is new and says that it is new cannot have been said before: most batches need not ask.
    candidates = {
        named.event_id
        for one in located
        for channel_id, named in one.items
        if named.item.verb != "received" or (channel_id, named.item.external_id) in stored
    }
    replayed = {one.reading.delivery.id for one in located if one.reading.delivery.replays}
    published = await store.published(tx, ids=candidates, replayed=replayed) if candidates or replayed else []
    return Batch(stored, published)


def _write(tx: Transaction, batch: Batch, settled: Sequence[Settled]) -> None:
    events = []
    for inbox_id, channel_id, emission in batch.emissions:
        data = emission.data
        key = key_of(data.workspace_id, channel_id, data.message.conversation_id)
        tx.traceparent = traces.begun_by(inbox_id)
        tx.emit(data, key=key, event_id=emission.event_id)
        published = Published(
            inbox_id=inbox_id,
            message_id=data.message.id,
            type=TYPE_OF[type(data)].name,
            part=emission.part,
            event_id=emission.event_id,
        )
        events.append((data.workspace_id, published))
    known = {key: (batch.known[key], encoded) for key, encoded in batch.encoded.items()}
    store.write(tx, settled, known=known, events=events)


def _bounded(waiting: Sequence[Waiting], most_bytes: int) -> list[Waiting]:
    """As much as fits, and at least one; what is left out of a shard leaves out all behind it."""
    taken: list[Waiting] = []
    size = 0
    for entry in waiting:
        size += entry.size
        if taken and size > most_bytes:
            break
        taken.append(entry)
    return taken


def _failed(inbox_id: str, code: str, detail: str) -> Settled:
    return Settled(inbox_id=inbox_id, state="not-understood", code=code, detail=detail)
