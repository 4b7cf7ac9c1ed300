"""Who normalizes what: each member's share of the shards, and the lock that orders a shard's events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.db.pool import Database
from shared.db.shares import Shares
from shared.db.together import Rows
from shared.db.transaction import Transaction
from shared.errors import Retryable

SHARES: Final = Shares(shards="ingest.shard", members="ingest.member")
"""Who normalizes which shards."""

_WAITING: Final = """
WITH busy AS MATERIALIZED (
    SELECT s.id
    FROM ingest.shard s CROSS JOIN LATERAL (SELECT FROM ingest.pending p WHERE p.shard = s.id LIMIT 1) AS waiting
    WHERE s.owner = $1 ORDER BY s.id LIMIT $2::bigint
)
SELECT p.shard, p.inbox_id, p.workspace_id, p.size
FROM busy CROSS JOIN LATERAL (
    SELECT shard, inbox_id, workspace_id, size FROM ingest.pending
    WHERE shard = busy.id ORDER BY inbox_id LIMIT $2::bigint / (SELECT count(*) FROM busy)
) p
ORDER BY p.inbox_id
"""
_HOLD: Final = "SELECT FROM ingest.shard WHERE owner = $1 AND id = ANY ($2::smallint[]) FOR UPDATE"
_DONE: Final = """
DELETE FROM ingest.pending WHERE ctid = ANY (ARRAY(
    SELECT p.ctid FROM unnest($1::smallint[], $2::text[]) AS d (shard, inbox_id)
    CROSS JOIN LATERAL (SELECT ctid FROM ingest.pending WHERE shard = d.shard AND inbox_id = d.inbox_id LIMIT 1) p
))
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery in the queue."""

    shard: int
    inbox_id: str
    workspace_id: str
    size: int


async def waiting(database: Database, member: str, *, most: int) -> list[Waiting]:
    """What waits in the member's shards, oldest first; as much of each, where it is more than `most`.

    Nothing is locked: what comes of it is written by `done`.
    """
    return [Waiting(*row) for row in await database.look(_WAITING, member, most)]


def done(tx: Transaction, waiting: Sequence[Waiting], *, member: str) -> None:
    """Takes deliveries out of the queue, and locks their shards until the commit; Retryable where one changed hands.

    Whoever took a shard over begins with what waits in it: so as long as all of it still waits, and the shard is the
    member's, nobody else has written anything of its channels since the look.
    """
    held = sorted({entry.shard for entry in waiting})
    entries = [entry.shard for entry in waiting], [entry.inbox_id for entry in waiting]
    tx.defer(_HOLD, member, held, rows=Rows(len(held), _changed_hands))
    tx.defer(_DONE, *entries, rows=Rows(len(waiting), _changed_hands))


def _changed_hands() -> Exception:
    return Retryable("a shard of the batch is worked on by another process")
