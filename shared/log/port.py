"""The event log as consumers see it: groups, batches, commits, tails and lag."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import msgspec

from shared.db.transaction import Transaction
from shared.errors import Retryable
from shared.events.envelope import Headers


class StaleMember(Retryable):
    """This member does not own a partition of the batch any more: nothing was committed, another one handles it."""


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One record of a topic. `position` is dense on Postgres, an offset on Kafka; it grows within a partition."""

    topic: str
    partition: int
    position: int
    key: str
    headers: Headers
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A batch of records, in order within each partition, and the claim under which it was read."""

    records: Sequence[Record]
    claim: object
    """The adapter's own: which partitions, up to where, under which epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A tail fell too far behind and went on at the end: that many records were left out."""

    missed: int


class Subscription(Protocol):
    """One member of a consumer group."""

    async def fetch(self, *, max_records: int, max_wait: timedelta) -> Fetched:
        """The next records of the partitions that this member owns; empty when none came within `max_wait`.

        The next call goes on behind these, so that batches may be prepared ahead; they are committed in the order in
        which they were fetched. A cancelled call has taken nothing.
        """
        ...

    async def commit_with(self, tx: Transaction, batch: Fetched) -> None:
        """Commits inside the batch's own transaction where the log can (Postgres); raises StaleMember."""
        ...

    async def commit_after(self, batch: Fetched) -> None:
        """Commits after the batch's transaction where the log must (Kafka); raises StaleMember."""
        ...

    def rewind(self, batch: Fetched) -> None:
        """The batch was not handled: its partitions are read again from what is committed."""
        ...


class Log(Protocol):
    """One event log."""

    def subscribe(
        self, group: str, topics: Sequence[str], *, member: str | None = None
    ) -> AbstractAsyncContextManager[Subscription]:
        """Joins a group and leaves it at the end, so that others take over at once.

        `member` tells the members of one process apart, and keeps its name over restarts; without it the group's name.

        A group that is new to a topic begins with the oldest record that is retained.
        """
        ...

    def tail(self, topics: Sequence[str]) -> AbstractAsyncContextManager[AsyncIterator[Record | Gap]]:
        """Every record appended from now on, to every caller: for presence and wake-ups, never for truth."""
        ...

    async def lag(self, group: str, topics: Sequence[str]) -> Mapping[tuple[str, int], int]:
        """Records that were appended and are not yet committed by the group, per topic and partition."""
        ...
