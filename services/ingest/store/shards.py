"""Who normalizes what: members that are alive, their share of the shards, and the lock that orders a shard's events."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from shared.db.transaction import Transaction

_BEAT: Final = """
INSERT INTO ingest.member (id, expires_at) VALUES ($1, clock_timestamp() + $2)
ON CONFLICT (id) DO UPDATE SET expires_at = EXCLUDED.expires_at
"""
_COUNT: Final = """
SELECT (SELECT count(*) FROM ingest.member WHERE expires_at > clock_timestamp()) AS members,
       (SELECT count(*) FROM ingest.shard WHERE owner = $1) AS owned,
       (SELECT count(*) FROM ingest.shard) AS shards
"""
_GIVE: Final = """
UPDATE ingest.shard SET owner = NULL
WHERE id IN (SELECT id FROM ingest.shard WHERE owner = $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)
"""
_TAKE: Final = """
UPDATE ingest.shard SET owner = $1
WHERE id IN (
    SELECT s.id FROM ingest.shard s
    WHERE s.owner IS NULL
       OR NOT EXISTS (SELECT FROM ingest.member m WHERE m.id = s.owner AND m.expires_at > clock_timestamp())
    ORDER BY s.id LIMIT $2 FOR UPDATE SKIP LOCKED
)
"""
_LEAVE: Final = """
WITH gone AS (DELETE FROM ingest.member WHERE id = $1 OR expires_at < clock_timestamp() - interval '1 hour')
UPDATE ingest.shard SET owner = NULL WHERE owner = $1
"""
_LOCK: Final = """
SELECT s.id FROM ingest.shard s
WHERE s.owner = $1 AND EXISTS (SELECT FROM ingest.pending p WHERE p.shard = s.id)
ORDER BY s.id FOR UPDATE OF s
"""
_WAITING: Final = """
SELECT p.shard, p.inbox_id, p.workspace_id, p.size
FROM unnest($1::smallint[]) AS s (id)
CROSS JOIN LATERAL (
    SELECT shard, inbox_id, workspace_id, size FROM ingest.pending WHERE shard = s.id ORDER BY inbox_id LIMIT $2
) p
ORDER BY p.inbox_id
"""


@dataclass(frozen=True, slots=True)
class Share:
    """What a member owns, and what it should own."""

    owned: int
    fair: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery in the queue."""

    shard: int
    inbox_id: str
    workspace_id: str
    size: int


async def beat(tx: Transaction, member: str, *, ttl: timedelta) -> Share:
    """Says that the member lives, and what its share is; the transaction scans."""
    await tx.execute(_BEAT, member, ttl)
    row = await tx.fetchrow(_COUNT, member)
    assert row is not None  # noqa: S101 - an aggregate always gives one row
    return Share(owned=row["owned"], fair=-(-row["shards"] // max(row["members"], 1)))


async def give(tx: Transaction, member: str, count: int) -> int:
    """Gives some shards back, none that a transaction works on."""
    return await tx.execute(_GIVE, member, count)


async def take(tx: Transaction, member: str, count: int) -> int:
    """Takes shards that nobody alive owns; never waits, so one in use stays where it is."""
    return await tx.execute(_TAKE, member, count)


async def leave(tx: Transaction, member: str) -> None:
    """Gives everything back, so that others need not wait for the TTL."""
    await tx.execute(_LEAVE, member)


async def lock(tx: Transaction, member: str) -> list[int]:
    """The member's shards in which something waits, locked: nobody takes them over before this transaction ends."""
    return [row["id"] for row in await tx.fetch(_LOCK, member)]


async def waiting(tx: Transaction, shards: Sequence[int], *, each: int) -> list[Waiting]:
    """What waits in these shards, oldest first. After `lock` and not with it: it must see what the lock saw last."""
    rows = await tx.fetch(_WAITING, shards, each)
    return [Waiting(row["shard"], row["inbox_id"], row["workspace_id"], row["size"]) for row in rows]
