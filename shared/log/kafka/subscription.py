"""One member of a consumer group on Kafka: fetches ahead of what is committed, commits after the batch's effects."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError

from shared.db.transaction import Transaction
from shared.errors import Retryable
from shared.log.kafka.cluster import Cluster, reaching
from shared.log.port import Fetched, Record, StaleMember, Subscription

CHECK_EVERY: Final = 3
"""Looks for a stall in the time after which it counts as one."""

PLACE_SECONDS: Final = 2
"""How long a client may look for its places in the partitions that it owns, while nothing comes."""


class Stalled(Retryable):
    """This member gets nothing although there is something: another one must take its place."""


@dataclass(slots=True)
class Place:
    """A partition that this member owns: the next offset to fetch, and the next one to commit; None: not known yet."""

    read: int | None = None
    done: int | None = None

    @property
    def is_idle(self) -> bool:
        """Nothing of it is in anybody's hands."""
        return self.read == self.done


@dataclass(frozen=True, slots=True)
class Part:
    """What a batch took from one partition: offsets from `start` up to, not including, `stop`."""

    partition: TopicPartition
    place: Place
    start: int
    stop: int


class KafkaSubscription(Subscription, ConsumerRebalanceListener):  # type: ignore[misc]  # the client has no types
    """A place lives from one assignment of its partition to the next, so a batch from before is known as stale."""

    def __init__(self, consumer: AIOKafkaConsumer, cluster: Cluster) -> None:
        self._consumer = consumer
        self._cluster = cluster
        self._places: dict[TopicPartition, Place] = {}
        self._expected: list[TopicPartition] = []
        """What the group has given us, or, while it hands out partitions again, what we had."""
        self._settled = asyncio.Event()
        self.has_got_something = False
        self._heard_at = 0.0
        self._checked_at = 0.0

    # -- membership ---------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Lets the batch in hand finish and commit, within reason: what is not committed now is handled twice."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._cluster.pace.hold.total_seconds()):
                while not all(self._places[each].is_idle for each in revoked if each in self._places):
                    self._settled.clear()
                    await self._settled.wait()
        self._places.clear()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """New places, even of partitions that were ours before: somebody else may have had them in between."""
        # Some may exist already: the client hands out records before it tells us whose they are.
        self._places = {each: self._places.get(each) or Place() for each in assigned}
        self._expected = list(self._places)
        self._heard_at = self._checked_at = _now()

    # -- reading ------------------------------------------------------------------------------------------------

    async def fetch(self, *, max_records: int, max_wait: timedelta) -> Fetched:
        """The next records of the partitions that this member owns; raises Stalled."""
        seconds = max_wait.total_seconds()
        found: dict[TopicPartition, Sequence[Any]] = {}
        with reaching("fetch"), suppress(TimeoutError):
            # While partitions are handed out again, the client waits without a limit of its own.
            async with asyncio.timeout(seconds):
                found = await self._consumer.getmany(timeout_ms=round(seconds * 1000), max_records=max_records)
        # Taken into hand at once, without a pause: nothing is lost when we are cancelled.
        parts = [part for partition, records in found.items() if (part := self._taken(partition, records))]
        if not parts:
            await self._check_progress()
            return Fetched(records=(), claim=())
        self._heard_at = _now()
        self.has_got_something = True
        ours = {part.partition for part in parts}
        records = [self._record(each) for partition in ours for each in found[partition]]
        return Fetched(records=records, claim=tuple(parts))

    def _taken(self, partition: TopicPartition, records: Sequence[Any]) -> Part | None:
        if not records:
            return None
        place = self._places.setdefault(partition, Place())
        start = records[0].offset if place.read is None else place.read
        if place.done is None:
            place.done = start
        place.read = records[-1].offset + 1
        return Part(partition, place, start, place.read)

    def _record(self, record: Any) -> Record:
        return Record(
            topic=self._cluster.topic(record.topic),
            partition=record.partition,
            position=record.offset,
            key=record.key.decode(),
            headers=record.headers,
            value=record.value,
        )

    async def _check_progress(self) -> None:
        stall, now = self._cluster.pace.stall.total_seconds(), _now()
        if not self._expected or now - self._checked_at < stall / CHECK_EVERY:
            return
        self._checked_at = now
        waiting = 0
        # A broker that cannot be asked is away: then nothing can be expected of us.
        with suppress(Retryable), reaching("ask for the ends"):
            async with asyncio.timeout(self._cluster.pace.request.total_seconds()):
                ends = await self._consumer.end_offsets(self._expected)
            waiting = await self._behind(ends)
        if not waiting:
            self._heard_at = now
        elif now - self._heard_at >= stall:
            raise Stalled(f"{waiting} events wait, and this member has got none of them for {stall:.0f} s")

    async def _behind(self, ends: Mapping[TopicPartition, int]) -> int:
        """Events in front of us. A client that has lost its place, although the broker answers, has all of them."""
        places = dict.fromkeys(ends, 0)
        with suppress(TimeoutError, IllegalStateError):
            async with asyncio.timeout(PLACE_SECONDS):
                for each in ends:
                    places[each] = await self._consumer.position(each)
        return sum(max(0, ends[each] - places[each]) for each in ends)

    # -- committing ---------------------------------------------------------------------------------------------

    async def commit_with(self, tx: Transaction, batch: Fetched) -> None:
        """Nothing but a check that saves the effects of a batch that is lost already."""
        del tx
        self._check(_parts(batch))

    async def commit_after(self, batch: Fetched) -> None:
        """Moves the group's offsets behind the batch."""
        parts = _parts(batch)
        self._check(parts)
        ahead = {part.partition: part.stop for part in parts if part.stop > (part.place.done or 0)}
        if not ahead:
            return
        try:
            with reaching("commit a place"):
                async with asyncio.timeout(self._cluster.pace.request.total_seconds()):
                    await self._consumer.commit(ahead)
        except Retryable as error:
            if isinstance(error.__cause__, CommitFailedError | IllegalStateError):
                raise StaleMember("the group has changed: another member has the batch's partitions") from error
            raise
        for part in parts:
            part.place.done = max(part.place.done or 0, part.stop)
        self._settled.set()

    def _check(self, parts: Iterable[Part]) -> None:
        for part in parts:
            if self._places.get(part.partition) is not part.place:
                raise StaleMember("the batch's partitions were handed out again")
            if part.place.done is None or part.place.done < part.start:
                raise StaleMember("an earlier batch of the same partition was not committed")

    def rewind(self, batch: Fetched) -> None:
        """Reads the batch's partitions again from what is committed, as far as we know."""
        for part in _parts(batch):
            if self._places.get(part.partition) is part.place and part.place.done is not None:
                part.place.read = part.place.done
                with suppress(IllegalStateError):
                    self._consumer.seek(part.partition, part.place.done)
        self._settled.set()


def _parts(batch: Fetched) -> tuple[Part, ...]:
    if not isinstance(batch.claim, tuple):
        raise TypeError("the batch was fetched from another log")
    return batch.claim


def _now() -> float:
    return asyncio.get_running_loop().time()
