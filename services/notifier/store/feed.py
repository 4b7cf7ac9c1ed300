"""The feed: what happened in a workspace, numbered without gaps in the order in which it was committed."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import asyncpg

from services.notifier.domain.event_types import LEFT
from services.notifier.domain.feed import Entry, Fact, Filter
from shared.db.together import Rows
from shared.db.transaction import Transaction
from shared.errors import Retryable

# What is seen is as old as the statement, the last number as new as the lock: `append` sees if something came between.
_LOCK: Final = """
WITH locked AS (
    SELECT workspace_id FROM notifier.feed_counter WHERE workspace_id = ANY ($1::text[])
    ORDER BY workspace_id FOR UPDATE
)
SELECT workspace_id, notifier.last_number(workspace_id) AS last,
    ARRAY(SELECT event_id FROM notifier.feed WHERE event_id = ANY ($2::text[])) AS seen
FROM locked
"""
_ADD_COUNTERS: Final = """
INSERT INTO notifier.feed_counter (workspace_id) SELECT w FROM unnest($1::text[]) AS w ORDER BY w
ON CONFLICT DO NOTHING
"""
_SEEN: Final = "SELECT event_id FROM notifier.feed WHERE event_id = ANY ($1::text[])"
_APPEND: Final = """
INSERT INTO notifier.feed (workspace_id, number, event_id, type, ticket_id, team, owner, at, data, from_team,
    from_owner, addressed)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::timestamptz[], $9::bytea[], $10::text[], $11::text[], $12::jsonb[])
ON CONFLICT DO NOTHING
"""
_COLUMNS: Final = (
    "workspace_id, number, event_id, type, ticket_id, team, owner, at, data, from_team, from_owner, addressed"
)
_PAGE: Final = f"""
SELECT {_COLUMNS} FROM notifier.feed
WHERE workspace_id = $1 AND number > $2 AND number <= $3
    AND ($4::text[] IS NULL OR type = ANY ($4) OR ($8 AND from_team IS NOT NULL))
    AND ($5::text[] IS NULL OR team = ANY ($5) OR owner = $6 OR from_team = ANY ($5) OR from_owner = $6)
ORDER BY number LIMIT $7
"""
_READ: Final = f"""
SELECT f.* FROM unnest($1::text[], $2::bigint[]) AS wanted(workspace_id, after) CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM notifier.feed
    WHERE workspace_id = wanted.workspace_id AND number > wanted.after ORDER BY number LIMIT $3
) f
"""
_NUMBERED: Final = f"SELECT {_COLUMNS} FROM notifier.feed WHERE workspace_id = $1 AND number = ANY ($2::bigint[])"
_LAST: Final = "SELECT w AS workspace_id, notifier.last_number(w) AS last FROM unnest($1::text[]) AS w"
_BOUNDS: Final = "SELECT first, notifier.last_number($1) AS last FROM notifier.feed_counter WHERE workspace_id = $1"
_PURGE: Final = """
WITH old AS (
    SELECT number, stored_at FROM notifier.feed WHERE workspace_id = $1 ORDER BY number LIMIT $3
), gone AS (
    DELETE FROM notifier.feed f USING old
    WHERE f.workspace_id = $1 AND f.number = old.number AND old.stored_at < clock_timestamp() - $2::interval
    RETURNING f.number
)
UPDATE notifier.feed_counter SET first = greatest(first, (SELECT max(number) + 1 FROM gone))
WHERE workspace_id = $1 AND EXISTS (SELECT FROM gone) RETURNING (SELECT count(*) FROM gone)
"""
_PURGE_DELIVERIES: Final = """
DELETE FROM notifier.delivery d USING notifier.feed_counter c
WHERE c.workspace_id = $1 AND d.workspace_id = $1 AND d.number < c.first
"""


async def seen(tx: Transaction, event_ids: Iterable[str]) -> set[str]:
    """Those of the events that are in the feed already: their effects are done."""
    return {row["event_id"] for row in await tx.fetch(_SEEN, list(event_ids))}


async def append(tx: Transaction, facts: Sequence[Fact]) -> list[Entry]:
    """Numbers and keeps the facts that are not in the feed yet; holds the workspaces' counters until the commit."""
    workspaces = sorted({fact.workspace_id for fact in facts})
    last, known = await _lock(tx, workspaces, [fact.event_id for fact in facts])
    entries: list[Entry] = []
    for fact in facts:
        if fact.event_id in known:
            continue
        known.add(fact.event_id)
        last[fact.workspace_id] += 1
        entries.append(fact.numbered(last[fact.workspace_id]))

    if entries:
        tx.defer(
            _APPEND,
            [entry.workspace_id for entry in entries],
            [entry.number for entry in entries],
            [entry.event_id for entry in entries],
            [entry.type for entry in entries],
            [entry.ticket_id for entry in entries],
            [entry.team for entry in entries],
            [entry.owner for entry in entries],
            [entry.at for entry in entries],
            [entry.data for entry in entries],
            [entry.from_team for entry in entries],
            [entry.from_owner for entry in entries],
            [entry.addressed for entry in entries],
            rows=Rows(len(entries), lambda: Retryable("an event was numbered by somebody else at this moment")),
        )
    return entries


