"""Writing an answer: refused when it would be the second one, queued otherwise, taken back or settled by a person."""

from typing import Any, Final, cast

import msgspec

from services.tickets.domain import outcome as outcomes
from services.tickets.domain import reply as replies_
from services.tickets.domain import window
from services.tickets.domain.echo import REPLY_PREFIX
from services.tickets.domain.message import Stored
from services.tickets.domain.outcome import Record
from services.tickets.domain.reply import Accepted, Order, Refused, Scene
from services.tickets.handlers.access import actor_of, check_visible
from services.tickets.handlers.changes import Changes
from services.tickets.handlers.entering import Room, enter
from services.tickets.handlers.ledger import Desk
from services.tickets.handlers.queueing import Answer, Denied, keep, limits_of, queue
from services.tickets.handlers.settling import Settling
from services.tickets.handlers.waiting import ask_to_stay
from services.tickets.store import leases, messages, replies, tickets, turns
from services.tickets.store.turns import View
from shared.db.transaction import Transaction
from shared.errors import Forbidden, Invalid, NotFound
from shared.events.payload import Actor
from shared.web.auth import Principal

_CANCELLABLE: Final = frozenset({"queued", "sending"})


async def submit(tx: Transaction, desk: Desk, principal: Principal, ticket_id: str, order: Order) -> dict[str, Any]:
    """Queues an answer, or refuses it and keeps its text as a draft."""
    if order.override and not principal.may("tickets:override"):
        raise Forbidden("an override needs tickets:override", missing=["tickets:override"])
    who = actor_of(principal)
    room = await enter(tx, desk, principal, ticket_id)
    order = _in_this_ticket(order, room, ticket_id)
    missed = await replies.missed(tx, room.ticket_id, after=order.seen_seq, writer=principal.id)
    target = None if missed else await _target(room, order)
    seen = await _seen(room, order, target) if target else ()
    scene = Scene(
        at=room.at,
        owner=room.ticket.owner,
        last_seq=room.ticket.last_seq,
        lease=room.lease,
        missed=missed,
        turns=seen,
    )
    decision = replies_.decide(scene, who, order)
    if isinstance(decision, Refused) or target is None:
        raise await _refuse(Denied(room, who, order, cast("Refused", decision)))
    return await _queue(room, decision, who, order, target)


async def read(tx: Transaction, principal: Principal, reply_id: str) -> dict[str, Any]:
    """A reply and what became of it."""
    found = (await replies.load(tx, [reply_id])).get(reply_id)
    ticket = await tickets.load(tx, found.ticket_id) if found else None
    if found is None or ticket is None:
        raise NotFound(f"there is no reply {reply_id}")
    check_visible(principal, ticket)
    later = await replies.missed(tx, found.ticket_id, after=found.seq, writer=principal.id)
    settled = found.settled_at or await leases.clock(tx)
    arrived = [one.message_id for one in later if one.actor.kind == "customer" and one.at <= settled]
    return {**shown(found), "arrived_meanwhile": arrived}


async def cancel(tx: Transaction, desk: Desk, principal: Principal, reply_id: str) -> dict[str, Any]:
    """Asks that one's own waiting reply stay; it becomes a draft once the notifier has held it."""
    changes, record = await _lock(tx, desk, principal, reply_id)
    if record.author.id != principal.id and not principal.may("tickets:supervise"):
        raise Forbidden("only its writer or a supervisor may cancel a reply")
    if record.state not in _CANCELLABLE:
        raise outcomes.NotWaiting(f"the reply is {record.state}", state=record.state)
    if record.reason != "cancelled":
        [record] = await ask_to_stay(changes, [record], actor_of(principal), reason="cancelled")
        await changes.flush()
    return shown(record)


async def settle(
    tx: Transaction,
    desk: Desk,
    principal: Principal,
    reply_id: str,
    *,
    was_sent: bool,
    external_id: str | None,
) -> dict[str, Any]:
    """A person says what became of a reply of which nobody knows."""
    changes, record = await _lock(tx, desk, principal, reply_id)
    covering = (await leases.of_tickets(tx, [changes[record.ticket_id].id])).get(record.ticket_id)
    holds = covering is not None and covering.lease.is_held_by(actor_of(principal))
    concerned = holds or record.author.id == principal.id or principal.may("tickets:supervise")
    outcomes.check_settling(record.state, ask_after=record.ask_after, at=changes.now, is_concerned=concerned)
    settling = await Settling.load(changes, desk, [record])
    actor = actor_of(principal)
    if was_sent:
        settling.sent(record.id, external_id=external_id, by="person", actor=actor)
    else:
        settling.failed(record.id, reason="settled-by-person", by="person", actor=actor)
    await settling.write()
    return shown((await replies.load(tx, [reply_id]))[reply_id])


