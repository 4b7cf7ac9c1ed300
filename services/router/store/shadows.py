"""Candidates beside the versions in force: which run, what would have been otherwise, and the last differences."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from services.router.domain.comparison import Difference, Sum
from shared.db.transaction import Transaction
from shared.errors import Conflict

KEPT_RUNS: Final = 10
SHOWN: Final = 50
"""Examples of a report, the newest first."""

LONGEST: Final = 200
"""Characters of a name that tell it from others: an index takes no names of any length."""

Why = Literal["stopped", "activated"]

_START: Final = """
INSERT INTO router.shadow (workspace_id, run, version, author)
SELECT $1, coalesce(max(run), 0) + 1, $2, $3 FROM router.shadow WHERE workspace_id = $1
ON CONFLICT DO NOTHING RETURNING run
"""
_END: Final = """
UPDATE router.shadow SET ended_at = now(), ended = $2, ended_by = $3 WHERE workspace_id = $1 AND ended_at IS NULL
"""
_FAIL: Final = """
UPDATE router.shadow AS known SET ended_at = now(), ended = 'failed', error = given.error
FROM unnest($1::text[], $2::int[], $3::text[]) AS given (workspace_id, run, error)
WHERE known.workspace_id = given.workspace_id AND known.run = given.run AND known.ended_at IS NULL
"""
_COUNT: Final = """
INSERT INTO router.shadow_count AS known (workspace_id, run, writer, aspect, before, after, messages)
SELECT workspace_id, run, $7, aspect, before, after, messages
FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::bigint[])
    AS given (workspace_id, run, aspect, before, after, messages)
ON CONFLICT (workspace_id, run, writer, aspect, before, after) DO UPDATE
SET messages = known.messages + excluded.messages
"""
_KEEP: Final = """
INSERT INTO router.shadow_example (workspace_id, run, writer, slot, difference)
SELECT workspace_id, run, $5, slot, difference
FROM unnest($1::text[], $2::int[], $3::int[], $4::jsonb[]) AS given (workspace_id, run, slot, difference)
ON CONFLICT (workspace_id, run, writer, slot) DO UPDATE
SET difference = excluded.difference, created_at = excluded.created_at
"""
_FIND: Final = """
SELECT run, version, author, started_at, ended_at, ended, ended_by, error FROM router.shadow
WHERE workspace_id = $1 AND version = $2 ORDER BY run DESC LIMIT 1
"""
_COUNTS: Final = """
SELECT aspect, before, after, sum(messages)::bigint AS messages FROM router.shadow_count
WHERE workspace_id = $1 AND run = $2 GROUP BY aspect, before, after ORDER BY messages DESC, aspect, before, after
"""
_EXAMPLES: Final = """
SELECT difference FROM router.shadow_example WHERE workspace_id = $1 AND run = $2
ORDER BY created_at DESC, slot DESC LIMIT $3
"""


class Candidate(NamedTuple):
    """A version that runs beside the one in force."""

    workspace_id: str
    run: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What one batch found of one candidate; `examples` by the slot that each is kept in."""

    candidate: Candidate
    counts: Mapping[Sum, int]
    examples: Mapping[int, Difference]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """One run, with all that was counted."""

    run: int
    version: int
    author: str
    started_at: datetime
    ended_at: datetime | None
    ended: str | None
    ended_by: str | None
    error: str | None
    counts: Sequence[tuple[str, str | None, str | None, int]] = field(default_factory=tuple)
    examples: Sequence[Any] = field(default_factory=tuple)


async def start(tx: Transaction, workspace_id: str, version: int, *, author: str) -> None:
    """From the next batch on; Conflict when another candidate runs. What the oldest runs counted goes."""
    run = await tx.fetchval(_START, workspace_id, version, author)
    if run is None:
        raise Conflict("another version runs as a shadow already: end that first")
    for table in ("shadow", "shadow_count", "shadow_example"):
        statement = f"DELETE FROM router.{table} WHERE workspace_id = $1 AND run <= $2"
        await tx.execute(statement, workspace_id, run - KEPT_RUNS)


async def end(tx: Transaction, workspace_id: str, *, why: Why, by: str | None) -> bool:
    """Ends the one that runs; False when none does. A batch that is under way may still count."""
    return await tx.execute(_END, workspace_id, why, by) > 0


async def find(tx: Transaction, workspace_id: str, version: int) -> Shadow | None:
    """The last run of a version."""
    row = await tx.fetchrow(_FIND, workspace_id, version)
    if row is None:
        return None
    counts = await tx.fetch(_COUNTS, workspace_id, row["run"])
    examples = await tx.fetch(_EXAMPLES, workspace_id, row["run"], SHOWN)
    return Shadow(
        **dict(row),
        counts=[(one["aspect"], one["before"] or None, one["after"] or None, one["messages"]) for one in counts],
        examples=[one["difference"] for one in examples],
    )


def add(tx: Transaction, found: Iterable[Compared], *, writer: int) -> None:
    """Writes what a batch found, with its next statement; each process in rows of its own."""
    counts: Counter[tuple[str, int, str, str, str]] = Counter()
    examples = []
    for one in found:
        place = one.candidate[:2]
        for counted, messages in one.counts.items():
            before, after = ((side or "")[:LONGEST] for side in (counted.before, counted.after))
            counts[*place, counted.aspect, before, after] += messages
        examples += [(*place, slot, difference) for slot, difference in one.examples.items()]
    if counts:
        # In one order everywhere, so that no two batches wait for each other in a circle.
        rows = sorted(counts.items())
        tx.defer(
            _COUNT,
            *(list(column) for column in zip(*(key for key, _ in rows), strict=True)),
            [messages for _, messages in rows],
            writer,
        )
    if examples:
        examples.sort(key=lambda example: example[:3])
        tx.defer(_KEEP, *(list(column) for column in zip(*examples, strict=True)), writer)


def fail(tx: Transaction, errors: Mapping[Candidate, str]) -> None:
    """Ends candidates that cannot decide, with the batch's next statement."""
    if errors:
        failed = sorted(errors)
        tx.defer(
            _FAIL, [one.workspace_id for one in failed], [one.run for one in failed], [errors[one] for one in failed]
        )
