"""What the notifier found out about replies and operations on items, each taken in once, however late."""

from collections.abc import Collection, Sequence

import msgspec

from services.tickets.handlers import moderating
from services.tickets.handlers.changes import Changes
from services.tickets.handlers.ledger import Desk
from services.tickets.handlers.settling import Settling
from services.tickets.store import messages, replies, tickets
from shared.db.transaction import Transaction
from shared.events.deliveries import (
    DeliveryEvent,
    ModerationSettled,
    ReplyFailed,
    ReplyHeld,
    ReplySent,
    ReplyUnknown,
)
from shared.events.envelope import Event


async def on_delivery(tx: Transaction, events: Sequence[Event], *, desk: Desk) -> None:
    """Applies a batch in order, in a constant number of statements; redelivery changes nothing."""
    wanted = {event.data.reply_id for event in events if isinstance(event.data, DeliveryEvent)}
    items = {event.data.message_id for event in events if isinstance(event.data, ModerationSettled)}
    # Of all at once, because locks are taken in one order.
    locked = await tickets.lock_known(tx, await _tickets(tx, wanted, items))
    changes = Changes(tx, desk.ids, now=await tx.now())
    changes.adopt(*{ticket.id: ticket for ticket in locked.values()}.values())
    if wanted:
        # Again, because what was read before the locks may have been settled since.
        records = [
            msgspec.structs.replace(record, ticket_id=locked[record.ticket_id].id)
            for record in (await replies.load(tx, wanted)).values()
            if record.ticket_id in locked
        ]
        settling = await Settling.load(changes, desk, records)
        for event in events:
            changes.cause = event.id
            _apply(settling, event)
        await settling.write()
    if items:
        await moderating.conclude(changes, events, locked)


async def _tickets(tx: Transaction, reply_ids: Collection[str], message_ids: Collection[str]) -> set[str]:
    records = await replies.load(tx, reply_ids) if reply_ids else {}
    stored = await messages.load(tx, message_ids) if message_ids else {}
    holding = {item.ticket_id for item in stored.values() if item.ticket_id is not None}
    return {record.ticket_id for record in records.values()} | holding


def _apply(settling: Settling, event: Event) -> None:
    match event.data:
        case ReplySent(reply_id=reply_id, external_id=external_id):
            settling.sent(reply_id, external_id=external_id)
        case ReplyFailed(reply_id=reply_id, reason=reason):
            settling.failed(reply_id, reason=reason)
        case ReplyHeld(reply_id=reply_id, reason=reason):
            settling.held(reply_id, reason=reason)
        case ReplyUnknown(reply_id=reply_id, reason=reason, ask_after=ask_after):
            settling.unknown(reply_id, reason=reason, ask_after=ask_after)