def shown(record: Record) -> dict[str, Any]:
    """A reply as its writer sees it."""
    order = record.order
    return {
        "id": record.id,
        "ticket_id": record.ticket_id,
        "state": record.state,
        "seq": record.seq,
        "author": record.author,
        "text": order.text,
        "kind": order.kind,
        "in_reply_to": order.in_reply_to,
        "turns": [turn.message_id for turn in order.turns],
        "fence": order.fence,
        "override": order.override,
        "rule": order.rule,
        "acknowledges": order.acknowledges,
        "external_id": record.external_id,
        "reason": record.reason,
        "ask_after": record.ask_after,
        "created_at": record.created_at,
        "settled_at": record.settled_at,
    }


def _in_this_ticket(order: Order, room: Room, asked_for: str) -> Order:
    if asked_for != room.ticket_id:
        # Places of a ticket that was merged say nothing about this one: whatever moved it counts as not seen.
        return msgspec.structs.replace(order, seen_seq=0)
    if order.seen_seq > room.ticket.last_seq:
        detail = f"the ticket has {room.ticket.last_seq} lines"
        raise Invalid(detail, last_seq=room.ticket.last_seq, errors=[{"pointer": "#/seen_seq", "detail": detail}])
    return order


async def _target(room: Room, order: Order) -> Stored:
    message_id = order.in_reply_to or await turns.latest(room.tx, room.ticket_id, seen_seq=order.seen_seq)
    found = (await messages.load(room.tx, [message_id])).get(message_id) if message_id else None
    if found is None or found.ticket_id != room.ticket_id or found.message.direction != "in":
        what = f"no message {order.in_reply_to} of the customer" if order.in_reply_to else "nothing to answer"
        raise Invalid(f"there is {what} in this ticket", errors=[{"pointer": "#/in_reply_to", "detail": what}])
    return found


async def _seen(room: Room, order: Order, target: Stored) -> tuple[replies_.TurnState, ...]:
    conversation = target.message.conversation_id
    [states] = await turns.seen(room.tx, [View(room.ticket_id, conversation, order.seen_seq)])
    seen = replies_.seen_turns(states, order.seen_seq)
    if not seen:
        raise Invalid(
            "nobody wrote in that conversation", errors=[{"pointer": "#/in_reply_to", "detail": "no turn to answer"}]
        )
    return seen


async def _refuse(denied: Denied) -> Exception:
    [draft_id] = await keep(denied.room.changes, denied.room.desk, [denied])
    await denied.room.changes.flush()
    return replies_.refusal(denied.refused, draft_id=draft_id)


async def _queue(room: Room, accepted: Accepted, who: Actor, order: Order, target: Stored) -> dict[str, Any]:
    # A private window is open since the customer's last message, whichever of them is answered.
    latest = accepted.turns[-1].message_id
    is_latest = latest == target.id or window.kind_for(target.message, order.kind) == "public"
    counted = target if is_latest else (await messages.load(room.tx, [latest])).get(latest, target)
    limits = limits_of(room, who, order, target.message, latest=counted.message)
    answer = Answer(room, who, order, target.message, accepted, limits, reply_id=room.desk.ids.new(REPLY_PREFIX))
    [record] = await queue(room.changes, room.desk, [answer])
    await room.changes.flush()
    return {"id": record.id, "state": record.state, "seq": record.seq, "fence": record.order.fence}


async def _lock(tx: Transaction, desk: Desk, principal: Principal, reply_id: str) -> tuple[Changes, Record]:
    found = (await replies.load(tx, [reply_id])).get(reply_id)
    if found is None:
        raise NotFound(f"there is no reply {reply_id}")
    ticket = await tickets.lock(tx, found.ticket_id)
    check_visible(principal, ticket)
    changes = Changes(tx, desk.ids, now=await leases.clock(tx))
    changes.adopt(ticket)
    # Again, because what was read before the lock may have been settled since; and a merged ticket's story goes on.
    record = (await replies.load(tx, [reply_id]))[reply_id]
    return changes, msgspec.structs.replace(record, ticket_id=ticket.id)
