"""Outbound items that wait to be told apart: each says the same as a reply of which nobody knows whether it left."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from shared.db.transaction import Transaction
from shared.events.messages import Message

_INSERT: Final = """
INSERT INTO tickets.echo (message_id, workspace_id, ticket_id, reply_id, conversation_id, external_id, data)
SELECT m, w, t, r, c, e, d::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
    AS n(m, w, t, r, c, e, d)
ON CONFLICT DO NOTHING
"""
_FOR_REPLIES: Final = """
SELECT ticket_id, reply_id, data FROM tickets.echo WHERE reply_id = ANY($1::text[]) ORDER BY created_at, message_id
"""
_PLACE: Final = """
UPDATE tickets.message m SET ticket_id = n.t, seq = n.s
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS n(i, t, s) WHERE m.id = n.i
"""
_DONE: Final = "DELETE FROM tickets.echo WHERE message_id = ANY($1::text[])"


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """An item, and the reply whose outcome will tell what it is."""

    ticket_id: str
    reply_id: str
    item: Message


async def insert(tx: Transaction, waiting: Sequence[Waiting]) -> None:
    """Keeps items until the outcome of their replies is known."""
    if waiting:
        await tx.execute(
            _INSERT,
            [echo.item.id for echo in waiting],
            [echo.item.workspace_id for echo in waiting],
            [echo.ticket_id for echo in waiting],
            [echo.reply_id for echo in waiting],
            [echo.item.conversation_id for echo in waiting],
            [echo.item.external_id for echo in waiting],
            [msgspec.json.encode(echo.item).decode() for echo in waiting],
        )


async def for_replies(tx: Transaction, reply_ids: Iterable[str]) -> list[Waiting]:
    """The items that wait for these replies."""
    return [
        Waiting(ticket_id=row["ticket_id"], reply_id=row["reply_id"], item=msgspec.convert(row["data"], Message))
        for row in await tx.fetch(_FOR_REPLIES, list(reply_ids))
    ]


async def done(tx: Transaction, message_ids: Collection[str]) -> None:
    """Forgets items that have been told apart."""
    if message_ids:
        await tx.execute(_DONE, list(message_ids))


async def place(tx: Transaction, places: Mapping[str, tuple[str, int]]) -> None:
    """Writes in which ticket, and where in it, stored items stand after all."""
    if places:
        await tx.execute(
            _PLACE, list(places), [ticket for ticket, _ in places.values()], [seq for _, seq in places.values()]
        )
