"""What normalizing reads and writes: a constant number of statements, however many deliveries and items."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from services.ingest.domain.batch import Account, Key, Published
from services.ingest.domain.deliveries import Delivery, Settled
from services.ingest.domain.index import Known
from services.ingest.store.shards import Waiting
from shared.db.transaction import Transaction

_DELIVERIES: Final = """
SELECT i.id, i.workspace_id, i.channel_id, i.network, i.received_at, i.body, i.replays,
       coalesce(c.external_id, '') AS account
FROM ingest.inbox i LEFT JOIN platform.channel c ON c.id = i.channel_id
WHERE i.id = ANY ($1::text[])
"""
_CHANNELS: Final = """
SELECT c.workspace_id, c.network, c.external_id, c.id
FROM unnest($1::text[], $2::text[], $3::text[]) AS a (workspace_id, network, external_id)
JOIN platform.channel c USING (workspace_id, network, external_id)
WHERE c.state <> 'deleted'
"""
_ITEMS: Final = """
SELECT i.channel_id, i.external_id, i.known
FROM unnest($1::text[], $2::text[]) AS k (channel_id, external_id)
JOIN ingest.item i USING (channel_id, external_id)
"""
_PUBLISHED: Final = """
SELECT id, inbox_id, ordinal, type, message_id, part FROM ingest.event WHERE id = ANY ($1::text[])
UNION
SELECT id, inbox_id, ordinal, type, message_id, part FROM ingest.event WHERE inbox_id = ANY ($2::text[])
ORDER BY ordinal
"""
_ITEM: Final = """
INSERT INTO ingest.item (channel_id, external_id, workspace_id, message_id, conversation_id, state, known)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[])
ON CONFLICT (channel_id, external_id) DO UPDATE
SET conversation_id = EXCLUDED.conversation_id, state = EXCLUDED.state, known = EXCLUDED.known, updated_at = now()
"""
_EVENT: Final = """
INSERT INTO ingest.event (id, workspace_id, inbox_id, type, message_id, part)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
ON CONFLICT (id) DO NOTHING
"""
# By id: the index of what is pending holds all of a backlog.
_SETTLE: Final = """
UPDATE ingest.inbox i
SET state = s.state, reason_code = s.code, reason_detail = s.detail, normalized_at = now()
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS s (id, state, code, detail)
WHERE i.id = s.id AND coalesce(i.state, '') = 'pending'
"""


async def deliveries(tx: Transaction, waiting: Sequence[Waiting]) -> list[Delivery]:
    """The deliveries that wait, in the order in which they wait."""
    rows = await tx.fetch(_DELIVERIES, [entry.inbox_id for entry in waiting])
    found = {row["id"]: Delivery(**dict(row)) for row in rows}
    return [found[entry.inbox_id] for entry in waiting if entry.inbox_id in found]


async def channels(tx: Transaction, accounts: Iterable[Account]) -> dict[Account, str]:
    """The channels of accounts, without deleted ones."""
    workspaces, networks, names = _columns(accounts, 3)
    rows = await tx.fetch(_CHANNELS, workspaces, networks, names)
    return {(row["workspace_id"], row["network"], row["external_id"]): row["id"] for row in rows}


async def items(tx: Transaction, keys: Collection[Key]) -> dict[Key, bytes]:
    """What the index holds of items."""
    channel_ids, external_ids = _columns(keys, 2)
    rows = await tx.fetch(_ITEMS, channel_ids, external_ids)
    return {(row["channel_id"], row["external_id"]): row["known"] for row in rows}


async def published(tx: Transaction, *, ids: Collection[str], replayed: Collection[str]) -> list[Published]:
    """Those of the events that were published before, and all of deliveries that are replayed; oldest first."""
    rows = await tx.fetch(_PUBLISHED, list(ids), list(replayed))
    return [
        Published(
            inbox_id=row["inbox_id"],
            message_id=row["message_id"],
            type=row["type"],
            part=row["part"],
            event_id=row["id"],
        )
        for row in rows
    ]


def write(
    tx: Transaction,
    settled: Sequence[Settled],
    *,
    known: Mapping[Key, tuple[Known, bytes]],
    events: Sequence[tuple[str, Published]],
) -> None:
    """What a batch changes beside the queue: the index, and the memory of what became what. Events by workspace."""
    items = sorted(known.items())
    messages = [each.message for _, (each, _) in items]
    tx.defer(
        _ITEM,
        [channel_id for (channel_id, _), _ in items],
        [external_id for (_, external_id), _ in items],
        [message.workspace_id for message in messages],
        [message.id for message in messages],
        [message.conversation_id for message in messages],
        [each.state for _, (each, _) in items],
        [encoded for _, (_, encoded) in items],
    )
    tx.defer(
        _EVENT,
        [event.event_id for _, event in events],
        [workspace for workspace, _ in events],
        [event.inbox_id for _, event in events],
        [event.type for _, event in events],
        [event.message_id for _, event in events],
        [event.part for _, event in events],
    )
    tx.defer(
        _SETTLE,
        [entry.inbox_id for entry in settled],
        [entry.state for entry in settled],
        [entry.code for entry in settled],
        [entry.detail for entry in settled],
    )


def _columns(rows: Iterable[Sequence[str]], width: int) -> list[list[str]]:
    columns: list[list[str]] = [[] for _ in range(width)]
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return columns
