"""Who acts, and which tickets they may know of."""

from typing import Final

from services.tickets.domain.ticket import Ticket
from shared.errors import NotFound
from shared.events.payload import Actor, ActorKind
from shared.web.auth import Principal, PrincipalKind

_KINDS: Final[dict[PrincipalKind, ActorKind]] = {"human": "agent", "bot": "bot", "key": "key"}


def actor_of(principal: Principal) -> Actor:
    """The caller as events and audits name it."""
    return Actor(kind=_KINDS[principal.kind], id=principal.id, name=principal.name)


def check_visible(principal: Principal, ticket: Ticket) -> None:
    """NotFound for a ticket outside of the key's teams: that it exists is nothing to tell."""
    if not principal.may_see(team=ticket.team, owner=ticket.owner):
        raise NotFound(f"there is no ticket {ticket.id}")
