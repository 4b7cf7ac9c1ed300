"""How many messages came, by subject: in minutes while they are young, in hours for as long as they are compared."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from services.router.domain.usual import WEEKS
from shared.db.transaction import Transaction

KEPT: Final = timedelta(weeks=WEEKS, hours=2)
"""As long as a window of two hours can be compared with."""

# Both times are Postgres': of a message that waited, the minute counts in which it came.
_ADD: Final = """
INSERT INTO router.surge_count AS known (workspace_id, minute, subject, writer, messages)
SELECT workspace_id, least(minute, date_trunc('minute', now())) AS at, subject, $5, sum(messages)
FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::bigint[]) AS given (workspace_id, minute, subject, messages)
GROUP BY workspace_id, at, subject ORDER BY workspace_id, at, subject
ON CONFLICT (workspace_id, minute, subject, writer) DO UPDATE SET messages = known.messages + excluded.messages
"""
# What a batch adds to at this moment is left for the next time.
_FOLD: Final = """
WITH old AS (
    SELECT minute, subject, writer FROM router.surge_count
    WHERE workspace_id = $1 AND minute < date_trunc('hour', now(), 'UTC') - interval '1 hour'
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM router.surge_count known USING old
    WHERE known.workspace_id = $1 AND known.minute = old.minute AND known.subject = old.subject
        AND known.writer = old.writer
    RETURNING known.subject, date_trunc('hour', known.minute, 'UTC') AS hour, known.messages
)
INSERT INTO router.surge_hour AS known (workspace_id, subject, hour, messages)
SELECT $1, subject, hour, sum(messages) FROM gone GROUP BY subject, hour
ON CONFLICT (workspace_id, subject, hour) DO UPDATE SET messages = known.messages + excluded.messages
"""
_PURGE: Final = "DELETE FROM router.surge_hour WHERE workspace_id = $1 AND hour < now() - $2::interval"
_WINDOW: Final = """
SELECT subject, sum(messages)::bigint AS messages FROM router.surge_count
WHERE workspace_id = $1 AND minute >= $2 GROUP BY subject HAVING sum(messages) >= $3 OR subject = ANY($4::text[])
"""
_HOURS: Final = """
SELECT subject, hour, messages FROM router.surge_hour
WHERE workspace_id = $1 AND subject = ANY($2::text[]) AND hour = ANY($3::timestamptz[])
"""
_ALL: Final = """
SELECT subject, array_agg(messages) AS messages FROM router.surge_hour
WHERE workspace_id = $1 AND subject = ANY($2::text[]) AND hour >= $3 AND hour < $4 GROUP BY subject
"""
# The least of each in one step down the index: an aggregate would read all of its hours.
_FIRST: Final = """
SELECT subject, first.hour FROM unnest($2::text[]) AS given (subject) CROSS JOIN LATERAL (
    SELECT hour FROM router.surge_hour h WHERE h.workspace_id = $1 AND h.subject = given.subject ORDER BY hour LIMIT 1
) AS first
"""


class Place(NamedTuple):
    """A minute of one subject."""

    workspace_id: str
    minute: datetime
    subject: str


def add(tx: Transaction, counted: Mapping[Place, int], *, writer: int) -> None:
    """Counts, with the batch's next statement; each process in rows of its own."""
    if not counted:
        return
    # In one order everywhere, so that no two batches wait for each other in a circle.
    places = sorted(counted)
    columns = (list(column) for column in zip(*places, strict=True))
    tx.defer(_ADD, *columns, [counted[place] for place in places], writer)


async def fold(tx: Transaction, workspace_id: str) -> None:
    """Makes hours of the minutes that no window sees any more, and forgets hours that are compared no more."""
    if await tx.execute(_FOLD, workspace_id):
        await tx.execute(_PURGE, workspace_id, KEPT)


async def forget(tx: Transaction, workspace_id: str) -> None:
    """All of it."""
    for table in ("surge_count", "surge_hour"):
        await tx.execute(f"DELETE FROM router.{table} WHERE workspace_id = $1", workspace_id)


async def window(
    tx: Transaction, workspace_id: str, *, since: datetime, at_least: int, also: Collection[str]
) -> dict[str, int]:
    """Messages since a minute, of subjects that have at least so many, and of those that are named."""
    rows = await tx.fetch(_WINDOW, workspace_id, since, at_least, list(also))
    return dict.fromkeys(also, 0) | {row["subject"]: row["messages"] for row in rows}


async def hours(
    tx: Transaction, workspace_id: str, subjects: Collection[str], hours: Collection[datetime]
) -> dict[str, dict[datetime, int]]:
    """What these hours held, by subject; an hour without messages is not there."""
    found: dict[str, dict[datetime, int]] = {subject: {} for subject in subjects}
    for row in await tx.fetch(_HOURS, workspace_id, list(subjects), list(hours)):
        found[row["subject"]][row["hour"]] = row["messages"]
    return found


async def all_hours(
    tx: Transaction, workspace_id: str, subjects: Collection[str], *, since: datetime, until: datetime
) -> dict[str, list[int]]:
    """What all hours of a time held that had messages, by subject."""
    rows = await tx.fetch(_ALL, workspace_id, list(subjects), since, until)
    found: dict[str, list[int]] = {row["subject"]: row["messages"] for row in rows}
    return {subject: found.get(subject, []) for subject in subjects}


async def first_hours(tx: Transaction, workspace_id: str, subjects: Collection[str]) -> dict[str, datetime]:
    """When each was counted first, as far as that is kept."""
    if not subjects:
        return {}
    rows = await tx.fetch(_FIRST, workspace_id, list(subjects))
    return {row["subject"]: row["hour"] for row in rows}
