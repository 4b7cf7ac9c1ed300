"""What every action on one ticket begins with: its locks, the right to see it, and the version that was read."""

import msgspec

from services.tickets.domain.refusals import NotYours, TicketMerged, WrongState
from services.tickets.domain.ticket import Ticket
from services.tickets.handlers.access import check_visible
from services.tickets.handlers.changes import Changes
from services.tickets.handlers.ledger import Desk
from services.tickets.store import assignments, tickets
from shared.db.transaction import Transaction
from shared.web.auth import Principal
from shared.web.calls import stale


async def begin(
    tx: Transaction, desk: Desk, who: Principal, ticket_id: str, *, version: int | None = None
) -> tuple[Changes, Ticket]:
    """The ticket under its locks, with its current assignment known; refused when it changed since it was read."""
    ticket = await tickets.lock(tx, ticket_id)
    check_visible(who, ticket)
    if ticket.id != ticket_id:
        raise TicketMerged(f"ticket {ticket_id} was merged into {ticket.id}", into=ticket.id)
    check_version(ticket, version)
    changes = Changes(tx, desk.ids, now=await tx.now())
    changes.adopt(ticket)
    changes.know((await assignments.current(tx, [ticket.id])).values())
    return changes, ticket


def check_version(ticket: Ticket, version: int | None) -> None:
    """VersionStale, with who changed what, when the caller has read another version."""
    if version is not None and version != ticket.version:
        raise stale(
            ticket.version,
            changed_by=msgspec.to_builtins(ticket.changed_by),
            change=ticket.change,
            changed_at=ticket.updated_at.isoformat() if ticket.updated_at else None,
        )


def check_active(ticket: Ticket) -> None:
    """WrongState for a ticket that is resolved."""
    if not ticket.is_active:
        raise WrongState(f"the ticket is {ticket.state}", state=ticket.state)


def check_yours(who: Principal, owner: str | None) -> None:
    """NotYours when somebody else owns it and the caller may not supervise; a queue's tickets are everybody's."""
    if owner is not None and owner != who.agent_id and not who.may("tickets:supervise"):
        raise NotYours(f"agent {owner} owns the ticket", owner=owner)
