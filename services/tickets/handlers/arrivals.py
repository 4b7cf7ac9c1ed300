"""What one routed event does to the tickets of a batch, in memory: open, attach, reopen, revise."""

from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

import msgspec

from services.tickets.domain import message as messages_
from services.tickets.domain import ticket as tickets_
from services.tickets.domain.assignment import Key, Terms
from services.tickets.domain.message import Stored
from services.tickets.domain.ticket import Ticket
from services.tickets.handlers import moderating
from services.tickets.handlers.changes import Cause, Changes
from shared.errors import Rejected
from shared.events.payload import Actor
from shared.events.routing import Decision, MessageRouted, RuleReply
from shared.events.tickets import Account, TicketCreated, TicketReopened, TicketUpdated

UNSEEN: Final = Decision(id="", outcome="route", rule="none", ruleset_version=0)
"""For an item that came without a decision: the fallback team gets it, so that it is not lost."""


class Homeless(NamedTuple):
    """Why a ticket needs an owner, and whom the decision prefers."""

    cause: Literal["created", "reopened", "woken"]
    prefer: str | None
    traceparent: str | None
    reason: str | None = None
    """Why this team, where the decision names another one."""


class Asked(NamedTuple):
    """A message to which rules say something by themselves."""

    ticket_id: str
    stored: Stored
    replies: tuple[RuleReply, ...]
    cause: Cause


@dataclass(slots=True, kw_only=True)
class Scene:
    """Everything that a batch touches, locked and loaded."""

    changes: Changes
    known: dict[str, Stored]
    """Items that are stored, by id; replaced as events change them."""
    customer_of: dict[str, str]
    """Customer of each arriving item, by the item's id."""
    current: dict[str, str]
    """Per customer the ticket that is active, or the one that was resolved last."""
    linked: dict[str, tuple[Account, ...]]
    """All accounts of each customer who had some linked and has no open ticket."""
    roots: dict[str, str]
    """Where the story of each stored item's ticket goes on."""
    told: set[str]
    """Ids of events that the timeline has already."""
    teams: dict[Key, Terms]
    arrived: list[Stored] = field(default_factory=list)
    """New items, in order."""
    revised: dict[str, Stored] = field(default_factory=dict)
    """Items to write over what is stored."""
    turns: list[Stored] = field(default_factory=list)
    homeless: dict[str, Homeless] = field(default_factory=dict)
    """Tickets that need an owner."""
    asked: list[Asked] = field(default_factory=list)
    """What rules say to the messages that arrived, in order."""
    moderation: list[moderating.Asked] = field(default_factory=list)
    """What rules want done to items on their networks."""
    silenced: set[str] = field(default_factory=set)
    """Tickets of which a message was deleted: since when their customer waits must be found out again."""


def apply(scene: Scene, event: MessageRouted, event_id: str) -> None:
    """One event, after all earlier ones of its conversation; a second time it does nothing."""
    if event.verb == "received":
        _receive(scene, event, event_id)
    else:
        _revise(scene, event)


def _receive(scene: Scene, event: MessageRouted, event_id: str) -> None:
    before = scene.known.get(event.message.id)
    if before is not None and before.received:
        return
    stored = messages_.arrived(event, before)
    decision = event.decision or UNSEEN
    customer = scene.customer_of[stored.id]
    current = scene.current.get(customer)
    ticket = scene.changes[current] if current else None
    # Nobody is asked to answer what a rule ignores or what its author took back before it came.
    if decision.outcome == "ignore" or stored.state == "deleted":
        stored = _mention(scene, ticket, stored, event, decision)
    else:
        scene.changes.cause = event_id
        stored = _hold(scene, ticket, stored, event, decision)
    scene.known[stored.id] = stored
    scene.moderation += moderating.by_rules(
        decision, stored, ticket_id=stored.ticket_id, cause=event_id, traceparent=scene.changes.tx.traceparent
    )
    if before is None:
        scene.arrived.append(stored)
    else:
        _rewrite(scene, stored)


def _mention(scene: Scene, ticket: Ticket | None, stored: Stored, event: MessageRouted, decision: Decision) -> Stored:
    if ticket is None or not ticket.is_active:
        return stored
    author = messages_.author(event, ticket.customer_id)
    data = {"ignored_by": decision.rule} if decision.outcome == "ignore" else {"state": stored.state}
    return _place(scene, ticket.id, stored, author, data=data, moves=False)


