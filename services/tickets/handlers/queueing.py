"""What was decided about answers is done: they queue under a lease, or their texts are kept; any number at once."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from services.tickets.domain import text, window
from services.tickets.domain.outcome import Record
from services.tickets.domain.reply import Accepted, Order, Refused
from services.tickets.handlers.changes import Cause, Changes
from services.tickets.handlers.entering import Room
from services.tickets.handlers.lease import Grant, apply_all
from services.tickets.handlers.ledger import Book, Desk
from services.tickets.store import drafts, replies
from services.tickets.store.drafts import Draft
from shared import ids
from shared.events.messages import Message
from shared.events.payload import Actor
from shared.events.tickets import DraftKept, Reply, ReplyQueued
from shared.networks import registry


class Limits(NamedTuple):
    """Until when the network takes an answer, as the last hop judges it, and since when that counts."""

    until: datetime | None
    since: datetime


class Answer(NamedTuple):
    """An answer that may queue."""

    room: Room
    who: Actor
    order: Order
    target: Message
    """What it answers."""
    accepted: Accepted
    limits: Limits
    reply_id: str
    cause: Cause | None = None
    """What led to it, where that is not what led to all of them."""


class Denied(NamedTuple):
    """An answer that may not, and why."""

    room: Room
    who: Actor
    order: Order
    refused: Refused
    cause: Cause | None = None


def limits_of(room: Room, who: Actor, order: Order, target: Message, *, latest: Message) -> Limits:
    """Invalid where the network would not take it; `latest`: the last of the customer's messages that it answers."""
    capabilities = registry.capabilities(target.network)
    kind = window.kind_for(target, order.kind)
    counted = target if kind == "public" else latest
    until = window.deadline(counted, kind, human=who.kind == "agent", capabilities=capabilities)
    window.check_network(order, kind, until=until, at=room.at, capabilities=capabilities)
    # The last hop holds what comes after the window: a template is made for that.
    return Limits(None if order.template else until, counted.occurred_at)


async def queue(changes: Changes, desk: Desk, answers: Sequence[Answer]) -> list[Record]:
    """Answers of rooms that these changes belong to wait for the notifier from now on, each under its room's lease."""
    grants: dict[str, Grant] = {}
    for one in answers:
        room = one.room
        own = room.lease if room.lease is not None and room.lease.is_held_by(one.who) else None
        # Of several answers the first one takes the lease for all.
        grants.setdefault(room.scope, Grant(room, one.accepted.lease, one.who, own.session if own else None))
    await apply_all(changes.tx, list(grants.values()))
    book = Book(changes, desk)
    records = []
    for one in answers:
        if one.cause is not None:
            changes.because(one.cause)
        lease = grants[one.room.scope].room.lease
        record = _record(one, fence=lease.fence if lease else 0)
        records.append(record)
        changes.emit(ReplyQueued, record.ticket_id, one.who, reply=record.order)
        for over in one.accepted.overridden:
            book.overridden(record.ticket_id, over.kind, one.who, other=over.other, reply_id=record.id)
        changes.tx.after_commit(desk.metrics.counter("baton_replies_total", state="queued").inc)
    replies.insert(changes.tx, records)
    await book.write()
    return records


async def keep(changes: Changes, desk: Desk, denied: Sequence[Denied]) -> list[str]:
    """The texts of answers that were refused are drafts, and stand in the ledger; returns the drafts' ids."""
    kept = [_draft(one) for one in denied]
    book = Book(changes, desk)
    for one in denied:
        if one.cause is not None:
            changes.because(one.cause)
        book.prevented(one.room.ticket_id, one.refused.kind, one.who, other=one.refused.other)
    new = await drafts.keep(changes.tx, kept)
    for one, draft in zip(denied, kept, strict=True):
        if one.cause is not None:
            changes.because(one.cause)
        if draft.id in new:
            fields = {"draft_id": draft.id, "agent_id": draft.agent_id, "reason": draft.reason}
            changes.emit(DraftKept, draft.ticket_id, one.who, **fields)
    await book.write()
    return [draft.id for draft in kept]


def _record(one: Answer, *, fence: int) -> Record:
    room, order, message = one.room, one.order, one.target
    conversation = message.conversation_id
    changes, reply_id = room.changes, one.reply_id
    told = {"rule": order.rule} if order.rule else None
    seq = changes.record(room.ticket_id, "reply", one.who, reply_id=reply_id, conversation_id=conversation, data=told)
    reply = Reply(
        id=reply_id,
        seq=seq,
        author=one.who,
        channel_id=message.channel_id,
        network=message.network,
        conversation_id=conversation,
        text=order.text,
        kind=window.kind_for(message, order.kind),
        fence=fence,
        turns=one.accepted.turns,
        in_reply_to=message.id,
        in_reply_to_external_id=message.external_id,
        correlation_id=reply_id,
        recipient_external_id=message.author.external_id if message.author else None,
        message_kind=message.kind,
        attachments=order.attachments,
        template=order.template,
        override=order.override,
        window_until=one.limits.until,
        message_at=one.limits.since,
        hold_on_message=room.settings.hold_on_message,
        rule=order.rule,
        acknowledges=order.acknowledges,
    )
    return Record(
        id=reply_id,
        workspace_id=room.ticket.workspace_id,
        ticket_id=room.ticket_id,
        customer_id=room.ticket.customer_id,
        seq=seq,
        author=one.who,
        state="queued",
        seen_seq=order.seen_seq,
        order=reply,
        normalized_text=text.normalize(order.text),
    )


def _draft(denied: Denied) -> Draft:
    room, who, order, reason = denied.room, denied.who, denied.order, denied.refused.kind
    data = {"kind": order.kind, "attachments": list(order.attachments), "template": order.template}
    # The same refusal of the same answer keeps one draft, however often a client tries.
    said = (order.in_reply_to or "", order.text, msgspec.json.encode(data).decode())
    return Draft(
        id=ids.digest("drf", room.ticket_id, who.id or "", reason, *said),
        workspace_id=room.ticket.workspace_id,
        ticket_id=room.ticket_id,
        agent_id=who.id or "",
        text=order.text,
        reason=reason,
        in_reply_to=order.in_reply_to,
        seen_seq=order.seen_seq,
        data=data,
    )
