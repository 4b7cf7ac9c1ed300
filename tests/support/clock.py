"""Clocks that move only when a test says so, or are wrong."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import uuid_utils

from shared.clock import SystemClock


class ManualClock:
    """Both clocks of `shared.clock.Clock`, moved by hand."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._elapsed = 1000.0

    def now(self) -> datetime:
        """Wall time."""
        return self._now

    def elapsed(self) -> float:
        """Seconds since boot."""
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self._now += timedelta(seconds=seconds)
        self._elapsed += seconds


@dataclass(frozen=True)
class WrongClock(SystemClock):
    """The machine's, with a wall time that is off; what has elapsed since boot is not."""

    off: timedelta

    def now(self) -> datetime:
        """Wall time as this process believes it."""
        return super().now() + self.off


@dataclass(frozen=True)
class WrongIds:
    """Identifiers as such a process makes them."""

    off: timedelta

    def new(self, prefix: str) -> str:
        """They sort among those of another time."""
        at = time.time_ns() + self.off // timedelta(microseconds=1) * 1000
        return f"{prefix}_{uuid_utils.uuid7(nanoseconds=at).hex}"
