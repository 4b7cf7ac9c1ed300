"""What rules say by themselves: written in the name of a bot, through the same hands as everybody's answers.

Everything that a batch's messages are told is decided together, in a number of statements that does not grow with them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from services.tickets.domain import reply as replies_
from services.tickets.domain import rule_replies as rules_
from services.tickets.domain.echo import REPLY_PREFIX
from services.tickets.domain.message import Stored
from services.tickets.domain.reply import Accepted, Order, Refused, TurnState
from services.tickets.domain.rule_replies import Attempt, Outcome, Said, Withheld
from services.tickets.handlers.arrivals import Asked, Scene
from services.tickets.handlers.changes import Cause
from services.tickets.handlers.entering import Room, enter_all
from services.tickets.handlers.ledger import Desk
from services.tickets.handlers.queueing import Answer, Denied, keep, limits_of, queue
from services.tickets.store import rule_replies, turns
from services.tickets.store.turns import View
from shared import ids
from shared.errors import Invalid
from shared.events.payload import SYSTEM, Actor
from shared.events.routing import RuleReply
from shared.platform.store.agents import Rules

WITHHELD: Final = "answer-withheld"
"""The line that says why a rule has not said what it would have."""

_NOBODY: Final = Cause(None, None)


class Wanted(NamedTuple):
    """Something that a rule may say."""

    asked: Asked
    reply: RuleReply

    @property
    def message_id(self) -> str:
        """The message that it is said to."""
        return self.asked.stored.id


@dataclass(slots=True, kw_only=True)
class Answering:
    """What may be said to the messages of a batch; the leases of those who would hear it are locked."""

    scene: Scene
    desk: Desk
    wanted: list[Wanted] = field(default_factory=list)
    rooms: Mapping[str, Room] = field(default_factory=dict)
    """By ticket."""
    authors: Mapping[str, Actor] = field(default_factory=dict)
    """By workspace."""
    attempts: list[Attempt] = field(default_factory=list)

    def count(self, outcome: Outcome | Withheld) -> None:
        """Counts what became of one, once it is committed."""
        counter = self.desk.metrics.counter("baton_rule_replies_total", outcome=outcome)
        self.scene.changes.tx.after_commit(counter.inc)

    def withhold(self, one: Wanted, why: Withheld, detail: str | None = None) -> None:
        """It is not said, and the timeline says why; that it was said before stands there already."""
        self.count(why)
        if why == "once":
            return
        told = {"rule": one.reply.rule, "kind": one.reply.kind, "reason": why}
        told |= {"detail": detail} if detail else {}
        self.scene.changes.record(one.asked.ticket_id, WITHHELD, SYSTEM, message_id=one.message_id, data=told)

    def note(self, one: Wanted, outcome: Outcome, *, reply_id: str | None = None) -> None:
        """It was tried: the same is not tried again."""
        ticket = self.scene.changes[one.asked.ticket_id]
        attempt = Attempt(
            message_id=one.message_id,
            kind=one.reply.kind,
            workspace_id=ticket.workspace_id,
            customer_id=ticket.customer_id,
            ticket_id=ticket.id,
            rule=one.reply.rule,
            outcome=outcome,
            reply_id=reply_id,
        )
        self.attempts.append(attempt)
        if outcome != "unsendable":
            self.count(outcome)


async def prepare(scene: Scene, desk: Desk, bots: Mapping[str, Rules]) -> Answering:
    """Which of what rules want to say may be tried, under the leases' locks: those come before any agent's load.

    `bots`: in whose names, by workspace.
    """
    answering = Answering(scene=scene, desk=desk)
    if not scene.asked:
        return answering
    changes = scene.changes
    served = {one.ticket_id: changes[one.ticket_id] for one in scene.asked}
    customers = {(ticket.workspace_id, ticket.customer_id) for ticket in served.values()}
    said = await rule_replies.said(changes.tx, customers, served)
    for asked in scene.asked:
        ticket = served[asked.ticket_id]
        for reply in asked.replies:
            _admit(answering, Wanted(asked, reply), bots[ticket.workspace_id], said[ticket.customer_id])
    answering.authors = {
        workspace: Actor(kind="bot", id=bot.id, name=bot.name) for workspace, bot in bots.items() if not bot.is_disabled
    }
    tickets = {one.asked.ticket_id for one in answering.wanted}
    if tickets:
        answering.rooms = await enter_all(changes, desk, tickets, answering.authors)
    return answering


async def conclude(answering: Answering) -> None:
    """Says it, or keeps it as a draft where somebody is in the way; what the batch did to its tickets is written."""
    if not answering.wanted:
        return
    changes, desk = answering.scene.changes, answering.desk
    states = await _seen(answering)
    answers: list[Answer] = []
    denied: list[Denied] = []
    for one in answering.wanted:
        decided = _decide(answering, one, states[one.asked.ticket_id, one.asked.stored.message.conversation_id])
        if isinstance(decided, Answer):
            answers.append(decided)
        elif isinstance(decided, Denied):
            denied.append(decided)
    # The lease is taken for all that is said to somebody: no single message led to it.
    changes.because(_NOBODY)
    await queue(changes, desk, answers)
    await keep(changes, desk, denied)
    rule_replies.insert(changes.tx, answering.attempts)
    await changes.flush()


def _admit(answering: Answering, one: Wanted, bot: Rules, said: list[Said]) -> None:
    message, reply, ticket_id = one.asked.stored.message, one.reply, one.asked.ticket_id
    why = rules_.withheld(message, reply, ticket_id=ticket_id, said=said, at=answering.scene.changes.now)
    if why is None and bot.is_disabled:
        why = "disabled"
    if why is not None:
        answering.withhold(one, why)
        return
    answering.wanted.append(one)
    attempt = Said(message_id=message.id, kind=reply.kind, ticket_id=ticket_id, rule=reply.rule, is_recent=True)
    said.append(attempt)


async def _seen(answering: Answering) -> dict[tuple[str, str], tuple[TurnState, ...]]:
    """By ticket and conversation. Rules have seen all that is there: what the batch brought, they were asked about."""
    changes = answering.scene.changes
    parts = {(one.asked.ticket_id, one.asked.stored.message.conversation_id) for one in answering.wanted}
    views = [View(*part, changes[part[0]].last_seq) for part in sorted(parts)]
    found = await turns.seen(changes.tx, views)
    return {
        (view.ticket_id, view.conversation_id): replies_.seen_turns(states, view.seen_seq)
        for view, states in zip(views, found, strict=True)
    }


def _decide(answering: Answering, one: Wanted, seen: tuple[TurnState, ...]) -> Answer | Denied | None:
    room = answering.rooms[one.asked.ticket_id]
    ticket, reply, stored = room.ticket, one.reply, one.asked.stored
    who = answering.authors[ticket.workspace_id]
    order = Order(
        text=reply.text,
        seen_seq=ticket.last_seq,
        in_reply_to=stored.id,
        kind=reply.kind,
        rule=reply.rule,
        acknowledges=not reply.answers,
    )
    scene = replies_.Scene(
        at=room.at, owner=ticket.owner, last_seq=ticket.last_seq, lease=room.lease, missed=(), turns=seen
    )
    decision = replies_.decide(scene, who, order)
    if isinstance(decision, Refused):
        answering.note(one, "refused")
        return Denied(room, who, order, decision, one.asked.cause)
    try:
        limits = limits_of(room, who, order, stored.message, latest=_latest(answering, decision, stored).message)
    except Invalid as refused:
        answering.note(one, "unsendable")
        answering.withhold(one, "unsendable", str(refused))
        return None
    reply_id = ids.digest(REPLY_PREFIX, "rule", stored.id, reply.kind)
    answering.note(one, "queued", reply_id=reply_id)
    return Answer(room, who, order, stored.message, decision, limits, reply_id, one.asked.cause)


def _latest(answering: Answering, accepted: Accepted, stored: Stored) -> Stored:
    # What came after a message of this batch came with it.
    return answering.scene.known.get(accepted.turns[-1].message_id, stored)
