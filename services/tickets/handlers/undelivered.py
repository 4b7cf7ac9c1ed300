"""Replies that a network had taken, and of which it says later that they do not reach the customer."""

from collections.abc import Sequence

import msgspec
import structlog

from services.tickets.domain import echo as echoes
from services.tickets.handlers.changes import Changes
from services.tickets.handlers.echo import own_of
from services.tickets.handlers.ledger import Desk
from services.tickets.handlers.settling import Settling
from services.tickets.store import entries, replies, tickets
from shared.db.transaction import Transaction
from shared.events.envelope import Event
from shared.events.routing import MessageRouted


async def on_undelivered(tx: Transaction, events: Sequence[Event], *, desk: Desk) -> None:
    """Shows each in its ticket, once; of an unknown reply it is the outcome."""
    said = {
        event.data.event_id: (event, event.data)
        for event in events
        if isinstance(event.data, MessageRouted) and event.data.verb == "undelivered"
    }
    if not said:
        return
    items = [data.message for _, data in said.values()]
    glance = await replies.echoed(tx, items)
    locked = await tickets.lock_known(tx, {record.ticket_id for record in glance})
    changes = Changes(tx, desk.ids, now=await tx.now())
    changes.adopt(*{ticket.id: ticket for ticket in locked.values()}.values())
    # Again, because what was read before the locks may have been settled since.
    records = [
        msgspec.structs.replace(record, ticket_id=locked[record.ticket_id].id)
        for record in await replies.echoed(tx, items)
        if record.ticket_id in locked
    ]
    told = await entries.seen(tx, said)
    settling = await Settling.load(changes, desk, records)
    ours = [own_of(record) for record in records]
    for event_id, (event, data) in said.items():
        own = echoes.named(data.message, ours)
        if own is None:
            structlog.get_logger().info("undelivered_item_without_reply", message_id=data.message.id)
            continue
        if event_id not in told:
            changes.cause = event.id
            settling.undelivered(own.id, item=data.message, reason=data.reason or "", event_id=event_id)
            tx.after_commit(desk.metrics.counter("baton_replies_total", state="undelivered").inc)
    await settling.write()
