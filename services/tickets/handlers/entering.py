"""Before anybody decides about an answer: the locks of customer, tickets and lease, in the one order."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.tickets.domain import lease as leases_
from services.tickets.domain.lease import Lease
from services.tickets.domain.ticket import Ticket
from services.tickets.handlers.access import actor_of, check_visible
from services.tickets.handlers.changes import Changes
from services.tickets.handlers.ledger import Desk
from services.tickets.store import leases, tickets
from services.tickets.store.leases import Locked
from shared.db.transaction import Transaction
from shared.events.payload import Actor
from shared.events.tickets import LeaseEvent
from shared.platform.models import WorkspaceSettings
from shared.platform.store import workspaces
from shared.web.auth import Principal


@dataclass(slots=True, kw_only=True)
class Room:
    """A lease's scope under its locks: customer, tickets, lease. All that decides about an answer holds them."""

    tx: Transaction
    desk: Desk
    changes: Changes
    ticket_id: str
    scope: str
    covered: Sequence[str]
    """The tickets that hear of the lease."""
    lease: Lease | None
    at: datetime
    """The database's time after the last lock was got."""
    settings: WorkspaceSettings

    @property
    def ticket(self) -> Ticket:
        """The ticket as it is by now."""
        return self.changes[self.ticket_id]

    def tell(self, event: type[LeaseEvent], actor: Actor, **fields: Any) -> None:
        """Writes an event into the order of every ticket that the lease covers."""
        for ticket_id in self.covered:
            self.changes.emit(event, ticket_id, actor, **fields)


async def enter(tx: Transaction, desk: Desk, principal: Principal, ticket_id: str) -> Room:
    """Locks all that a lease covers, in the one order; NotFound for tickets that the caller may not see."""
    settings = await workspaces.settings(tx, principal.workspace_id)
    ticket = await tickets.lock(tx, ticket_id)
    check_visible(principal, ticket)
    locked = {ticket.id: ticket}
    if settings.lease_scope == "customer":
        others = set(await leases.covered(tx, [(ticket.workspace_id, ticket.customer_id)])) - {ticket.id}
        locked |= await tickets.lock_many(tx, others) if others else {}
    found = await leases.lock(tx, ticket.customer_id, *locked)
    changes = Changes(tx, desk.ids, now=found.at)
    changes.adopt(*locked.values())
    room = _room(changes, desk, ticket, found, covered=locked, settings=settings)
    if (other := _in_the_way(room, found, actor_of(principal), locked)) is not None:
        raise leases_.held(other)
    return room


async def enter_all(
    changes: Changes, desk: Desk, ticket_ids: Collection[str], by: Mapping[str, Actor]
) -> dict[str, Room]:
    """The same for a batch that holds the locks of its customers and tickets; `by`: who enters, by workspace.

    A lease that is in the way is the room's, so that whoever may not push it aside is refused by it.
    """
    owners = {(changes[id_].workspace_id, changes[id_].customer_id) for id_ in ticket_ids}
    covered = await leases.covered(changes.tx, owners)
    strangers = [id_ for id_ in covered if id_ not in changes]
    if strangers:
        changes.adopt(*(await tickets.lock_known(changes.tx, strangers)).values())
    # Those that the batch has just opened are in no table yet.
    covered |= {id_: changes[id_].customer_id for id_ in ticket_ids}
    found = await leases.lock(changes.tx, *covered, *covered.values())
    rooms = {}
    for id_ in ticket_ids:
        ticket = changes[id_]
        own = [other for other, customer in covered.items() if customer == ticket.customer_id]
        settings = changes.settings[ticket.workspace_id]
        heard = own if settings.lease_scope == "customer" else [id_]
        room = rooms[id_] = _room(changes, desk, ticket, found, covered=heard, settings=settings)
        room.lease = _in_the_way(room, found, by[ticket.workspace_id], heard) or room.lease
    return rooms


def _room(
    changes: Changes,
    desk: Desk,
    ticket: Ticket,
    found: Locked,
    *,
    covered: Collection[str],
    settings: WorkspaceSettings,
) -> Room:
    scope = ticket.customer_id if settings.lease_scope == "customer" else ticket.id
    return Room(
        tx=changes.tx,
        desk=desk,
        changes=changes,
        ticket_id=ticket.id,
        scope=scope,
        covered=sorted(covered),
        lease=found.leases.get(scope),
        at=found.at,
        settings=settings,
    )


def _in_the_way(room: Room, found: Locked, who: Actor, tickets_: Collection[str]) -> Lease | None:
    # Taken by somebody who had read the settings before they changed: the two must not meet on one ticket.
    for scope in (room.ticket.customer_id, *tickets_):
        lease = found.leases.get(scope) if scope != room.scope else None
        if lease is not None and lease.is_live(found.at) and not lease.is_held_by(who):
            return lease
    return None
