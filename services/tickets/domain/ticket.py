"""A ticket as a value: what changes it, what its timeline says about it, and how events show it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from shared.events.messages import Author, Message
from shared.events.payload import SYSTEM, Actor
from shared.events.routing import Decision, Priority
from shared.events.tickets import CustomerRef, TicketState, TicketView

RANKS: Final[tuple[Priority, ...]] = ("urgent", "high", "normal", "low")
"""Priorities by rank: lists sort by rank ascending."""

RANK_OF: Final[dict[Priority, int]] = {name: rank for rank, name in enumerate(RANKS)}
ACTIVE: Final = frozenset({"open", "pending", "snoozed"})
"""A customer has at most one ticket in these states."""


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket at one version. Whoever changes it holds its row's lock, and the lock of its customer's row."""

    id: str
    workspace_id: str
    customer_id: str
    customer_name: str | None = None
    customer_handle: str | None = None
    customer_network: str | None = None
    state: TicketState = "open"
    team: str
    owner: str | None = None
    """An agent's id; None: the team's queue owns it."""
    offer: str | None = None
    """The assignment that waits for acceptance."""
    rank: int = 2
    tags: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    last_seq: int = 0
    version: int = 0
    """0: not stored yet."""
    changed_by: Actor = SYSTEM
    """Who made this version: whom a 412 names."""
    change: str = ""
    """What made this version, in one word: what a 412 says was changed."""
    waiting_since: datetime | None = None
    """When the oldest customer's message without an answer was written."""
    snoozed_until: datetime | None = None
    resolved_at: datetime | None = None
    merged_into: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def is_active(self) -> bool:
        """Whether somebody still has to do something about it."""
        return self.state in ACTIVE

    @property
    def is_queued(self) -> bool:
        """Whether it waits in its team's queue for somebody with room."""
        return self.state == "open" and self.owner is None and self.offer is None

    @property
    def priority(self) -> Priority:
        """The rank, by name."""
        return RANKS[self.rank]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a ticket's timeline and audit. `seq` is its place, dense within the ticket."""

    ticket_id: str
    workspace_id: str
    seq: int
    kind: str
    """message, native, reply, answer, note, or what was done: claimed, assigned, resolved, merged, …"""
    actor: Actor
    moves: bool = False
    """A customer's message or a finished answer: what the traffic cop looks at."""
    message_id: str | None = None
    reply_id: str | None = None
    conversation_id: str | None = None
    event_id: str | None = None
    """The event that led to it, where that is what makes a redelivery harmless."""
    data: dict[str, Any] = {}


def record(
    ticket: Ticket,
    kind: str,
    actor: Actor,
    *,
    moves: bool = False,
    message_id: str | None = None,
    reply_id: str | None = None,
    conversation_id: str | None = None,
    event_id: str | None = None,
    data: dict[str, Any] | None = None,
) -> tuple[Ticket, Entry]:
    """The next line of the timeline, and the ticket whose `last_seq` counts it; save the one, append the other."""
    seq = ticket.last_seq + 1
    entry = Entry(
        ticket_id=ticket.id,
        workspace_id=ticket.workspace_id,
        seq=seq,
        kind=kind,
        actor=actor,
        moves=moves,
        message_id=message_id,
        reply_id=reply_id,
        conversation_id=conversation_id,
        event_id=event_id,
        data=data or {},
    )
    return msgspec.structs.replace(ticket, last_seq=seq), entry


def changed(ticket: Ticket, actor: Actor, change: str, **fields: Any) -> Ticket:
    """The ticket's next version: what `actor` did, in one word, and the fields that it changed."""
    return msgspec.structs.replace(ticket, version=ticket.version + 1, changed_by=actor, change=change, **fields)


def shown(names: Iterable[str]) -> tuple[str, ...]:
    """Fields as events name them."""
    return tuple(sorted("priority" if name == "rank" else name for name in names))


def view(ticket: Ticket) -> TicketView:
    """The ticket as lists and events show it."""
    return TicketView(
        id=ticket.id,
        state=ticket.state,
        team=ticket.team,
        owner=ticket.owner,
        priority=RANKS[ticket.rank],
        customer=CustomerRef(
            id=ticket.customer_id,
            name=ticket.customer_name,
            handle=ticket.customer_handle,
            network=ticket.customer_network,
        ),
        last_seq=ticket.last_seq,
        version=ticket.version,
        tags=ticket.tags,
        networks=ticket.networks,
    )


def opened(
    ticket_id: str, message: Message, decision: Decision, *, team: str, customer_id: str, at: datetime
) -> Ticket:
    """A new ticket, as its first message and the decision about it make it; the team's queue owns it so far."""
    writer = message.author or Author(external_id="")
    return Ticket(
        id=ticket_id,
        workspace_id=message.workspace_id,
        customer_id=customer_id,
        customer_name=writer.name,
        customer_handle=writer.handle,
        customer_network=message.network,
        team=team,
        rank=RANK_OF[decision.priority],
        tags=decision.tags,
        networks=(message.network,),
        version=1,
        changed_by=Actor(kind="customer", id=customer_id, name=writer.name or writer.handle),
        change="created",
        waiting_since=waiting(None, message, at=at),
    )


def attached(ticket: Ticket, message: Message, decision: Decision | None, *, at: datetime) -> dict[str, Any]:
    """What one more message of the customer changes: tags grow, priority only rises, and whoever slept wakes up."""
    fields: dict[str, Any] = {"waiting_since": waiting(ticket.waiting_since, message, at=at)}
    if ticket.state in ("pending", "snoozed"):
        fields |= {"state": "open", "snoozed_until": None}
    if message.network not in ticket.networks:
        fields["networks"] = (*ticket.networks, message.network)
    if ticket.customer_name is None and message.author and message.author.name:
        fields["customer_name"] = message.author.name
    return fields | (raised(ticket, decision) if decision else {})


def raised(ticket: Ticket, decision: Decision) -> dict[str, Any]:
    """What a later decision may change: tags are added, priority is raised, team and owner stay."""
    fields: dict[str, Any] = {}
    if added := tuple(tag for tag in decision.tags if tag not in ticket.tags):
        fields["tags"] = ticket.tags + added
    if (rank := RANK_OF[decision.priority]) < ticket.rank:
        fields["rank"] = rank
    return fields


def revived(ticket: Ticket, message: Message, decision: Decision, *, team: str, at: datetime) -> dict[str, Any]:
    """What a customer's message changes in a ticket that was resolved: the decision sets the team anew."""
    fields = attached(ticket, message, decision, at=at)
    fields |= {"state": "open", "resolved_at": None, "waiting_since": waiting(None, message, at=at)}
    return fields if team == ticket.team else fields | {"team": team}


def is_revivable(ticket: Ticket, *, hours: int, at: datetime) -> bool:
    """Whether a customer's message reopens this ticket rather than opening a new one."""
    return ticket.resolved_at is not None and ticket.resolved_at + timedelta(hours=hours) > at


def waiting(since: datetime | None, message: Message, *, at: datetime) -> datetime | None:
    """Since when the customer waits, once this message is there; a network's clock may run ahead of ours."""
    if message.kind == "reaction":
        return since
    written = min(message.occurred_at, at)
    return written if since is None else min(since, written)
