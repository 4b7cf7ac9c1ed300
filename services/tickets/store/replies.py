"""Replies: kept as they were ordered, settled forward only, found again by whatever an echo shows."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import asyncpg
import msgspec

from services.tickets.domain.outcome import Record
from services.tickets.domain.reply import Missed
from shared.db.transaction import Transaction
from shared.events.messages import Message
from shared.events.payload import Actor
from shared.events.tickets import Reply

_COLUMNS: Final = """r.id, r.workspace_id, r.ticket_id, r.customer_id, r.seq, r.author, r.state, r.seen_seq, r.data,
    r.normalized_text, r.external_id, r.reason, r.ask_after, r.created_at, r.settled_at,
    coalesce(r.settled_at, r.created_at) > clock_timestamp() - interval '15 minutes' AS is_fresh"""
_UNFINISHED: Final = "state IN ('queued', 'sending', 'unknown')"

_INSERT: Final = """
INSERT INTO tickets.reply (id, workspace_id, ticket_id, customer_id, conversation_id, channel_id, seq, author_id,
    author, state, kind, text, normalized_text, data, fence, seen_seq, correlation_id, override)
SELECT i, w, t, cu, c, ch, s, ai, a::jsonb, st, k, tx, n, d::jsonb, f, ss, co, o
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::bigint[], $16::bigint[],
    $17::text[], $18::bool[]) AS n(i, w, t, cu, c, ch, s, ai, a, st, k, tx, n, d, f, ss, co, o)
"""
_INSERT_TURNS: Final = """
INSERT INTO tickets.reply_turn (reply_id, workspace_id, message_id, after)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
"""
_LOAD: Final = f"SELECT {_COLUMNS} FROM tickets.reply r WHERE r.id = ANY($1::text[])"
_SETTLE: Final = """
UPDATE tickets.reply r SET state = n.s, external_id = n.e, reason = n.w, ask_after = n.a,
    settled_at = CASE WHEN n.s IN ('queued', 'sending') THEN NULL ELSE clock_timestamp() END
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[]) AS n(i, s, e, w, a) WHERE r.id = n.i
"""
_NAME: Final = """
UPDATE tickets.reply r SET external_id = n.e FROM unnest($1::text[], $2::text[]) AS n(i, e)
WHERE r.id = n.i AND r.external_id IS NULL
"""
_WAITING: Final = f"""
SELECT {_COLUMNS} FROM tickets.reply r WHERE r.ticket_id = ANY($1::text[]) AND r.{_UNFINISHED} AND r.state <> 'unknown'
ORDER BY r.ticket_id, r.seq
"""
_ECHOED: Final = f"""
SELECT {_COLUMNS} FROM tickets.reply r WHERE r.id IN (
    SELECT id FROM tickets.reply WHERE correlation_id = ANY($1::text[])
    UNION
    SELECT x.id FROM unnest($2::text[], $3::text[]) AS n(c, e)
    JOIN tickets.reply x ON x.channel_id = n.c AND x.external_id = n.e
    UNION
    SELECT x.id FROM unnest($4::text[], $5::text[]) AS n(w, c)
    JOIN tickets.reply x ON x.workspace_id = n.w AND x.conversation_id = n.c AND x.{_UNFINISHED}
    UNION
    SELECT x.id FROM unnest($5::text[]) AS n(c)
    JOIN tickets.reply x ON x.conversation_id = n.c AND x.state = 'sent' AND x.external_id IS NULL
)
"""
_MISSED: Final = """
SELECT e.seq, e.kind, e.actor, e.at, e.message_id, e.reply_id, e.conversation_id, coalesce(m.text, r.text) AS text
FROM tickets.entry e
LEFT JOIN tickets.message m ON m.id = e.message_id
LEFT JOIN tickets.reply r ON r.id = e.reply_id
WHERE e.ticket_id = $1 AND e.seq > $2 AND e.moves
    AND (e.actor->>'kind' = 'customer' OR e.actor->>'id' IS DISTINCT FROM $3)
