"""How often the log on Postgres looks, how long a silent member lives, and how much one step moves."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

_HEARTBEAT: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Defaults are for production; tests shorten them."""

    poll: timedelta = timedelta(milliseconds=100)
    """Between two looks for new events when nothing woke the reader."""
    heartbeat: timedelta = _HEARTBEAT
    member_ttl: timedelta = timedelta(seconds=10)
    """After this long without a heartbeat, by the database's clock, a member's shards are free."""
    trim: timedelta = timedelta(minutes=10)
    """Between two runs of retention."""

    @classmethod
    def of(cls, lease: timedelta) -> Self:
        """With heartbeats that a short lease survives, too."""
        return cls(member_ttl=lease, heartbeat=min(_HEARTBEAT, lease / 4))
