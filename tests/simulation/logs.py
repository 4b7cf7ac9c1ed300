"""The event logs of a seed: the one on Postgres as it is, or the product's relay before a broker in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from shared.db.pool import Database
from shared.db.transaction import Transaction
from shared.log.background import running
from shared.log.port import Fetched, Gap, Log, Record, StaleMember, Subscription
from shared.log.postgres import Pace, PostgresLog
from shared.log.relay import Outgoing, Relay, RelayPace
from tests.simulation.broker import Broker, Place
from tests.simulation.loop import OWNER

ALONE: Final = timedelta(seconds=5)
TOGETHER: Final = timedelta(seconds=1)
"""Between two polls. A process that is alone wakes itself; others only find what somebody else did."""

HEARTBEAT: Final = timedelta(seconds=4)
TTL: Final = timedelta(seconds=9)

Open = Callable[[Database], AbstractAsyncContextManager[Log]]


def on_postgres(poll: timedelta) -> Open:
    """How a process opens the log that is on Postgres, as it is."""
    pace = Pace(poll=poll, heartbeat=HEARTBEAT, member_ttl=TTL, trim=timedelta(days=1))
    return lambda database: PostgresLog.open(database, pace=pace)


def on_broker(broker: Broker, poll: timedelta) -> Open:
    """How a process opens the log that is on the broker: its relay, and its part of the groups."""

    @asynccontextmanager
    async def open_log(database: Database) -> AsyncIterator[Log]:
        carrier = Relay(database, _Outlet(broker), pace=RelayPace(poll=poll, heartbeat=HEARTBEAT, ttl=TTL))
        carrier._signal = _Silence()  # type: ignore[assignment]
        database.on_append.append(carrier.notify)
        async with running(carrier.run):
            yield BrokerLog(broker)

    return open_log


class BrokerLog(Log):
    """One process's view of the broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    @asynccontextmanager
    async def subscribe(
        self, group: str, topics: Sequence[str], *, member: str | None = None
    ) -> AsyncIterator["BrokerSubscription"]:
        """Joins a group and leaves it at the end."""
        del member
        subscription = BrokerSubscription(self._broker, group)
        await self._broker.ask(lambda: self._broker.join(group, topics, subscription))
        self._broker.listen(subscription.stirred)
        subscription.is_in = True
        try:
            yield subscription
        finally:
            subscription.is_in = False
            self._broker.forget(subscription.stirred)
            self._broker.leave(group, subscription)

    @asynccontextmanager
    async def tail(self, topics: Sequence[str]) -> AsyncIterator[AsyncIterator[Record | Gap]]:
        """Records from now on."""
        stirred = asyncio.Event()
        self._broker.listen(stirred)
        try:
            yield self._follow(topics, stirred)
        finally:
            self._broker.forget(stirred)

    async def _follow(self, topics: Sequence[str], stirred: asyncio.Event) -> AsyncIterator[Record | Gap]:
        places = {place: end for topic in topics for place, end in self._broker.end(topic).items()}
        while True:
            stirred.clear()
            for place, start in list(places.items()):
                for record in self._broker.read(place, start, 500):
                    places[place] = record.position + 1
                    yield record
            await stirred.wait()

    async def lag(self, group: str, topics: Sequence[str]) -> Mapping[tuple[str, int], int]:
        """Nobody asks in a seed."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _Part:
    place: Place
    generation: int
    start: int
    stop: int


class BrokerSubscription(Subscription):
    """One member: reads ahead, commits after the effects, hears of a new generation when it next talks."""

    def __init__(self, broker: Broker, group: str) -> None:
        self._broker = broker
        self._group = group
        self._owner: Any = OWNER.get()
        self._generation = -1
        self._read: dict[Place, int] = {}
        self._done: dict[Place, int] = {}
        self.is_in = False
        self.stirred = asyncio.Event()

    @property
    def is_silent(self) -> bool:
        """Whether nobody sends signs of life for it: who never heard that it has joined, is dead, or stands still."""
        stands_still = self._owner is not None and (self._owner.is_dead or self._owner.stash is not None)
        return stands_still or not self.is_in

    async def fetch(self, *, max_records: int, max_wait: timedelta) -> Fetched:
        """The next records."""
        until = asyncio.get_running_loop().time() + max_wait.total_seconds()
        while True:
            self.stirred.clear()
            if self._broker.generation(self._group, self) != self._generation:
                self._generation, owned = await self._broker.ask(lambda: self._broker.owned(self._group, self))
                self._read, self._done = dict(owned), dict(owned)
            records: list[Record] = []
            parts: list[_Part] = []
            limit = self._broker.some(max_records)
            for place in self._broker.shuffled(self._read):
                start = self._read[place]
                if found := self._broker.read(place, start, limit - len(records)):
                    self._read[place] = start + len(found)
                    parts.append(_Part(place, self._generation, start, start + len(found)))
                    records += found
            rest = until - asyncio.get_running_loop().time()
            if records or rest <= 0:
                return Fetched(records=records, claim=tuple(parts))
            try:
                async with asyncio.timeout(rest):
                    await self.stirred.wait()
            except TimeoutError:
                continue

    async def commit_with(self, tx: Transaction, batch: Fetched) -> None:
        """Nothing but a look at what this member knows already."""
        del tx
        self._check(batch)

    async def commit_after(self, batch: Fetched) -> None:
        """Moves the group's positions behind the batch."""
        parts = self._check(batch)
        ahead = {part.place: part.stop for part in parts}
        await self._broker.ask(lambda: self._broker.commit(self._group, self, self._generation, ahead))
        self._done.update(ahead)

    def rewind(self, batch: Fetched) -> None:
        """Reads again from what is committed, as far as is known."""
        for part in _parts(batch):
            if part.generation == self._generation:
                self._read[part.place] = self._done[part.place]

    def _check(self, batch: Fetched) -> Sequence[_Part]:
        parts = _parts(batch)
        for part in parts:
            if part.generation != self._generation or self._done[part.place] < part.start:
                raise StaleMember("the batch's partitions were handed out again")
        return parts


class _Outlet:
    """The broker as the relay sees it."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def send(self, events: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """Some of the first ones, or all."""
        some = events[: self._broker.some(len(events))]
        await self._broker.ask(lambda: self._broker.append(some))
        return some


class _Silence:
    """In place of NOTIFY: polling is the truth."""

    def tell(self) -> None:
        """Nobody hears."""

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.Event().wait()


def _parts(batch: Fetched) -> Sequence[_Part]:
    assert isinstance(batch.claim, tuple)
    return batch.claim
