"""A broker in memory: positions of its own, duplicates, lost answers, members that are given up."""

import asyncio
import contextvars
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from zlib import crc32

from shared.errors import Retryable
from shared.events import envelope
from shared.events.envelope import Event
from shared.log.port import Record, StaleMember
from shared.log.relay import Outgoing
from tests.simulation.loop import EPOCH, VirtualLoop

PARTITIONS: Final = 3
SESSION: Final = 6.0
"""Seconds without a sign of life after which a member's partitions go to others."""

_NOBODY: Final = contextvars.Context()
Place = tuple[str, int]


class Member(Protocol):
    """Who reads for a group."""

    @property
    def is_silent(self) -> bool: ...


@dataclass(slots=True)
class _Group:
    """Members and positions; every change of members is a new generation, with new owners."""

    topics: tuple[str, ...]
    committed: dict[Place, int] = field(default_factory=dict)
    members: dict[Member, float] = field(default_factory=dict)
    """Each with when it was last heard of."""
    generation: int = 0
    owners: dict[Place, Member] = field(default_factory=dict)


class Broker:
    """As much like Kafka as it needs to be."""

    def __init__(self, loop: VirtualLoop, chance: random.Random) -> None:
        self._loop = loop
        self._chance = chance
        self.is_calm = False
        self._records: dict[Place, list[Record]] = {}
        self._groups: dict[str, _Group] = {}
        self._listeners: dict[asyncio.Event, None] = {}
        loop.call_later(1.0, self._watch, context=_NOBODY)

    def history(self, topic: str) -> list[Event]:
        """Every event of a topic, where it came for the first time."""
        found: dict[str, Event] = {}
        for (name, _), records in self._records.items():
            if name == topic:
                for record in records:
                    event = envelope.decode(record.headers, record.value)
                    found.setdefault(event.id, event)
        return list(found.values())

    def backlog(self) -> list[str]:
        """What somebody has still to read."""
        return [
            f"not consumed by {name}: {place}"
            for name, group in self._groups.items()
            for place, records in self._records.items()
            if place[0] in group.topics and len(records) > group.committed.get(place, 0)
        ]

    # -- what clients ask -----------------------------------------------------------------------------------------

    async def ask(self, work: Callable[[], Any]) -> Any:
        """One request: it arrives whatever becomes of the client, and its answer may get lost."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        roll = 1.0 if self.is_calm else self._chance.random()

        def arrive() -> None:
            if roll < 0.015:
                _set(answer, Retryable("the broker is away"))
                return
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - goes to whoever asked
                result = error
            _set(answer, Retryable("the broker's answer was lost") if roll < 0.04 else result)

        wait = self._chance.choice((0.0, 0.0, 0.01, 0.5)) if roll < 0.5 else 0.0
        self._loop.call_later(wait, arrive, context=_NOBODY)
        return await answer

    def append(self, events: Sequence[Outgoing]) -> None:
        """Events behind what is there."""
        for event in events:
            place = (event.topic, crc32(event.key.encode()) % PARTITIONS)
            records = self._records.setdefault(place, [])
            records.append(
                Record(
                    topic=event.topic,
                    partition=place[1],
                    position=len(records),
                    key=event.key,
                    headers=event.headers,
                    value=event.value,
                )
            )
        self._wake()

    def join(self, name: str, topics: Sequence[str], member: Member) -> None:
        """Another member; everybody's partitions are handed out anew."""
        group = self._groups.setdefault(name, _Group(tuple(topics)))
        group.members[member] = self._loop.time()
        self._hand_out(group)

    def leave(self, name: str, member: Member) -> None:
        """One member less."""
        group = self._groups[name]
        if group.members.pop(member, None) is not None:
            self._hand_out(group)

    def owned(self, name: str, member: Member) -> tuple[int, dict[Place, int]]:
        """The generation, and what the member owns in it with the committed positions; joins again if it must."""
        group = self._groups[name]
        if member not in group.members:
            self.join(name, group.topics, member)
        return group.generation, {
            place: group.committed.get(place, 0) for place, owner in group.owners.items() if owner is member
        }

    def generation(self, name: str, member: Member) -> int:
        """What a heartbeat tells; 0 for whoever was given up."""
        group = self._groups[name]
        return group.generation if member in group.members else 0

    def commit(self, name: str, member: Member, generation: int, ahead: Mapping[Place, int]) -> None:
        """Positions of the member's own partitions, in the generation in which they are its own."""
        group = self._groups[name]
        if member not in group.members or generation != group.generation:
            raise StaleMember("the group has changed")
        group.committed.update(ahead)

    def read(self, place: Place, start: int, limit: int) -> list[Record]:
        """Records from a position on."""
        return self._records.get(place, [])[start : start + limit]

    def end(self, topic: str) -> dict[Place, int]:
        """Where the partitions of a topic end."""
        return {(topic, number): len(self._records.get((topic, number), ())) for number in range(PARTITIONS)}

    def some(self, limit: int) -> int:
        """How many of so many come with one fetch."""
        return limit if self.is_calm or self._chance.random() < 0.7 else self._chance.randint(1, 4)

    def shuffled(self, places: Iterable[Place]) -> list[Place]:
        """In which order partitions are read."""
        found = list(places)
        self._chance.shuffle(found)
        return found

    def listen(self, event: asyncio.Event) -> None:
        """Set whenever something was appended, or changed hands."""
        self._listeners[event] = None

    def forget(self, event: asyncio.Event) -> None:
        """No more."""
        self._listeners.pop(event, None)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _hand_out(self, group: _Group) -> None:
        group.generation += 1
        members = list(group.members)
        places = [(topic, number) for topic in group.topics for number in range(PARTITIONS)]
        group.owners = {place: members[number % len(members)] for number, place in enumerate(places)} if members else {}
        self._wake()

    def _watch(self) -> None:
        now = self._loop.time()
        for group in self._groups.values():
            for member in list(group.members):
                if member.is_silent:
                    if now - group.members[member] > SESSION:
                        del group.members[member]
                        self._hand_out(group)
                else:
                    group.members[member] = now
        self._loop.call_later(1.0, self._watch, context=_NOBODY)

    def _wake(self) -> None:
        for event in self._listeners:
            event.set()


def _set(answer: "asyncio.Future[Any]", result: Any) -> None:
    if answer.done():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)


def _at(loop: VirtualLoop) -> datetime:
    return EPOCH + timedelta(seconds=loop.time())
