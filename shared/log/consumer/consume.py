"""What a service says about a group: what it reads, who handles it, how much patience it has."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from shared.db.transaction import Transaction
from shared.errors import BatonError
from shared.events.envelope import Event
from shared.retry import Backoff

Handler = Callable[[Transaction, Sequence[Event]], Awaitable[None]]
"""Gives a batch its effects, in the batch's transaction. It may be called again with any part of what it has seen."""

BETWEEN_TRIES: Final = Backoff(base=timedelta(seconds=2), cap=timedelta(minutes=5), factor=4)


class Beforehand(BatonError):
    """A handler's way to the outside: what it needs to know is asked without a transaction, then it is called again.

    Nothing of the batch stays. `ask` bounds its own time and fails by noting that it failed, so that the next call of
    the handler goes on with what is known by then.
    """

    def __init__(self, ask: Callable[[], Awaitable[None]]) -> None:
        super().__init__("something has to be asked before this batch can be handled")
        self.ask = ask


class PoisonFlood(BatonError):
    """So much fails that the fault is ours, not the events': the consumer stops, and nothing was put aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoisonLimit:
    """When failing keys are taken for a fault of the handler."""

    keys: int = 20
    """A batch with fewer distinct keys proves nothing by itself."""
    share: float = 0.5
    """Of such a batch's keys; from here on it is a flood."""
    in_a_row: int = 100
    """Keys that failed, over any number of batches, without one success between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consume:
    """One consumer group of one service."""

    group: str
    topics: Sequence[str]
    schema: str
    """The service's schema: its tables, and its parked keys and dead letters."""
    handler: Handler
    members: int = 1
    """Of the group in one process: one waits for the database while another thinks, each with shards of its own."""
    max_records: int = 500
    max_wait: timedelta = timedelta(milliseconds=250)
    """How long a fetch waits for the first record; also how long a stop may take while nothing comes."""
    is_outward: bool = False
    """Somebody outside of the database hears of what its batches leave: that is on the disk before.

    Where log and tables are in one database, what others leave is on the disk once a batch is that has read of it.
    """
    rest: timedelta = timedelta(0)
    """After a batch that was not full: for what may be a moment late, and costs less when more of it comes together."""
    tries: int = 5
    """Of one event, the first of them in its batch, before it becomes a dead letter."""
    backoff: Backoff = BETWEEN_TRIES
    """Between the tries of a parked key."""
    drain_every: timedelta = timedelta(seconds=1)
    stuck_after: int = 6
    """Failures in a row, with a dependency seemingly away, after which only the keys that fail keep waiting."""
    poison: PoisonLimit = PoisonLimit()

    @property
    def names(self) -> list[str]:
        """What the members of one process are called; the first one as the group is."""
        return [self.group, *(f"{self.group}-{number}" for number in range(2, self.members + 1))]
