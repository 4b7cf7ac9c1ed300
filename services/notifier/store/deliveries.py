"""What was pushed to endpoints: one row per event and endpoint, with every attempt."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import msgspec

from services.notifier.domain.endpoints import Delivery, DeliveryState
from services.notifier.domain.event_types import LEFT
from services.notifier.domain.feed import Entry, Filter
from shared.db.transaction import Transaction

_RECORD: Final = """
INSERT INTO notifier.delivery AS d (endpoint_id, number, workspace_id, event_id, type, state, attempts, log, due_at,
    settled_at)
SELECT e, n, w, i, t, s, a, jsonb_build_array(l), clock_timestamp() + make_interval(secs => wait),
    CASE WHEN s <> 'waiting' THEN clock_timestamp() END
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::jsonb[],
    $9::float8[]) AS v(e, n, w, i, t, s, a, l, wait)
ORDER BY e, n
ON CONFLICT (endpoint_id, number) DO UPDATE SET state = EXCLUDED.state, attempts = EXCLUDED.attempts,
    log = d.log || EXCLUDED.log, due_at = EXCLUDED.due_at, settled_at = EXCLUDED.settled_at
"""
_ADVANCE: Final = """
UPDATE notifier.lane AS l SET cursor = greatest(l.cursor, v.cursor),
    failures = CASE WHEN v.ok THEN 0 ELSE l.failures + v.failed END,
    failing_since = CASE WHEN v.ok THEN NULL WHEN v.failed > 0 THEN coalesce(l.failing_since, clock_timestamp())
        ELSE l.failing_since END
FROM unnest($1::text[], $2::bigint[], $3::bool[], $4::int[]) AS v(endpoint_id, cursor, ok, failed)
WHERE l.endpoint_id = v.endpoint_id AND l.owner = $5
RETURNING l.endpoint_id, l.failing_since < clock_timestamp() - $6::interval AS is_hopeless
"""
_TAKEN: Final = """
SELECT d.endpoint_id, d.number FROM notifier.delivery d JOIN notifier.lane l USING (endpoint_id)
WHERE d.endpoint_id = ANY ($1::text[]) AND d.number > l.cursor
"""
_DUE: Final = """
SELECT r.endpoint_id, r.attempts, f.workspace_id, f.number, f.event_id, f.type, f.ticket_id, f.team, f.owner, f.at,
    f.data, f.from_team, f.from_owner, f.addressed
FROM unnest($1::text[], $2::int[]) AS w(endpoint_id, room) CROSS JOIN LATERAL (
    SELECT d.endpoint_id, d.workspace_id, d.number, d.attempts FROM notifier.delivery d
    WHERE d.endpoint_id = w.endpoint_id AND d.state = 'waiting' AND d.due_at <= statement_timestamp()
    ORDER BY d.due_at LIMIT w.room
) r JOIN notifier.feed f ON f.workspace_id = r.workspace_id AND f.number = r.number
"""
_PAGE: Final = """
SELECT endpoint_id, number, event_id, type, state, attempts, log, due_at, created_at, settled_at
FROM notifier.delivery WHERE endpoint_id = $1 AND number < $2 AND ($3::text IS NULL OR state = $3)
ORDER BY number DESC LIMIT $4
"""
_RESEND: Final = """
UPDATE notifier.delivery SET state = 'waiting', due_at = clock_timestamp(), settled_at = NULL
WHERE endpoint_id = $1 AND number = $2
    AND EXISTS (SELECT FROM notifier.feed f WHERE f.workspace_id = delivery.workspace_id AND f.number = delivery.number)
RETURNING endpoint_id, number, event_id, type, state, attempts, log, due_at, created_at, settled_at
"""
_REPLAY: Final = """
WITH chosen AS (
    SELECT workspace_id, number, event_id, type FROM notifier.feed
    WHERE workspace_id = $2 AND number >= $3 AND number <= $4
        AND (($5::text[] IS NULL OR type = ANY ($5) OR addressed ? $9) AND ($6::text[] IS NULL OR team = ANY ($6))
            OR $8 AND from_team = ANY ($6))
    ORDER BY number LIMIT $7
), queued AS (
    INSERT INTO notifier.delivery (endpoint_id, number, workspace_id, event_id, type, state, attempts, due_at)
    SELECT $1, number, workspace_id, event_id, type, 'waiting', 0, clock_timestamp() FROM chosen ORDER BY number
    ON CONFLICT (endpoint_id, number) DO UPDATE SET state = 'waiting', due_at = EXCLUDED.due_at, settled_at = NULL
    RETURNING number
)
SELECT count(*) AS queued, max(number) AS last FROM queued
"""
# Numbers and times grow together: halving finds the place with a few look-ups, and needs no index on the time.
_FIRST_SINCE: Final = """
WITH RECURSIVE halving(low, high) AS (
    SELECT first, notifier.last_number($1) + 1 FROM notifier.feed_counter WHERE workspace_id = $1
    UNION ALL
    SELECT CASE WHEN f.stored_at < $2 THEN f.number + 1 ELSE h.low END,
        CASE WHEN f.stored_at < $2 THEN h.high ELSE f.number END
    FROM halving h JOIN notifier.feed f ON f.workspace_id = $1 AND f.number = (h.low + h.high) / 2
    WHERE h.low < h.high
)
SELECT low FROM halving WHERE low >= high
"""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to be kept; `wait`: seconds until the next one."""

    endpoint_id: str
    entry: Entry
    state: DeliveryState
    attempts: int
    log: Mapping[str, Any]
    wait: float | None