async def _lock(
    tx: Transaction, workspaces: Sequence[str], event_ids: Sequence[str]
) -> tuple[dict[str, int], set[str]]:
    rows = await tx.fetch(_LOCK, workspaces, event_ids)
    if len(rows) < len(workspaces):
        await tx.execute(_ADD_COUNTERS, workspaces)
        rows = await tx.fetch(_LOCK, workspaces, event_ids)
    return {row["workspace_id"]: row["last"] for row in rows}, set(rows[0]["seen"])


async def page(
    tx: Transaction, workspace_id: str, *, after: int, through: int, limit: int, chosen: Filter
) -> list[Entry]:
    """Entries behind `after`, up to `through`, of which the filter lets pass something."""
    rows = await tx.fetch(
        _PAGE,
        workspace_id,
        after,
        through,
        None if chosen.types is None else sorted(chosen.types),
        None if chosen.teams is None else sorted(chosen.teams),
        chosen.agent_id,
        limit,
        chosen.wants(LEFT),
    )
    return [_entry(row) for row in rows]


async def read(tx: Transaction, after: Mapping[str, int], *, limit: int) -> list[Entry]:
    """What follows in several workspaces at once, each from its own number, at most `limit` of each."""
    rows = await tx.fetch(_READ, list(after), list(after.values()), limit)
    return [_entry(row) for row in rows]


async def numbered(tx: Transaction, workspace_id: str, numbers: Collection[int]) -> dict[int, Entry]:
    """Single entries by number; those that are no longer kept are missing."""
    return {row["number"]: _entry(row) for row in await tx.fetch(_NUMBERED, workspace_id, list(numbers))}


async def last(tx: Transaction, workspaces: Collection[str]) -> dict[str, int]:
    """The newest number of each workspace; 0 where nothing happened yet."""
    return {row["workspace_id"]: row["last"] for row in await tx.fetch(_LAST, list(workspaces))}


async def bounds(tx: Transaction, workspace_id: str) -> tuple[int, int]:
    """The oldest number that is still kept, and the newest."""
    row = await tx.fetchrow(_BOUNDS, workspace_id)
    return (row["first"], row["last"]) if row else (1, 0)


async def purge(tx: Transaction, workspace_id: str, *, keep: timedelta, limit: int = 5_000) -> int:
    """Forgets entries older than `keep`, at most `limit` of them; returns how many."""
    return int(await tx.fetchval(_PURGE, workspace_id, keep, limit) or 0)


async def purge_deliveries(tx: Transaction, workspace_id: str) -> int:
    """Forgets deliveries of entries that are no longer kept."""
    return await tx.execute(_PURGE_DELIVERIES, workspace_id)


def _entry(row: asyncpg.Record) -> Entry:
    return Entry(*row)
