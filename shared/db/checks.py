"""What `baton doctor` asks of live data: an invariant as a query that finds what breaks it."""

from dataclasses import dataclass
from typing import Final

from shared.db.pool import Database
from shared.db.scope import Batch, Scan

EXAMPLES: Final = 5
"""How many broken things a finding names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """An invariant. `sql` gives one row per thing that breaks it, with its name in the first column."""

    name: str
    sql: str
    meaning: str
    fix: str
    across: bool = False
    """Looks at the log and at timers, across workspaces, instead of at workspaces' own tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """How many things break an invariant, and some of them."""

    count: int
    examples: tuple[str, ...]


async def look(database: Database, check: Check, workspaces: frozenset[str]) -> Broken | None:
    """What breaks this invariant now, or None."""
    scope = Scan() if check.across else Batch(workspaces)
    async with database.transaction(scope) as tx:
        rows = await tx.fetch(f"SELECT q.*, count(*) OVER () AS total FROM ({check.sql}) AS q LIMIT {EXAMPLES}")
    if not rows:
        return None
    return Broken(count=rows[0]["total"], examples=tuple(str(row[0]) for row in rows))