class Advance(msgspec.Struct, frozen=True, kw_only=True):
    """How a lane moved on: up to which number, whether anything was taken, how many attempts failed."""

    endpoint_id: str
    cursor: int
    ok: bool
    failed: int


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery whose time has come again."""

    endpoint_id: str
    attempts: int
    entry: Entry


async def record(tx: Transaction, records: Sequence[Record]) -> None:
    """Keeps attempts, at most one per event and endpoint."""
    if not records:
        return
    await tx.execute(
        _RECORD,
        [record.endpoint_id for record in records],
        [record.entry.number for record in records],
        [record.entry.workspace_id for record in records],
        [record.entry.event_id for record in records],
        [record.entry.type for record in records],
        [record.state for record in records],
        [record.attempts for record in records],
        [record.log for record in records],
        [record.wait for record in records],
    )


async def advance(tx: Transaction, advances: Sequence[Advance], *, owner: str, hopeless_after: timedelta) -> list[str]:
    """Moves the lanes that are still ours; gives the endpoints that only failed for so long."""
    rows = await tx.fetch(
        _ADVANCE,
        [advance.endpoint_id for advance in advances],
        [advance.cursor for advance in advances],
        [advance.ok for advance in advances],
        [advance.failed for advance in advances],
        owner,
        hopeless_after,
    )
    return [row["endpoint_id"] for row in rows if row["is_hopeless"]]


async def taken(tx: Transaction, endpoint_ids: Collection[str]) -> dict[str, set[int]]:
    """By endpoint, the numbers beyond its cursor that have a row already: they are not offered again."""
    found: dict[str, set[int]] = {}
    for row in await tx.fetch(_TAKEN, list(endpoint_ids)):
        found.setdefault(row["endpoint_id"], set()).add(row["number"])
    return found


async def due(tx: Transaction, room: Mapping[str, int]) -> list[Due]:
    """Deliveries to try again, of each endpoint at most as many as it has room for."""
    rows = await tx.fetch(_DUE, list(room), list(room.values()))
    return [
        Due(endpoint_id=row["endpoint_id"], attempts=row["attempts"], entry=Entry(*list(row.values())[2:]))
        for row in rows
    ]


async def page(
    tx: Transaction, endpoint_id: str, *, before: int, limit: int, state: DeliveryState | None
) -> list[Delivery]:
    """Deliveries of one endpoint, newest first."""
    return [_delivery(row) for row in await tx.fetch(_PAGE, endpoint_id, before, state, limit)]


async def resend(tx: Transaction, endpoint_id: str, number: int) -> Delivery | None:
    """Puts a delivery back into the queue, whatever became of it; None when it is not kept any more."""
    row = await tx.fetchrow(_RESEND, endpoint_id, number)
    return _delivery(row) if row else None


async def replay(
    tx: Transaction, workspace_id: str, endpoint_id: str, *, since: int, through: int, chosen: Filter, limit: int
) -> tuple[int, int | None]:
    """Queues what the endpoint subscribes to from `since` on; how many, and the last number."""
    row = await tx.fetchrow(
        _REPLAY,
        endpoint_id,
        workspace_id,
        since,
        through,
        None if chosen.types is None else sorted(chosen.types),
        None if chosen.teams is None else sorted(chosen.teams),
        limit,
        chosen.wants(LEFT),
        chosen.endpoint,
    )
    return (row["queued"], row["last"]) if row else (0, None)


async def first_since(tx: Transaction, workspace_id: str, at: datetime) -> int:
    """The first number that was stored at that time or later; the next one to come, where there is none."""
    return int(await tx.fetchval(_FIRST_SINCE, workspace_id, at) or 1)


def _delivery(row: asyncpg.Record) -> Delivery:
    fields = dict(row)
    fields["log"] = tuple(fields["log"])
    return Delivery(**fields)
