"""Who normalizes what: each member's share of the shards, and the lock that orders a shard's events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.db.shares import Shares
from shared.db.transaction import Transaction

SHARES: Final = Shares(shards="ingest.shard", members="ingest.member")
"""Who normalizes which shards."""

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
class Waiting:
    """A delivery in the queue."""

    shard: int
    inbox_id: str
    workspace_id: str
    size: int


async def lock(tx: Transaction, member: str) -> list[int]:
    """The member's shards in which something waits, locked: nobody takes them over before this transaction ends."""
    return [row["id"] for row in await tx.fetch(_LOCK, member)]


async def waiting(tx: Transaction, shards: Sequence[int], *, each: int) -> list[Waiting]:
    """What waits in these shards, oldest first. After `lock` and not with it: it must see what the lock saw last."""
    rows = await tx.fetch(_WAITING, shards, each)
    return [Waiting(row["shard"], row["inbox_id"], row["workspace_id"], row["size"]) for row in rows]
