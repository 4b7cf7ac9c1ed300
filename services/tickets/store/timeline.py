"""Timelines: what was said and done, line by line, with the texts as they are now."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from shared.db.transaction import Transaction
from shared.events.messages import Message
from shared.events.payload import Actor

_LINE: Final = """
e.ticket_id, e.seq, e.kind, e.actor, e.at, e.moves, e.conversation_id, e.message_id, e.reply_id, e.data,
    m.state AS message_state, m.text AS message_text, m.reactions, m.data AS message, r.state AS reply_state,
    r.text AS reply_text, r.kind AS reply_kind, r.external_id AS reply_external_id, r.reason AS reply_reason
FROM tickets.entry e
LEFT JOIN tickets.message m ON m.id = e.message_id
LEFT JOIN tickets.reply r ON r.id = e.reply_id"""
_UP: Final = f"SELECT {_LINE} WHERE e.ticket_id = $1 AND e.seq > $2 ORDER BY e.seq LIMIT $3"
_DOWN: Final = f"SELECT {_LINE} WHERE e.ticket_id = $1 AND e.seq < $2 ORDER BY e.seq DESC LIMIT $3"
_SAID: Final = "('message', 'native', 'reply', 'answer', 'note')"
# What was merged stands in the ticket that it was merged into.
_OF_CUSTOMER: Final = f"""
SELECT {_LINE} JOIN tickets.ticket t ON t.id = e.ticket_id
WHERE t.workspace_id = $1 AND t.customer_id = $2 AND t.state <> 'merged' AND e.kind IN {_SAID}
    AND ($6::text[] IS NULL OR t.team_id = ANY($6) OR t.owner_id = $7)
    AND (e.at, e.ticket_id, e.seq) < (coalesce($3, 'infinity'::timestamptz), $4, $5)
ORDER BY e.at DESC, e.ticket_id DESC, e.seq DESC LIMIT $8
"""
_CONVERSATIONS: Final = """
SELECT DISTINCT ON (c.id) c.id, c.channel_id, c.network, c.kind, m.data
FROM tickets.conversation c
JOIN tickets.message m ON m.ticket_id = c.ticket_id AND m.conversation_id = c.id AND m.direction = 'in'
WHERE c.ticket_id = $1 AND m.kind <> 'reaction' ORDER BY c.id, m.seq DESC
"""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line with what it speaks of."""

    ticket_id: str
    seq: int
    kind: str
    actor: Actor
    at: datetime
    moves: bool
    conversation_id: str | None
    message_id: str | None
    reply_id: str | None
    data: dict[str, Any]
    message: Message | None = None
    message_state: str | None = None
    message_text: str | None = None
    reactions: dict[str, str] | None = None
    reply_state: str | None = None
    reply_text: str | None = None
    reply_kind: str | None = None
    reply_external_id: str | None = None
    reply_reason: str | None = None


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket's share in a conversation, and the customer's latest message there."""

    id: str
    channel_id: str
    network: str
    kind: str
    latest: Message


async def page(tx: Transaction, ticket_id: str, *, after: int, limit: int) -> list[Line]:
    """Lines after a place, oldest first."""
    return [_line(row) for row in await tx.fetch(_UP, ticket_id, after, limit)]


async def page_back(tx: Transaction, ticket_id: str, *, before: int, limit: int) -> list[Line]:
    """Lines before a place, newest first."""
    return [_line(row) for row in await tx.fetch(_DOWN, ticket_id, before, limit)]


async def of_customer(
    tx: Transaction,
    workspace_id: str,
    customer_id: str,
    *,
    before: tuple[datetime | None, str, int],
    visible: tuple[Collection[str] | None, str | None],
    limit: int,
) -> list[Line]:
    """What was said with a customer in all tickets that are visible, newest first."""
    teams = None if visible[0] is None else list(visible[0])
    rows = await tx.fetch(_OF_CUSTOMER, workspace_id, customer_id, *before, teams, visible[1], limit)
    return [_line(row) for row in rows]


async def conversations(tx: Transaction, ticket_id: str) -> list[Share]:
    """The conversations of a ticket."""
    return [
        Share(
            id=row["id"],
            channel_id=row["channel_id"],
            network=row["network"],
            kind=row["kind"],
            latest=msgspec.convert(row["data"], Message),
        )
        for row in await tx.fetch(_CONVERSATIONS, ticket_id)
    ]


def _line(row: asyncpg.Record) -> Line:
    fields = dict(row)
    fields["actor"] = msgspec.convert(fields["actor"], Actor)
    if fields["message"] is not None:
        fields["message"] = msgspec.convert(fields["message"], Message)
    return Line(**fields)
