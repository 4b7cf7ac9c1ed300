"""How often the log on Postgres looks, how long a silent member lives, and how much one step moves."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Defaults are for production; tests shorten them."""

    poll: timedelta = timedelta(milliseconds=100)
    """Between two looks for new events when nothing woke the reader."""
    heartbeat: timedelta = timedelta(seconds=1)
    member_ttl: timedelta = timedelta(seconds=10)
    """After this long without a heartbeat, by the database's clock, a member's shards are free."""
    trim: timedelta = timedelta(minutes=10)
    """Between two runs of retention."""
