"""How much one endpoint gets: more while it answers, less when it fails, single probes once it seems dead."""

from dataclasses import dataclass
from typing import Final

LONGEST_PROBE: Final = 300.0
"""Seconds between the probes of an endpoint that has been dead for long."""

FIRST_WINDOW: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`at_once`: most deliveries under way; `open_after` failures in a row only probes are sent, `probe` s apart."""

    at_once: int
    open_after: int
    probe: float


class Circuit:
    """Times are seconds of the process's own clock."""

    def __init__(self, limits: Limits, *, failures: int = 0) -> None:
        self._limits = limits
        self._failures = failures
        self._window = min(FIRST_WINDOW, limits.at_once)
        self._sending = 0
        self._closed_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether only probes are sent."""
        return self._failures >= self._limits.open_after

    def wait(self, now: float) -> float | None:
        """0: one may be sent now; else the seconds after which to ask again, or None: when one under way has ended."""
        if self._sending >= (1 if self.is_open else self._window):
            return None
        return max(0.0, self._closed_until - now)

    def begin(self) -> None:
        """One is being sent."""
        self._sending += 1

    def succeeded(self) -> None:
        """It was taken."""
        self._sending -= 1
        self._failures = 0
        self._closed_until = 0.0
        self._window = min(self._window + 1, self._limits.at_once)

    def failed(self, now: float, *, pause: float = 0.0, chance: float = 0.5) -> None:
        """It was not; `pause`: how long the endpoint asked for, `chance` in [0, 1) spreads probes of many."""
        self._sending -= 1
        self._failures += 1
        self._window = max(1, self._window // 2)
        wait = pause
        if self.is_open:
            doubled = self._limits.probe * 2 ** min(self._failures - self._limits.open_after, 20)
            wait = max(wait, min(doubled, LONGEST_PROBE) * (0.8 + 0.4 * chance))
        self._closed_until = max(self._closed_until, now + wait)

    def abandoned(self) -> None:
        """It ended without an answer that would say anything."""
        self._sending -= 1
