"""What this process has appended lately: whoever reads it here need not ask the database for it again."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from shared.db.appending import Appended
from shared.events.envelope import Encoded

MOST_BYTES: Final = 16 * 1024 * 1024
OVERHEAD: Final = 1_000
"""Bytes of an event beside its value: headers, and its place here."""

MOST_EARLY: Final = 10_000

Place = tuple[int, int]
"""Shard and position."""


class Recent:
    """Events of this process by their places, until all who read here have passed them.

    What nobody comes for is forgotten where there is too much, the oldest first. What is kept for long is not only
    memory: Python looks for cycles when more objects were made than freed, so among many that come and go it looks
    seldom, and then for a tenth of a second.

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
        self._floors: dict[int, int] = {}
        """By shard, the first position that may still be here."""
        self._readers: set[Reader] = set()

    @contextmanager
    def reading(self) -> Iterator["Reader"]:
        """Somebody reads here: as long as nobody does, nothing is kept."""
        reader = Reader(self)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)
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
        floor = self._floors.setdefault(shard, first)
        for position, event_id in enumerate(event_ids, start=first):
            if (event := self._unplaced.pop(event_id, None)) is not None:
                if position >= floor:
                    self._placed[shard, position] = event
                else:
                    self._bytes -= len(event.value) + OVERHEAD
            else:
                self._early[event_id] = shard, position
        while len(self._early) > MOST_EARLY:
            self._early.popitem(last=False)
        # Commits are not heard of in the order in which they were made.
        self._ends[shard] = max(first + len(event_ids), self._ends.get(shard, 0))

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

    def let_go(self, shard: int) -> None:
        """What all who read this shard have behind them."""
        floor = self._floors.get(shard)
        low = min((reader.starts[shard] for reader in self._readers if shard in reader.starts), default=None)
        if floor is None or low is None or low <= floor:
            return
        self._floors[shard] = low
        for position in range(floor, low):
            if (event := self._placed.pop((shard, position), None)) is not None:
                self._bytes -= len(event.value) + OVERHEAD

    def forget(self) -> None:
        """Everything: the server has crashed, and may have lost what it said that it has committed."""
        self._placed.clear()
        self._unplaced.clear()
        self._early.clear()
        self._ends.clear()
        self._floors.clear()
        self._bytes = 0

    def _forget_one(self) -> None:
        _, event = (self._placed or self._unplaced).popitem(last=False)
        self._bytes -= len(event.value) + OVERHEAD


class Reader:
    """One of those who read: how far it is says what may go."""

    def __init__(self, recent: Recent) -> None:
        self._recent = recent
        self.starts: dict[int, int] = {}
        """By shard, where it read last: what is before it has been read."""
        self.end: Final = recent.end
        self.forget: Final = recent.forget

    def read(self, shard: int, start: int, most: int) -> list[Encoded]:
        """As `Recent.read`, and what everybody has read is let go."""
        self.starts[shard] = start
        self._recent.let_go(shard)
        return self._recent.read(shard, start, most)

    def leave(self, shard: int) -> None:
        """It does not read this shard any more."""
        self.starts.pop(shard, None)
        self._recent.let_go(shard)
