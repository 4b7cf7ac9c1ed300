"""What the notifier found out about replies: sent, failed, held or unknown, each taken in once, however late."""

from collections.abc import Sequence

import msgspec

from services.tickets.handlers.changes import Changes
from services.tickets.handlers.ledger import Desk
from services.tickets.handlers.settling import Settling
from services.tickets.store import replies, tickets
from shared.db.transaction import Transaction
from shared.events.deliveries import DeliveryEvent, ReplyFailed, ReplyHeld, ReplySent, ReplyUnknown
from shared.events.envelope import Event


async def on_delivery(tx: Transaction, events: Sequence[Event], *, desk: Desk) -> None:
    """Applies a batch in order, in a constant number of statements; redelivery changes nothing."""
    wanted = {event.data.reply_id for event in events if isinstance(event.data, DeliveryEvent)}
    glance = await replies.load(tx, wanted)
    locked = await tickets.lock_known(tx, {record.ticket_id for record in glance.values()})
    changes = Changes(tx, desk.ids, now=await tx.now())
    changes.adopt(*{ticket.id: ticket for ticket in locked.values()}.values())
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
