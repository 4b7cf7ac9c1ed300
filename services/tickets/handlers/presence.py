"""Who views or composes: advisory, told when it changes, never for a heartbeat."""

from datetime import timedelta
from typing import Any, Literal

from services.tickets.domain.ticket import Ticket
from services.tickets.handlers.access import actor_of, check_visible
from services.tickets.store import presence, tickets
from services.tickets.store.presence import Level, Present
from shared.db.transaction import Transaction
from shared.errors import NotFound
from shared.events.deliveries import PresenceChanged
from shared.events.payload import Actor
from shared.platform.store import workspaces
from shared.web.auth import Principal


async def put(tx: Transaction, principal: Principal, ticket_id: str, *, level: Level, session: str) -> dict[str, Any]:
    """A sign of life; rows that have ended are cleared and told by whoever comes next."""
    ticket = await find(tx, principal, ticket_id)
    settings = await workspaces.settings(tx, principal.workspace_id)
    gone = await presence.clear(tx, ticket_id=ticket.id, workspace_id=ticket.workspace_id, agent_id=principal.id)
    sign = await presence.put(
        tx,
        ticket_id=ticket.id,
        workspace_id=ticket.workspace_id,
        agent_id=principal.id,
        agent_name=principal.name,
        session=session,
        level=level,
        ttl=timedelta(milliseconds=settings.presence_ttl),
    )
    for left in gone:
        if not _is_same(left.present, sign.present):
            _tell(tx, left.present, "gone", _actor(left.present), team=left.team, owner=left.owner)
    if sign.is_change:
        _tell(tx, sign.present, level, actor_of(principal), team=ticket.team, owner=ticket.owner)
    return shown(sign.present)


async def leave(tx: Transaction, principal: Principal, ticket_id: str, *, session: str | None) -> None:
    """Somebody is gone; once is enough."""
    ticket = await find(tx, principal, ticket_id)
    for left in await presence.leave(tx, ticket.id, principal.id, session=session):
        _tell(tx, left, "gone", actor_of(principal), team=ticket.team, owner=ticket.owner)


async def find(tx: Transaction, principal: Principal, ticket_id: str) -> Ticket:
    """The ticket, or the one that it was merged into, if the caller may see it; not locked."""
    place = (await tickets.targets(tx, [ticket_id])).get(ticket_id)
    ticket = await tickets.load(tx, place[0]) if place else None
    if ticket is None:
        raise NotFound(f"there is no ticket {ticket_id}")
    check_visible(principal, ticket)
    return ticket


def shown(present: Present) -> dict[str, Any]:
    """Somebody's presence, as lists and tickets show it."""
    return {
        "agent": {"id": present.agent_id, "name": present.agent_name},
        "session": present.session,
        "level": present.level,
        "expires_at": present.expires_at,
    }


def _tell(
    tx: Transaction, present: Present, level: Level | Literal["gone"], agent: Actor, *, team: str, owner: str | None
) -> None:
    payload = PresenceChanged(
        workspace_id=present.workspace_id,
        ticket_id=present.ticket_id,
        team=team,
        owner=owner,
        agent=agent,
        session=present.session,
        level=level,
        expires_at=present.expires_at,
    )
    tx.emit(payload, key=present.ticket_id)


def _actor(present: Present) -> Actor:
    return Actor(kind="agent", id=present.agent_id, name=present.agent_name)


def _is_same(left: Present, right: Present) -> bool:
    return (left.ticket_id, left.agent_id, left.session) == (right.ticket_id, right.agent_id, right.session)
