"""How long the intake rests between two batches: everybody behind it works in the batches that it makes."""

from collections import deque
from typing import Final

REST: Final = 6.0
"""Times as long as it took to write a batch. A batch costs as much as some twenty messages, and the slower the machine,
or the more it has to do, the longer a batch takes: then larger ones come sooner to their end than many small ones."""

SHORTEST: Final = 0.004
LONGEST: Final = 0.1
"""Seconds of a rest, however quick or slow the writing was."""

FEW: Final = 3
CLOSELY: Final = 5 / 3
"""Nobody rests but where a few deliveries came within so many rests."""

_FIRST: Final = 0.002
_SHARE: Final = 1 / 8


class Pace:
    """All instants are seconds of one clock that never goes back."""

    def __init__(self) -> None:
        self._took = _FIRST
        self._came: deque[float] = deque([float("-inf")] * FEW, maxlen=FEW)
        self._rests_until = float("-inf")

    @property
    def rest(self) -> float:
        """Seconds that a rest takes now."""
        return min(max(REST * self._took, SHORTEST), LONGEST)

    def came(self, at: float) -> None:
        """A delivery did."""
        self._came.append(at)

    def landed(self, began: float, at: float) -> None:
        """A batch is written, and not many wait: where deliveries come closely, a rest begins.

        One that waited for the disk counts as twice the usual, not more.
        """
        self._took += (min(at - began, 2 * self._took) - self._took) * _SHARE
        if at - self._came[0] < CLOSELY * self.rest:
            self._rests_until = at + self.rest

    def patience(self, at: float) -> float:
        """Seconds until the next batch should be taken."""
        return max(0.0, self._rests_until - at)
