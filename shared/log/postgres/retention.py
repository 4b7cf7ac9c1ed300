"""Retention: events that every group has committed, and that are old enough, leave the log from its old end."""

from datetime import timedelta
from typing import Final

from shared.db.pool import Database
from shared.db.scope import Scan

LOCK: Final = 0x0BA705
"""Advisory lock, for one transaction: two processes that trim at once would only wait for each other."""

_CLAIM: Final = "SELECT pg_try_advisory_xact_lock($1)"
_TRIM: Final = """
WITH head AS MATERIALIZED (
    SELECT p.shard, p.position, p.event_id, p.created_at
    FROM log.shard s CROSS JOIN LATERAL (
        SELECT shard, position, event_id, created_at FROM log.position
        WHERE shard = s.id AND position >= s.first_position AND position < coalesce((
            SELECT min(c.position) FROM log.cursor c WHERE c.shard = s.id
        ), 9223372036854775807)
        ORDER BY position LIMIT $2
    ) p
), stop AS (
    SELECT shard, max(position) + 1 AS position FROM head WHERE created_at < now() - $1::interval GROUP BY shard
), old AS MATERIALIZED (
    SELECT head.* FROM head JOIN stop USING (shard) WHERE head.position < stop.position
), positions AS (
    DELETE FROM log.position p USING old WHERE p.shard = old.shard AND p.position = old.position
), events AS (
    DELETE FROM log.event e USING old WHERE e.id = old.event_id
)
SELECT stop.shard, stop.position, (SELECT count(*) FROM old WHERE old.shard = stop.shard) AS count FROM stop
"""
# Its own statement, right before the commit: the sequencer skips shards that are locked.
_ADVANCE: Final = """
UPDATE log.shard s SET first_position = w.position
FROM unnest($1::int[], $2::bigint[]) AS w(shard, position) WHERE s.id = w.shard
"""


async def trim(database: Database, *, older_than: timedelta, chunk: int = 500) -> int:
    """Deletes until nothing is left to delete, in transactions of at most `chunk` events per shard."""
    total: int = 0
    while True:
        async with database.transaction(Scan()) as tx:
            if not await tx.fetchval(_CLAIM, LOCK):
                return total
            rows = await tx.fetch(_TRIM, older_than, chunk)
            await tx.execute(_ADVANCE, [row["shard"] for row in rows], [row["position"] for row in rows])
        total += sum(row["count"] for row in rows)
        if not rows:
            return total
