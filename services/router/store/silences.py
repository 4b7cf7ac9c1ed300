"""Silences: open tickets that nobody has answered for so long, by the database's clock, and when to look again."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from services.router.domain.standing import Standing
from services.router.store import tickets
from shared import ids
from shared.db.transaction import Transaction

KIND: Final = "silence"
"""One timer per workspace: when to look at its tickets next."""

# A later look is no reason to forget an earlier one.
_LOOK: Final = f"""
INSERT INTO router.timer AS t (id, workspace_id, kind, subject, due_at)
SELECT id, workspace_id, '{KIND}', workspace_id, due_at
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS given (id, workspace_id, due_at)
ON CONFLICT (workspace_id, kind, subject) DO UPDATE SET due_at = excluded.due_at, version = t.version + 1,
    claimed_until = NULL, attempts = 0
WHERE excluded.due_at < t.due_at
"""
_WAITS: Final = "m > t.told AND t.silent_since + make_interval(mins => m)"
# What is locked changes at this moment, and is looked at once that is done: nobody here waits for a ticket.
_DUE: Final = f"""
SELECT t.id, t.workspace_id, t.is_open, t.team_id, t.owner_id, t.priority, t.tags, t.answered_at, t.version, t.state,
    t.silent_since, t.told, t.subjects,
    ARRAY(SELECT m FROM unnest($2::int[]) AS m WHERE {_WAITS} <= now() ORDER BY m) AS due
FROM router.ticket t
WHERE t.workspace_id = $1 AND t.is_open AND t.silent_since IS NOT NULL
    AND EXISTS (SELECT FROM unnest($2::int[]) AS m WHERE {_WAITS} <= now())
ORDER BY t.silent_since, t.id LIMIT $3 FOR UPDATE SKIP LOCKED
"""
_TOLD: Final = """
UPDATE router.ticket t SET told = given.told
FROM unnest($1::text[], $2::int[]) AS given (id, told) WHERE t.id = given.id
"""
_NEXT: Final = """
SELECT min(t.silent_since + make_interval(mins => m)) FROM router.ticket t, unnest($2::int[]) AS m
WHERE t.workspace_id = $1 AND t.is_open AND t.silent_since IS NOT NULL AND m > t.told
"""


async def look(tx: Transaction, dues: Mapping[str, datetime]) -> None:
    """Looks at workspaces at these instants at the latest."""
    if not dues:
        return
    names = sorted(dues)
    await tx.execute(_LOOK, [ids.digest("tmr", KIND, name) for name in names], names, [dues[name] for name in names])


async def due(
    tx: Transaction, workspace_id: str, minutes: Sequence[int], *, limit: int
) -> list[tuple[Standing, list[int]]]:
    """Tickets of which some of these silences are over and were not told, the longest first; they stay as they are."""
    rows = await tx.fetch(_DUE, workspace_id, list(minutes), limit)
    return [(tickets.standing(row), row["due"]) for row in rows]


async def told(tx: Transaction, minutes: Mapping[str, int]) -> None:
    """Rules were asked about silences of so many minutes, by ticket."""
    await tx.execute(_TOLD, list(minutes), list(minutes.values()))


async def following(tx: Transaction, workspace_id: str, minutes: Collection[int]) -> datetime | None:
    """When the next of these silences is long enough."""
    at: datetime | None = await tx.fetchval(_NEXT, workspace_id, list(minutes))
    return at
