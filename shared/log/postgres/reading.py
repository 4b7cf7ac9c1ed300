"""Events by their places in the database."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from shared.db.appending import decode_headers
from shared.db.pool import Database
from shared.events.envelope import Headers
from shared.log.port import Record

# By distance from the start, so that each shard gets its share: a backlog in one does not keep the others waiting.
_READ: Final = """
SELECT next.shard, next.position, e.key, e.headers, e.value
FROM (
    SELECT p.shard, p.position, p.event_id
    FROM unnest($1::int[], $2::bigint[]) AS w(shard, start)
    CROSS JOIN LATERAL (
        SELECT shard, position, event_id FROM log.position
        WHERE shard = w.shard AND position >= w.start ORDER BY position LIMIT $3
    ) p
    ORDER BY p.position - w.start LIMIT $4
) next CROSS JOIN LATERAL (SELECT key, headers, value FROM log.event WHERE id = next.event_id LIMIT 1) e
ORDER BY next.shard, next.position
"""


class Row(NamedTuple):
    """An event in its place."""

    shard: int
    position: int
    key: str
    headers: Headers
    value: bytes

    def record(self, topic: str, partition: int) -> Record:
        """As readers see it."""
        return Record(
            topic=topic,
            partition=partition,
            position=self.position,
            key=self.key,
            headers=self.headers,
            value=self.value,
        )


async def read(database: Database, starts: Mapping[int, int], *, share: int, limit: int) -> list[Row]:
    """What is in these shards from these positions on, in order: at most `share` of each and `limit` of all."""
    rows = await database.look(_READ, list(starts), list(starts.values()), share, limit)
    return [Row(shard, position, key, decode_headers(raw), value) for shard, position, key, raw, value in rows]