def _hold(scene: Scene, ticket: Ticket | None, stored: Stored, event: MessageRouted, decision: Decision) -> Stored:
    changes, message = scene.changes, event.message
    customer = scene.customer_of[stored.id]
    author = messages_.author(event, customer)
    team = _team(scene, event.workspace_id, decision)
    reason = _elsewhere(scene, event.workspace_id, decision, team)
    if ticket is not None and ticket.is_active:
        kind: Any = TicketUpdated
        fields = tickets_.attached(ticket, message, decision, at=changes.now)
        changes.change(ticket.id, author, "message", **fields)
        if changes[ticket.id].is_queued and not ticket.is_queued:
            scene.homeless.setdefault(ticket.id, Homeless("woken", decision.agent, changes.tx.traceparent))
        extra: dict[str, Any] = {"changes": ("messages", *sorted(fields.keys() - {"waiting_since"}))}
    elif ticket is not None and _is_revivable(changes, ticket):
        kind, extra = TicketReopened, {"reason": "customer-replied", "accounts": scene.linked.get(customer, ())}
        fields = tickets_.revived(ticket, message, decision, team=team, at=changes.now)
        changes.change(ticket.id, author, "reopened", **fields)
        scene.homeless[ticket.id] = Homeless("reopened", decision.agent, changes.tx.traceparent, reason)
    else:
        kind, extra = TicketCreated, {"accounts": scene.linked.get(customer, ())}
        ticket = tickets_.opened(
            changes.ids.new("tkt"), message, decision, team=team, customer_id=customer, at=changes.now
        )
        changes.open(ticket)
        scene.current[customer] = ticket.id
        scene.homeless[ticket.id] = Homeless("created", decision.agent, changes.tx.traceparent, reason)
    is_turn = message.kind != "reaction"
    data = {"instead_of": decision.team} if reason and kind is not TicketUpdated else {}
    stored = _place(scene, ticket.id, stored, author, data=data, moves=is_turn)
    if is_turn:
        scene.turns.append(stored)
        if decision.replies:
            cause = Cause(changes.cause, changes.tx.traceparent)
            scene.asked.append(Asked(ticket.id, stored, decision.replies, cause))
    changes.emit(kind, ticket.id, author, message=stored.message, **extra)
    changes.flag(ticket.id, decision)
    return stored


def _place(scene: Scene, ticket_id: str, stored: Stored, author: Actor, *, data: dict[str, Any], moves: bool) -> Stored:
    seq = scene.changes.record(
        ticket_id,
        "message",
        author,
        moves=moves,
        message_id=stored.id,
        conversation_id=stored.message.conversation_id,
        data=data,
    )
    return msgspec.structs.replace(stored, ticket_id=ticket_id, seq=seq)


def _revise(scene: Scene, event: MessageRouted) -> None:
    stored = scene.known.get(event.message.id)
    if stored is None and event.message.direction == "out":
        return
    if stored is None:
        stored = messages_.blank(event)
        scene.arrived.append(stored)
    if event.event_id in scene.told:
        return
    revised = messages_.revised(event, stored)
    if revised is None:
        return
    scene.known[revised.id] = revised
    _rewrite(scene, revised)
    if revised.ticket_id is not None:
        scene.told.add(event.event_id)
        _tell_revision(scene, scene.roots.get(revised.ticket_id, revised.ticket_id), revised, event)


def _rewrite(scene: Scene, revised: Stored) -> None:
    for place, arrived in enumerate(scene.arrived):
        if arrived.id == revised.id:
            scene.arrived[place] = revised
            return
    scene.revised[revised.id] = revised


def _tell_revision(scene: Scene, ticket_id: str, revised: Stored, event: MessageRouted) -> None:
    changes = scene.changes
    author = messages_.author(event, changes[ticket_id].customer_id)
    changes.cause = event.event_id
    changes.record(
        ticket_id,
        event.verb,
        author,
        message_id=revised.id,
        conversation_id=revised.message.conversation_id,
        event_id=event.event_id,
        data=_told(event, revised),
    )
    changes.change(ticket_id, author, event.verb)
    if event.verb == "deleted":
        scene.silenced.add(ticket_id)
    changes.emit(TicketUpdated, ticket_id, author, changes=("messages",), message=revised.message, reason=event.verb)


def _told(event: MessageRouted, revised: Stored) -> dict[str, Any]:
    if event.verb in ("edited", "corrected"):
        return {"text": revised.text}
    if event.reaction is not None:
        return {"action": event.reaction.action, "emoji": event.reaction.emoji}
    return {}


def _is_revivable(changes: Changes, ticket: Ticket) -> bool:
    hours = changes.settings[ticket.workspace_id].reopen_within_hours
    return tickets_.is_revivable(ticket, hours=hours, at=changes.now)


def _team(scene: Scene, workspace: str, decision: Decision) -> str:
    if decision.team is not None and (terms := scene.teams.get((workspace, decision.team))) is not None:
        return _on_duty(scene, workspace, decision.team, terms)
    for (owner, team), terms in scene.teams.items():
        if owner == workspace and terms.is_fallback:
            return _on_duty(scene, workspace, team, terms)
    if decision.team is not None:
        return decision.team
    raise Rejected(f"workspace {workspace} has no fallback team")


def _elsewhere(scene: Scene, workspace: str, decision: Decision, team: str) -> str | None:
    """Why it goes to another team than the decided one: another stands in for that, or it is gone."""
    if decision.team in (None, team):
        return None
    is_known = (workspace, decision.team) in scene.teams
    return f"stand-in-for-{decision.team}" if is_known else f"instead-of-{decision.team}"


def _on_duty(scene: Scene, workspace: str, team: str, terms: Terms) -> str:
    """The team, or the one that stands in for it now."""
    return terms.stand_in if terms.stand_in is not None and (workspace, terms.stand_in) in scene.teams else team
