"""The timeline and audit of tickets: lines are appended under the ticket's lock and never change."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import asyncpg
import msgspec

from services.tickets.domain.ticket import Entry
from shared.db.transaction import Transaction
from shared.events.payload import Actor

_APPEND: Final = """
INSERT INTO tickets.entry
    (ticket_id, workspace_id, seq, kind, actor, moves, message_id, reply_id, conversation_id, event_id, data)
SELECT t, w, s, k, a::jsonb, m, mi, ri, c, e, d::jsonb
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bool[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::text[]) AS n(t, w, s, k, a, m, mi, ri, c, e, d)
"""
_SEEN: Final = "SELECT event_id FROM tickets.entry WHERE event_id = ANY($1::text[])"
_PAGE: Final = """
SELECT ticket_id, workspace_id, seq, kind, actor, moves, message_id, reply_id, conversation_id, event_id, data, at
FROM tickets.entry WHERE ticket_id = $1 AND seq > $2 ORDER BY seq LIMIT $3
"""


def append(tx: Transaction, entries: Sequence[Entry]) -> None:
    """Adds lines that `domain.ticket.record` made; the tickets are saved with the same transaction."""
    if not entries:
        return
    tx.defer(
        _APPEND,
        [entry.ticket_id for entry in entries],
        [entry.workspace_id for entry in entries],
        [entry.seq for entry in entries],
        [entry.kind for entry in entries],
        [_json(entry.actor) for entry in entries],
        [entry.moves for entry in entries],
        [entry.message_id for entry in entries],
        [entry.reply_id for entry in entries],
        [entry.conversation_id for entry in entries],
        [entry.event_id for entry in entries],
        [_json(entry.data) for entry in entries],
    )


async def seen(tx: Transaction, event_ids: Iterable[str]) -> set[str]:
    """Those of the events that already have a line."""
    return {row["event_id"] for row in await tx.fetch(_SEEN, list(event_ids))}


async def page(tx: Transaction, ticket_id: str, *, after: int, limit: int) -> list[asyncpg.Record]:
    """Lines after a place, in order, each with the instant `at` which it was written."""
    return await tx.fetch(_PAGE, ticket_id, after, limit)


def actor_of(value: Any) -> Actor:
    """An actor as it was stored."""
    return msgspec.convert(value, Actor)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
