"""The ledger of second answers: every line is written, told on the ticket's topic, and counted once it is certain."""

from dataclasses import dataclass
from typing import Literal

from services.tickets.domain.outcome import Collision
from services.tickets.handlers.changes import Changes
from services.tickets.store import collisions
from shared.events.payload import Actor
from shared.events.tickets import CollisionHappened, CollisionKind, CollisionOverridden, CollisionPrevented
from shared.ids import Ids
from shared.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What those who guard answers need besides a transaction."""

    ids: Ids
    metrics: Metrics

    def count_lease(self, changes: Changes, outcome: str) -> None:
        """Counts an attempt at a lease, once it is committed."""
        changes.tx.after_commit(self.metrics.counter("baton_lease_total", outcome=outcome).inc)


class Book:
    """The lines that one transaction adds to the ledger."""

    def __init__(self, changes: Changes, desk: Desk) -> None:
        self._changes = changes
        self._desk = desk
        self._lines: list[Collision] = []

    def prevented(
        self, ticket_id: str, kind: CollisionKind, actor: Actor, *, other: Actor | None, reply_id: str | None = None
    ) -> None:
        """A second answer was refused, or stopped at the last hop."""
        line = self._line(ticket_id, "prevented", kind, actor, other=other, reply_id=reply_id)
        fields = {"collision_id": line.id, "kind": kind, "reply_id": reply_id, "other": other}
        self._changes.emit(CollisionPrevented, ticket_id, actor, **fields)

    def overridden(
        self, ticket_id: str, kind: CollisionKind, actor: Actor, *, other: Actor | None, reply_id: str
    ) -> None:
        """A writer who may do so answered knowingly; the ticket's audit says so too."""
        line = self._line(ticket_id, "overridden", kind, actor, other=other, reply_id=reply_id)
        self._changes.record(ticket_id, "overridden", actor, reply_id=reply_id, data={"kind": kind})
        fields = {"collision_id": line.id, "kind": kind, "reply_id": reply_id, "other": other}
        self._changes.emit(CollisionOverridden, ticket_id, actor, **fields)

    def happened(
        self, ticket_id: str, kind: CollisionKind, actor: Actor, *, reply_id: str, message_id: str, other: Actor
    ) -> None:
        """A turn has two answers: ours, by `actor`, and another one's."""
        line = self._line(ticket_id, "happened", kind, actor, other=other, reply_id=reply_id, message_id=message_id)
        self._changes.record(ticket_id, "collided", actor, reply_id=reply_id, message_id=message_id)
        fields = {"collision_id": line.id, "kind": kind, "reply_id": reply_id, "message_id": message_id}
        self._changes.emit(CollisionHappened, ticket_id, actor, **fields)

    async def write(self) -> None:
        """Writes the lines, in one statement."""
        await collisions.insert(self._changes.tx, self._lines)
        for line in self._lines:
            counter = self._desk.metrics.counter("baton_collisions_total", outcome=line.outcome, kind=line.kind)
            self._changes.tx.after_commit(counter.inc)
        self._lines = []

    def _line(
        self,
        ticket_id: str,
        outcome: Literal["prevented", "overridden", "happened"],
        kind: CollisionKind,
        actor: Actor,
        *,
        other: Actor | None,
        reply_id: str | None = None,
        message_id: str | None = None,
    ) -> Collision:
        line = Collision(
            id=self._desk.ids.new("col"),
            workspace_id=self._changes[ticket_id].workspace_id,
            ticket_id=ticket_id,
            outcome=outcome,
            kind=kind,
            agent_id=actor.id,
            other=other,
            reply_id=reply_id,
            message_id=message_id,
        )
        self._lines.append(line)
        return line
