"""What is usual: what a window holds at this time of the week, and how unlikely it is that it holds so much more."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp, lgamma, log
from statistics import median
from typing import Final

HOUR: Final = timedelta(hours=1)
WEEKS: Final = 8
"""How far back counts are kept, and compared with."""

ENOUGH_WEEKS: Final = 3
"""From so many on a time of the week is compared with itself: of fewer, one odd week would be half of the truth."""

LEARNING_HOURS: Final = 24
"""Before that nothing is called unusual: a new channel's first day says nothing about its second."""

_DEVIATION: Final = 1.4826
"""What makes the median of distances a standard deviation, where these are normal."""

_BUSY: Final = 0.9
_TERMS: Final = 500


@dataclass(frozen=True, slots=True)
class Span:
    """The window that is looked at; it touches two hours at most."""

    start: datetime
    end: datetime

    def pieces(self) -> list[tuple[datetime, float]]:
        """The hours that it touches, and which share of each it has."""
        first, last = _hour(self.start), _hour(self.end)
        if first == last:
            return [(first, (self.end - self.start) / HOUR)]
        return [(first, (last - self.start) / HOUR), (last, (self.end - last) / HOUR)]

    def hours(self) -> list[datetime]:
        """The same hours of all earlier weeks that are compared with."""
        return [hour - timedelta(weeks=week) for hour, _ in self.pieces() for week in range(1, WEEKS + 1)]

    @property
    def share(self) -> float:
        """Its length, in hours."""
        return (self.end - self.start) / HOUR


@dataclass(frozen=True, slots=True)
class Usual:
    """What the window holds when nothing is unusual."""

    mean: float
    variance: float


def weeks_counted(span: Span, since: datetime) -> int:
    """In how many earlier weeks the same hours were counted in full."""
    first = _hour(span.start)
    return sum(first - timedelta(weeks=week) >= since for week in range(1, WEEKS + 1))


def by_week(span: Span, counts: Mapping[datetime, int], *, weeks: int) -> Usual:
    """From the same time of earlier weeks: the middle, and how far weeks are from it; one odd week moves neither."""
    same = [
        sum(share * counts.get(hour - timedelta(weeks=week), 0) for hour, share in span.pieces())
        for week in range(1, weeks + 1)
    ]
    middle = median(same)
    spread = _DEVIATION * median([abs(one - middle) for one in same])
    # Nothing in so many weeks does not mean never.
    mean = max(middle, 1 / (weeks + 1))
    return Usual(mean, mean + spread**2)


def by_hour(span: Span, counts: Sequence[int], *, hours: int) -> Usual | None:
    """While there are few weeks: one of the busiest hours so far, whenever it was; None while even these are few.

    `counts`: of hours that had messages; `hours`: how many were counted in all.
    """
    if hours < LEARNING_HOURS:
        return None
    quiet = max(hours - len(counts), 0)
    place = int(_BUSY * (max(hours, len(counts)) - 1))
    busy = 0 if place < quiet else sorted(counts)[place - quiet]
    mean = span.share * max(busy, 1 / (hours + 1))
    return Usual(mean, mean)


def chance(count: int, usual: Usual) -> float:
    """How likely a window holds so many or more while all is as usual; never too small.

    Counts that come by themselves are Poisson's. Where weeks differ by more than that, their rate is taken to vary
    itself (a gamma distribution), which makes the count a negative binomial one.
    """
    if count <= usual.mean:
        return 1.0
    mean, more = usual.mean, usual.variance - usual.mean
    if more < 1e-9 * mean:
        first = exp(count * log(mean) - mean - lgamma(count + 1))
        return _tail(first, (mean / (k + 1) for k in range(count, count + _TERMS)), limit=0.0)
    size, rest = mean * mean / more, more / usual.variance
    logarithm = lgamma(count + size) - lgamma(size) - lgamma(count + 1) + size * log(1 - rest) + count * log(rest)
    ratios = (rest * (k + size) / (k + 1) for k in range(count, count + _TERMS))
    return _tail(exp(logarithm), ratios, limit=rest)


def _tail(term: float, ratios: Iterable[float], *, limit: float) -> float:
    """The sum of a term and all that follow; what is left in the end is bounded by a geometric series."""
    total, ratio = 0.0, limit
    for ratio in ratios:
        total += term
        term *= ratio
        if term < 1e-18:
            break
    slowest = max(ratio, limit)
    return min(total + term / (1 - slowest), 1.0) if slowest < 1 else 1.0


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
