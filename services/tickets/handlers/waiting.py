"""Asking that replies stay: a request to the notifier, which answers for those that it could still hold."""

from collections.abc import Collection

import msgspec

from services.tickets.domain.outcome import Record
from services.tickets.handlers.changes import Changes
from services.tickets.store import replies
from shared.events.payload import Actor
from shared.events.tickets import HoldReason, ReplyCancelled


async def cancel_waiting(
    changes: Changes, ticket_ids: Collection[str], actor: Actor, *, reason: HoldReason
) -> list[Record]:
    """Asks that all waiting replies of these tickets stay: they become drafts once the notifier has held them.

    The tickets are locked and adopted, and still under the ids that their replies were queued with.
    """
    return await ask_to_stay(changes, await replies.waiting(changes.tx, ticket_ids), actor, reason=reason)


async def ask_to_stay(
    changes: Changes, waiting: Collection[Record], actor: Actor, *, reason: HoldReason
) -> list[Record]:
    """Asks that these replies stay, each in the order of its ticket."""
    asked = [msgspec.structs.replace(record, reason=reason) for record in waiting]
    await replies.settle(changes.tx, asked)
    for record in asked:
        changes.record(record.ticket_id, "reply-cancelled", actor, reply_id=record.id, data={"reason": reason})
        changes.emit(ReplyCancelled, record.ticket_id, actor, reply_id=record.id, reason=reason)
    return asked
