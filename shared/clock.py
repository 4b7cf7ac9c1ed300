"""Time as a value that is passed in; the database's clock decides everything that two processes must agree on."""

import time
from datetime import UTC, datetime
from typing import Final, Protocol

_SINCE_BOOT: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)


class Clock(Protocol):
    """What a component may ask of time."""

    def now(self) -> datetime:
        """Wall time, aware, UTC: for display and for stamps that nobody compares."""
        ...

    def elapsed(self) -> float:
        """Seconds since boot, counting suspension: for deadlines that this process keeps for itself."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def now(self) -> datetime:
        """Wall time of this machine, UTC."""
        return datetime.fromtimestamp(time.time(), UTC)

    def elapsed(self) -> float:
        """CLOCK_BOOTTIME where it exists: a process that slept must notice; CLOCK_MONOTONIC stands still."""
        return time.monotonic() if _SINCE_BOOT is None else time.clock_gettime(_SINCE_BOOT)
