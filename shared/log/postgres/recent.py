"""What this process has appended lately: whoever reads it here need not ask the database for it again."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from shared.db.transaction import Appended
from shared.events.envelope import Encoded

MOST_BYTES: Final = 64 * 1024 * 1024
OVERHEAD: Final = 1_000
"""Bytes of an event beside its value: headers, and its place here."""

MOST_EARLY: Final = 10_000

Place = tuple[int, int]
"""Shard and position."""


class Recent:
    """Events of this process by their places, as its sequencer gave them; the oldest are forgotten first.

    Nothing here is the truth: what is missing is read from the database, and who commits what was read here shows that
    the server has not crashed since (`log.member`).
    """

    def __init__(self, *, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._placed: OrderedDict[Place, Encoded] = OrderedDict()
        self._unplaced: OrderedDict[int, Encoded] = OrderedDict()
        self._early: OrderedDict[int, Place] = OrderedDict()
        """Places of events that we have not heard of: of other processes, or of a commit that is just coming back."""
        self._ends: dict[int, int] = {}
        self._readers = 0

    @contextmanager
    def reading(self) -> Iterator["Recent"]:
        """Somebody reads here: as long as nobody does, nothing is kept."""
        self._readers += 1
        try:
            yield self
        finally:
            self._readers -= 1
            if not self._readers:
                self.forget()

    def add(self, appended: Appended) -> None:
        """Events of a commit of this process."""
        if not self._readers:
            return
        for event_id, event in zip(appended.ids, appended.events, strict=True):
            self._bytes += len(event.value) + OVERHEAD
            if (place := self._early.pop(event_id, None)) is not None:
                self._placed[place] = event
            else:
                self._unplaced[event_id] = event
        while self._bytes > self._most:
            self._forget_one()

    def place(self, shard: int, first: int, event_ids: Sequence[int]) -> None:
        """These got the positions from `first` on, and that is committed."""
        if not self._readers:
            return
        for position, event_id in enumerate(event_ids, start=first):
            if (event := self._unplaced.pop(event_id, None)) is not None:
                self._placed[shard, position] = event
            else:
                self._early[event_id] = shard, position
        while len(self._early) > MOST_EARLY:
            self._early.popitem(last=False)
        self._ends[shard] = first + len(event_ids)

    def end(self, shard: int) -> int | None:
        """The position behind the last one that this process gave, if it gave any: others may have given more since."""
        return self._ends.get(shard)

    def read(self, shard: int, start: int, most: int) -> list[Encoded]:
        """The events from this position on, as far as they are here without a gap."""
        found: list[Encoded] = []
        placed = self._placed
        for position in range(start, start + most):
            event = placed.get((shard, position))
            if event is None:
                break
            found.append(event)
        return found

    def forget(self) -> None:
        """Everything: the server has crashed, and may have lost what it said that it has committed."""
        self._placed.clear()
        self._unplaced.clear()
        self._early.clear()
        self._ends.clear()
        self._bytes = 0

    def _forget_one(self) -> None:
        _, event = (self._placed or self._unplaced).popitem(last=False)
        self._bytes -= len(event.value) + OVERHEAD
