"""How often each rule of each version held: counted with the decisions, each process in rows of its own."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol
from zlib import crc32

from shared.db.transaction import Transaction

WRITERS: Final = 64
"""Rows of one rule at most: two processes that share one only wait for each other."""

_ADD: Final = """
INSERT INTO router.rule_count AS known (workspace_id, version, rule, writer, decided, added)
SELECT workspace_id, version, rule, $6, decided, added
FROM unnest($1::text[], $2::int[], $3::text[], $4::bigint[], $5::bigint[])
    AS given (workspace_id, version, rule, decided, added)
ON CONFLICT (workspace_id, version, rule, writer) DO UPDATE
SET decided = known.decided + excluded.decided, added = known.added + excluded.added,
    last_at = greatest(known.last_at, excluded.last_at)
"""
_USES: Final = """
SELECT rule, sum(decided)::bigint AS decided, sum(added)::bigint AS added, min(first_at) AS first_at,
    max(last_at) AS last_at
FROM router.rule_count WHERE workspace_id = $1 AND version = $2 GROUP BY rule
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What one rule did: owners that it decided, messages that it only added to."""

    decided: int = 0
    added: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None


class Made(Protocol):
    """A decision, as far as it is counted."""

    @property
    def workspace_id(self) -> str: ...
    @property
    def ruleset_version(self) -> int: ...
    @property
    def rule(self) -> str: ...
    @property
    def matched(self) -> Any: ...


def writer_of(process: str) -> int:
    """Whose rows a process counts in."""
    return crc32(process.encode()) % WRITERS


def add(tx: Transaction, made: Iterable[Made], *, writer: int) -> None:
    """Counts new decisions, with the batch's next statement."""
    decided: Counter[tuple[str, int, str]] = Counter()
    held: Counter[tuple[str, int, str]] = Counter()
    for one in made:
        place = (one.workspace_id, one.ruleset_version)
        decided[*place, one.rule] += 1
        held.update((*place, name) for name in dict.fromkeys((one.rule, *one.matched)))
    if not held:
        return
    # In one order everywhere, so that no two batches wait for each other in a circle.
    keys = sorted(held)
    tx.defer(
        _ADD,
        [workspace for workspace, _, _ in keys],
        [version for _, version, _ in keys],
        [rule for _, _, rule in keys],
        [decided[key] for key in keys],
        [held[key] - decided[key] for key in keys],
        writer,
    )


async def uses(tx: Transaction, workspace_id: str, version: int) -> dict[str, Use]:
    """What the rules of a version did, by name; those that never held are not there."""
    rows = await tx.fetch(_USES, workspace_id, version)
    return {
        row["rule"]: Use(decided=row["decided"], added=row["added"], first_at=row["first_at"], last_at=row["last_at"])
        for row in rows
    }
