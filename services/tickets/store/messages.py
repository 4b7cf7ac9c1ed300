"""Stored items of the networks, the conversations that tickets share in, and the turns that messages open."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from services.tickets.domain.message import Stored
from shared.db.together import Rows
from shared.db.transaction import Transaction
from shared.errors import Retryable
from shared.events.messages import Message

_COLUMNS: Final = "id, workspace_id, ticket_id, seq, received, state, text, provider_version, reactions, data"
_LOAD: Final = f"SELECT {_COLUMNS} FROM tickets.message WHERE id = ANY($1::text[])"
_LOCK: Final = f"{_LOAD} ORDER BY id FOR UPDATE"
_INSERT: Final = """
INSERT INTO tickets.message (id, workspace_id, ticket_id, conversation_id, channel_id, network, kind, direction, origin,
    external_id, seq, text, state, received, provider_version, reactions, data, occurred_at)
SELECT i, w, t, c, ch, nw, k, di, o, e, s, tx, st, r, pv, re::jsonb, da::jsonb, oc
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::bigint[], $12::text[], $13::text[], $14::bool[], $15::text[], $16::text[], $17::text[],
    $18::timestamptz[]) AS n(i, w, t, c, ch, nw, k, di, o, e, s, tx, st, r, pv, re, da, oc)
ON CONFLICT DO NOTHING RETURNING id
"""
_KEEP: Final = _INSERT.removesuffix(" RETURNING id\n")
_SAVE: Final = """
UPDATE tickets.message m SET ticket_id = t, conversation_id = c, seq = s, text = tx, state = st, received = r,
    provider_version = pv, reactions = re::jsonb, data = da::jsonb, occurred_at = oc
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::bigint[], $12::text[], $13::text[], $14::bool[], $15::text[], $16::text[], $17::text[],
    $18::timestamptz[]) AS n(i, w, t, c, ch, nw, k, di, o, e, s, tx, st, r, pv, re, da, oc)
WHERE m.id = n.i
"""
_SHARE: Final = """
INSERT INTO tickets.conversation (id, ticket_id, workspace_id, channel_id, network, kind)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) ON CONFLICT DO NOTHING
"""
_OPEN_TURNS: Final = """
INSERT INTO tickets.turn (message_id, workspace_id, ticket_id, conversation_id, seq)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) ON CONFLICT DO NOTHING
"""
_WAITING: Final = """
SELECT t.ticket_id, min(least(m.occurred_at, m.created_at)) AS since
FROM tickets.turn t JOIN tickets.message m ON m.id = t.message_id
WHERE t.ticket_id = ANY($1::text[]) AND t.answer_id IS NULL AND m.state <> 'deleted'
    AND t.seq > coalesce((SELECT max(e.seq) FROM tickets.entry e
                          WHERE e.ticket_id = t.ticket_id AND e.kind = 'resolved'), 0)
GROUP BY t.ticket_id
"""


async def load(tx: Transaction, ids: Iterable[str], *, lock: bool = False) -> dict[str, Stored]:
    """Those of the items that are known, by id; `lock`: after the locks of customers and tickets."""
    return {row["id"]: _stored(row) for row in await tx.fetch(_LOCK if lock else _LOAD, list(ids))}


async def insert(tx: Transaction, messages: Collection[Stored]) -> set[str]:
    """Stores new items; returns the ids of those that nobody else had stored."""
    if not messages:
        return set()
    return {row["id"] for row in await tx.fetch(_INSERT, *_columns(messages))}


def keep(tx: Transaction, messages: Collection[Stored]) -> None:
    """Stores new items with the next statement; Retryable where somebody else has stored one of them meanwhile."""
    if not messages:
        return

    rows = Rows(len(messages), lambda: Retryable("an item was stored by somebody else at this moment"))
    tx.defer(_KEEP, *_columns(messages), rows=rows)


async def save(tx: Transaction, messages: Collection[Stored]) -> None:
    """Writes items that are stored already, under the locks of their tickets."""
    if messages:
        await tx.execute(_SAVE, *_columns(messages))


def share(tx: Transaction, shares: Collection[tuple[str, Message]]) -> None:
    """Notes which tickets share in which conversations; once is enough."""
    rows = {(message.conversation_id, ticket): (ticket, message) for ticket, message in shares}.values()
    if rows:
        tx.defer(
            _SHARE,
            [message.conversation_id for _, message in rows],
            [ticket for ticket, _ in rows],
            [message.workspace_id for _, message in rows],
            [message.channel_id for _, message in rows],
            [message.network for _, message in rows],
            [message.kind for _, message in rows],
        )


def open_turns(tx: Transaction, messages: Sequence[Stored]) -> None:
    """Opens the turn of each of these messages, at its place in its ticket."""
    if messages:
        tx.defer(
            _OPEN_TURNS,
            [stored.id for stored in messages],
            [stored.workspace_id for stored in messages],
            [stored.ticket_id for stored in messages],
            [stored.message.conversation_id for stored in messages],
            [stored.seq for stored in messages],
        )


async def waiting(tx: Transaction, ticket_ids: Collection[str]) -> dict[str, datetime | None]:
    """Since when each ticket's customer waits for an answer: the oldest open turn since it was resolved last."""
    found = {row["ticket_id"]: row["since"] for row in await tx.fetch(_WAITING, list(ticket_ids))}
    return {ticket_id: found.get(ticket_id) for ticket_id in ticket_ids}


def _columns(messages: Iterable[Stored]) -> list[list[object]]:
    rows = [
        (
            stored.id,
            stored.workspace_id,
            stored.ticket_id,
            stored.message.conversation_id,
            stored.message.channel_id,
            stored.message.network,
            stored.message.kind,
            stored.message.direction,
            stored.message.origin,
            stored.message.external_id,
            stored.seq,
            stored.text,
            stored.state,
            stored.received,
            stored.provider_version,
            _json(stored.reactions),
            _json(stored.message),
            stored.message.occurred_at,
        )
        for stored in messages
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _stored(row: asyncpg.Record) -> Stored:
    return Stored(
        id=row["id"],
        workspace_id=row["workspace_id"],
        ticket_id=row["ticket_id"],
        seq=row["seq"],
        received=row["received"],
        state=row["state"],
        text=row["text"],
        provider_version=row["provider_version"],
        reactions=row["reactions"],
        message=msgspec.convert(row["data"], Message),
    )
