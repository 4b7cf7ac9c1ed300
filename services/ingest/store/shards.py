"""Who normalizes what: each member's share of the shards, and the lock that orders a shard's events."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.db.horizon import LIFE, Horizon
from shared.db.life import Life
from shared.db.pool import Database
from shared.db.shares import Shares
from shared.db.together import Rows
from shared.db.transaction import Transaction
from shared.errors import Retryable

SHARES: Final = Shares(shards="ingest.shard", members="ingest.member")
"""Who normalizes which shards."""

_WAITING: Final = f"""
WITH start AS MATERIALIZED (
    SELECT CASE WHEN {LIFE} = $4 THEN $3::bigint ELSE 0 END AS after
), busy AS MATERIALIZED (
    SELECT s.id FROM ingest.shard s CROSS JOIN LATERAL (
        SELECT FROM ingest.pending p WHERE p.shard = s.id AND p.number > (SELECT after FROM start) LIMIT 1
    ) AS waiting
    WHERE s.owner = $1 ORDER BY s.id LIMIT $2::bigint
), head AS (
    SELECT p.* FROM busy CROSS JOIN LATERAL (
        SELECT shard, number, inbox_id, workspace_id, size FROM ingest.pending
        WHERE shard = busy.id AND number > (SELECT after FROM start)
        ORDER BY number LIMIT $2::bigint / (SELECT count(*) FROM busy)
    ) p
)
SELECT head.*, ARRAY(SELECT id FROM ingest.shard WHERE owner = $1) AS owned, {LIFE} AS life,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next
FROM (SELECT) AS look LEFT JOIN head ON true
ORDER BY head.number
"""
_HOLD: Final = "SELECT FROM ingest.shard WHERE owner = $1 AND id = ANY ($2::smallint[]) FOR UPDATE"
_DONE: Final = """
DELETE FROM ingest.pending WHERE ctid = ANY (ARRAY(
    SELECT p.ctid FROM unnest($1::smallint[], $2::bigint[]) AS d (shard, number)
    CROSS JOIN LATERAL (SELECT ctid FROM ingest.pending WHERE shard = d.shard AND number = d.number LIMIT 1) p
))
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery in the queue."""

    shard: int
    number: int
    """Of its place: who comes first of a channel is in front."""
    inbox_id: str
    workspace_id: str
    size: int


class Queue:
    """What waits in the shards of one member."""

    def __init__(self, database: Database, member: str) -> None:
        self._database = database
        self._member = member
        self._owned: frozenset[int] = frozenset()
        self._horizon = Horizon()
        self._life = Life(database)
        self.has_more = False
        """The last look has seen less than all, or may have."""

    async def waiting(self, most: int) -> list[Waiting]:
        """The oldest first; as much of each shard, where it is more than `most`.

        Nothing is locked: what comes of it is written by `done`.
        """
        rows = await self._database.look(_WAITING, self._member, most, self._horizon.after, self._life.name)
        look, found = rows[0], [Waiting(*row[:5]) for row in rows if row["number"] is not None]
        per_shard = Counter(entry.shard for entry in found)
        self.has_more = max(per_shard.values(), default=0) >= most // max(len(per_shard), 1)
        grown, self._owned = not self._owned.issuperset(look["owned"]), frozenset(look["owned"])
        if await self._life.is_new(look["life"]):
            # This look began from the front.
            self._horizon = Horizon()
        elif grown:
            was_short, self._horizon = self._horizon.after > 0, Horizon()
            # Of a shard that was not ours, this look may have left out what comes first.
            return await self.waiting(most) if was_short else found
        else:
            self._horizon.looked(
                oldest=look["oldest"],
                # Whoever has put something in front of what was seen had a number of its own by then.
                number=look["next"],
                greatest=found[-1].number if found else 0,
                left=found[0].number if found else None,
                is_complete=not self.has_more,
            )
        return found


def done(tx: Transaction, waiting: Sequence[Waiting], *, member: str) -> None:
    """Takes deliveries out of the queue, and locks their shards until the commit; Retryable where one changed hands.

    Whoever took a shard over begins with what waits in it: so as long as all of it still waits, and the shard is the
    member's, nobody else has written anything of its channels since the look.
    """
    held = sorted({entry.shard for entry in waiting})
    entries = [entry.shard for entry in waiting], [entry.number for entry in waiting]
    tx.defer(_HOLD, member, held, rows=Rows(len(held), _changed_hands))
    tx.defer(_DONE, *entries, rows=Rows(len(waiting), _changed_hands))


def _changed_hands() -> Exception:
    return Retryable("a shard of the batch is worked on by another process")
