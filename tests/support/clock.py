"""A clock that moves only when a test says so."""

from datetime import UTC, datetime, timedelta


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