ORDER BY e.seq
"""


def insert(tx: Transaction, records: Sequence[Record]) -> None:
    """New replies with the turns that they hold, under the locks of their tickets; with the next statement."""
    if not records:
        return
    orders = [record.order for record in records]
    tx.defer(
        _INSERT,
        [record.id for record in records],
        [record.workspace_id for record in records],
        [record.ticket_id for record in records],
        [record.customer_id for record in records],
        [order.conversation_id for order in orders],
        [order.channel_id for order in orders],
        [record.seq for record in records],
        [record.author.id for record in records],
        [_json(record.author) for record in records],
        [record.state for record in records],
        [order.kind for order in orders],
        [order.text for order in orders],
        [record.normalized_text for record in records],
        [_json(order) for order in orders],
        [order.fence for order in orders],
        [record.seen_seq for record in records],
        [order.correlation_id for order in orders],
        [order.override for order in orders],
    )
    # An acknowledgement holds no turn: nobody who answers waits for it.
    held = [(record, turn) for record in records if not record.order.acknowledges for turn in record.order.turns]
    if held:
        tx.defer(
            _INSERT_TURNS,
            [record.id for record, _ in held],
            [record.workspace_id for record, _ in held],
            [turn.message_id for _, turn in held],
            [turn.after for _, turn in held],
        )


async def load(tx: Transaction, reply_ids: Iterable[str]) -> dict[str, Record]:
    """Those of the replies that exist, by id."""
    return {row["id"]: _record(row) for row in await tx.fetch(_LOAD, list(reply_ids))}


async def settle(tx: Transaction, records: Sequence[Record]) -> None:
    """Writes what became of replies, under the locks of their tickets."""
    if records:
        await tx.execute(
            _SETTLE,
            [record.id for record in records],
            [record.state for record in records],
            [record.external_id for record in records],
            [record.reason for record in records],
            [record.ask_after for record in records],
        )


async def name(tx: Transaction, names: Mapping[str, str]) -> None:
    """Writes under which names the network knows replies; the first name stays."""
    if names:
        await tx.execute(_NAME, list(names), list(names.values()))


async def waiting(tx: Transaction, ticket_ids: Collection[str]) -> list[Record]:
    """The replies of these tickets that may still be kept from leaving."""
    return [_record(row) for row in await tx.fetch(_WAITING, list(ticket_ids))]


async def echoed(tx: Transaction, items: Collection[Message]) -> list[Record]:
    """Every reply that one of these outbound items may be the echo of."""
    rows = await tx.fetch(
        _ECHOED,
        [item.correlation_id for item in items if item.correlation_id is not None],
        [item.channel_id for item in items],
        [item.external_id for item in items],
        [item.workspace_id for item in items],
        [item.conversation_id for item in items],
    )
    return [_record(row) for row in rows]


async def missed(tx: Transaction, ticket_id: str, *, after: int, writer: str) -> tuple[Missed, ...]:
    """What moved the thread after a place, and is not the writer's own."""
    return tuple(
        Missed(
            seq=row["seq"],
            kind=row["kind"],
            actor=msgspec.convert(row["actor"], Actor),
            at=row["at"],
            text=row["text"],
            message_id=row["message_id"],
            reply_id=row["reply_id"],
            conversation_id=row["conversation_id"],
        )
        for row in await tx.fetch(_MISSED, ticket_id, after, writer)
    )


def _json(value: Actor | Reply) -> str:
    return msgspec.json.encode(value).decode()


def _record(row: asyncpg.Record) -> Record:
    return Record(
        id=row["id"],
        workspace_id=row["workspace_id"],
        ticket_id=row["ticket_id"],
        customer_id=row["customer_id"],
        seq=row["seq"],
        author=msgspec.convert(row["author"], Actor),
        state=row["state"],
        seen_seq=row["seen_seq"],
        order=msgspec.convert(row["data"], Reply),
        normalized_text=row["normalized_text"],
        external_id=row["external_id"],
        reason=row["reason"],
        ask_after=row["ask_after"],
        created_at=row["created_at"],
        settled_at=row["settled_at"],
        is_fresh=row["is_fresh"],
    )
