"""Statements on their way to the server, and what a seed may do to them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from shared.db.session import Session
from tests.simulation.wire import Work

if TYPE_CHECKING:
    from tests.simulation.connections import Connection


class Chance(Protocol):
    """What a seed may do to a statement."""

    def fate(self, connection: "Connection", sql: str, *, commits: bool) -> "Fate": ...
    def blame(self, line: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Fate:
    """`before`, `after`: called around the statement's effect; `cut`: what the caller gets instead of its answer."""

    delay: float = 0.0
    before: Callable[[], None] | None = None
    after: Callable[[], None] | None = None
    cut: str = ""
    """'', 'before' or 'after' the effect."""


@dataclass(slots=True, eq=False)
class Statement:
    """One that waits to run, or for a lock."""

    connection: "Connection"
    method: str
    arguments: tuple[Any, ...]
    answer: "asyncio.Future[Any]"
    fate: Fate
    work: Work | None = None
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True, eq=False)
class Real:
    """A connection to the real server, kept over seeds with what it has prepared."""

    connection: Session
    pid: int
    is_lookout: bool
    is_free: bool = True
    has_begun: bool = False
    """BEGIN goes with what is asked next."""

    @property
    def is_in_transaction(self) -> bool:
        """Whether one has begun, be it that the server does not know so yet."""
        return self.has_begun or self.connection.is_in_transaction()
