"""The inbox as operators see it: pages, one delivery whole, replays, and what is old enough to go."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from services.ingest.domain.deliveries import State
from shared.db.transaction import Transaction

_ENTRY: Final = (
    "id, channel_id, network, state, reason_code, reason_detail, received_at, normalized_at, replays, "
    "octet_length(body) AS size"
)
_CHANNELS: Final = "SELECT id FROM platform.channel WHERE workspace_id = $1 ORDER BY id"
_PAGE: Final = f"""
SELECT f.* FROM unnest($1::text[]) AS c (id) CROSS JOIN unnest($2::text[]) AS s (state)
CROSS JOIN LATERAL (
    SELECT {_ENTRY} FROM ingest.inbox i
    WHERE i.channel_id = c.id AND i.state = s.state AND i.id < $3 ORDER BY i.id DESC LIMIT $4
) f
ORDER BY f.id DESC LIMIT $4
"""
_EVENTS: Final = """
SELECT inbox_id, id, type, message_id FROM ingest.event WHERE inbox_id = ANY ($1::text[]) ORDER BY ordinal
"""
_ONE: Final = f"SELECT {_ENTRY}, headers, body FROM ingest.inbox WHERE workspace_id = $1 AND id = $2"
_REPLAY: Final = """
WITH chosen AS (
    SELECT f.id FROM unnest($1::text[]) AS c (id) CROSS JOIN unnest($2::text[]) AS s (state)
    CROSS JOIN LATERAL (
        SELECT i.id FROM ingest.inbox i
        WHERE i.channel_id = c.id AND i.state = s.state AND i.id > $3
          AND ($4::timestamptz IS NULL OR i.received_at >= $4) AND ($5::timestamptz IS NULL OR i.received_at < $5)
          AND ($6::text[] IS NULL OR i.id = ANY ($6))
        ORDER BY i.id LIMIT $7
    ) f
    ORDER BY f.id LIMIT $7
), again AS (
    UPDATE ingest.inbox i
    SET state = 'pending', reason_code = NULL, reason_detail = NULL, normalized_at = NULL, replays = i.replays + 1
    FROM chosen WHERE i.id = chosen.id AND i.state <> 'pending'
    RETURNING i.shard, i.id, i.workspace_id, i.channel_id, octet_length(i.body) AS size
), queued AS (
    INSERT INTO ingest.pending (shard, inbox_id, workspace_id, channel_id, size) SELECT * FROM again ORDER BY id
)
SELECT (SELECT count(*) FROM again) AS count, count(*) AS seen, max(id) AS last FROM chosen
"""

LAST: Final = "inb_~"
"""Sorts after every id."""

_HEADERS: Final = msgspec.json.Decoder(dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Became:
    """An event that a delivery became."""

    id: str
    type: str
    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A delivery in a list."""

    id: str
    channel_id: str
    network: str
    state: State
    reason_code: str | None
    reason_detail: str | None
    received_at: datetime
    normalized_at: datetime | None
    replays: int
    size: int
    events: tuple[Became, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """A delivery as it came."""

    entry: Entry
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which deliveries to replay."""

    channels: Sequence[str]
    states: Sequence[State]
    after: str = ""
    received_from: datetime | None = None
    received_to: datetime | None = None
    ids: Sequence[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """How many deliveries were put back, and behind which id more may follow."""

    count: int
    last: str | None


async def channels(tx: Transaction, workspace_id: str) -> list[str]:
    """All channels that ever had an inbox here, deleted ones included."""
    return [row["id"] for row in await tx.fetch(_CHANNELS, workspace_id)]


async def page(
    tx: Transaction, *, channels: Sequence[str], states: Sequence[State], before: str | None, limit: int
) -> list[Entry]:
    """Deliveries with the events that they became, newest first."""
    rows = await tx.fetch(_PAGE, channels, states, before or LAST, limit)
    events = await _events(tx, [row["id"] for row in rows])
    return [_entry(row, events) for row in rows]


async def one(tx: Transaction, workspace_id: str, inbox_id: str) -> Raw | None:
    """One delivery with its raw body, or None."""
    row = await tx.fetchrow(_ONE, workspace_id, inbox_id)
    if row is None:
        return None
    entry = _entry(row, await _events(tx, [inbox_id]))
    return Raw(entry=entry, headers=_HEADERS.decode(row["headers"]), body=row["body"])


async def replay(tx: Transaction, choice: Choice, *, limit: int) -> Replayed:
    """Puts settled deliveries back into the queue, oldest first."""
    row = await tx.fetchrow(
        _REPLAY,
        choice.channels,
        choice.states,
        choice.after,
        choice.received_from,
        choice.received_to,
        choice.ids,
        limit,
    )
    assert row is not None  # noqa: S101 - an aggregate always gives one row
    return Replayed(count=row["count"], last=row["last"] if row["seen"] == limit else None)


async def _events(tx: Transaction, inbox_ids: Sequence[str]) -> dict[str, tuple[Became, ...]]:
    found: dict[str, tuple[Became, ...]] = {}
    for row in await tx.fetch(_EVENTS, inbox_ids) if inbox_ids else ():
        became = Became(id=row["id"], type=row["type"], message_id=row["message_id"])
        found[row["inbox_id"]] = (*found.get(row["inbox_id"], ()), became)
    return found


def _entry(row: asyncpg.Record, events: dict[str, tuple[Became, ...]]) -> Entry:
    fields: dict[str, Any] = {name: row[name] for name in Entry.__dataclass_fields__ if name != "events"}
    return Entry(**fields, events=events.get(row["id"], ()))
