"""Events of tickets become replies that wait, stop, or are known to have left."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec

from services.notifier.domain import replies, requests
from services.notifier.domain.requests import Desk
from services.notifier.store import due
from services.notifier.store import feed as feed_store
from services.notifier.store import replies as store
from shared.db.transaction import Transaction
from shared.events import tickets
from shared.events.envelope import Event

_ENCODER: Final = msgspec.json.Encoder()
_IF_DUE: Final = (tickets.TicketCreated, tickets.TicketUpdated, tickets.TicketReopened)
"""Every message of a customer is one of these: they matter only where a reply waits."""


async def apply(tx: Transaction, events: Sequence[Event]) -> bool:
    """Takes what a batch asks of replies, each ticket's events in order; whether a sender has something to look at."""
    asking = [event for event in events if requests.concerns(event.data)]
    named = {event.key: event.workspace_id for event in asking if not isinstance(event.data, _IF_DUE)}
    if_due = {event.key for event in asking if isinstance(event.data, _IF_DUE)}
    if not asking:
        return False
    locked = await store.lock_tickets(tx, named, if_due=if_due)
    if not locked:
        return False
    # Only now: whoever handled the same events elsewhere has committed, and they are in the feed.
    done = await feed_store.seen(tx, [event.id for event in asking])
    new = [event for event in asking if event.id not in done and event.key in locked]
    if not new:
        return False
    await _work(tx, new, locked)
    return True


async def _work(tx: Transaction, events: Sequence[Event], locked: Sequence[str]) -> None:
    loaded = await store.load(tx, locked, named={name for event in events if (name := _reply_id(event))})
    before = {reply.id: reply for reply in loaded}
    desk = Desk(now=await due.clock(tx), replies=dict(before))
    traced = {name: event.traceparent for event in reversed(events) if (name := _reply_id(event))}
    for event in events:
        requests.apply(desk, event.data, encode=_ENCODER.encode)
    await store.insert(tx, [replace(desk.replies[name], traceparent=traced[name]) for name in desk.added])
    changed = [reply for reply in desk.replies.values() if before.get(reply.id) != reply]
    await store.save(tx, changed)
    known = await store.lock_turns(tx, desk.workspaces)
    await store.answer(tx, desk.latest(known), workspaces=desk.workspaces)
    await store.refresh(tx, locked, release=True)
    for reply in changed:
        if told := replies.news(before.get(reply.id), reply, at=desk.now):
            tx.traceparent = reply.traceparent or traced.get(reply.id)
            tx.emit(told, key=reply.ticket_id)


def _reply_id(event: Event) -> str | None:
    match event.data:
        case tickets.ReplyQueued(reply=order):
            return order.id
        case (
            tickets.ReplyCancelled(reply_id=reply_id)
            | tickets.ReplySettled(reply_id=reply_id)
            | tickets.EchoMatched(reply_id=reply_id)
        ):
            return reply_id
        case _:
            return None
