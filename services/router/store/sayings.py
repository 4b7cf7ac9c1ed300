"""Who said what during a surge, as digests: whether somebody else said the same, and whose tickets do not tell yet."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

from shared import ids
from shared.db.pool import Database
from shared.db.transaction import Transaction
from shared.platform.store import retention

KIND: Final = "duplicates"
"""One timer per workspace: when to look at those who said something first."""

# Whoever said it first did so alone: once somebody else does, his ticket is to be looked at. A row that is locked is
# being woken by somebody else. In one order everywhere, so that no two batches wait for each other in a circle.
_SAY: Final = """
WITH given AS (
    SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
        AS given (workspace_id, surge_id, name, account)
), together AS (
    SELECT DISTINCT g.workspace_id, g.surge_id, g.name FROM given g
    WHERE EXISTS (SELECT FROM given o WHERE (o.workspace_id, o.surge_id, o.name) = (g.workspace_id, g.surge_id, g.name)
            AND o.account <> g.account)
        OR EXISTS (SELECT FROM router.saying s
            WHERE (s.workspace_id, s.surge_id, s.name) = (g.workspace_id, g.surge_id, g.name)
                AND s.account <> g.account)
), alone AS (
    SELECT s.workspace_id, s.surge_id, s.name, s.account FROM router.saying s
    JOIN together USING (workspace_id, surge_id, name) WHERE s.state = 'alone'
    ORDER BY s.workspace_id, s.surge_id, s.name, s.account FOR UPDATE OF s SKIP LOCKED
), woken AS (
    UPDATE router.saying s SET state = 'due' FROM alone
    WHERE (s.workspace_id, s.surge_id, s.name, s.account)
        = (alone.workspace_id, alone.surge_id, alone.name, alone.account)
    RETURNING s.workspace_id
), kept AS (
    INSERT INTO router.saying (workspace_id, surge_id, name, account, state)
    SELECT g.*, CASE WHEN t.name IS NULL THEN 'alone' ELSE 'told' END
    FROM given g LEFT JOIN together t USING (workspace_id, surge_id, name)
    ORDER BY g.workspace_id, g.surge_id, g.name, g.account ON CONFLICT DO NOTHING
)
SELECT workspace_id, surge_id, name, workspace_id IN (SELECT workspace_id FROM woken) AS wakes FROM together
"""
_LOOK: Final = f"""
INSERT INTO router.timer (id, workspace_id, kind, subject, due_at)
SELECT id, workspace_id, '{KIND}', workspace_id, now() + $3::interval
FROM unnest($1::text[], $2::text[]) AS given (id, workspace_id) ON CONFLICT DO NOTHING
"""
_DUE: Final = """
WITH due AS (
    SELECT workspace_id, surge_id, name, account, said_at FROM router.saying
    WHERE workspace_id = $1 AND state = 'due' ORDER BY surge_id, name, account LIMIT $2 FOR UPDATE SKIP LOCKED
)
SELECT due.surge_id, due.name, due.account, due.said_at < now() - $3::interval AS is_late, t.id, t.version, t.tags
FROM due LEFT JOIN LATERAL (
    SELECT t.id, t.version, t.tags FROM router.ticket_account a JOIN router.ticket t ON t.id = a.ticket_id
    WHERE a.workspace_id = due.workspace_id AND a.account = due.account AND t.is_open ORDER BY t.id DESC LIMIT 1
) t ON true
"""
_TOLD: Final = """
UPDATE router.saying s SET state = 'told'
FROM unnest($2::text[], $3::text[], $4::text[]) AS given (surge_id, name, account)
WHERE s.workspace_id = $1 AND (s.surge_id, s.name, s.account) = (given.surge_id, given.name, given.account)
"""
_OLD: Final = "said_at < now() - $1::interval"


class Said(NamedTuple):
    """What is said, in which surge."""

    workspace_id: str
    surge_id: str
    name: str


class Due(NamedTuple):
    """Somebody who said it first, and his open ticket, if one is known. `is_late`: it is not waited for any longer."""

    surge_id: str
    name: str
    account: str
    is_late: bool
    ticket_id: str | None
    version: int | None
    tags: Any


async def say(tx: Transaction, some: Collection[tuple[Said, str]], *, look_after: timedelta) -> frozenset[Said]:
    """Keeps who says what (by account); gives what others said as well, and has those looked at who said it first."""
    if not some:
        return frozenset()
    columns: list[list[str]] = [[], [], [], []]
    for said, account in some:
        for column, value in zip(columns, (*said, account), strict=True):
            column.append(value)
    rows = await tx.fetch(_SAY, *columns)
    await look(tx, {row["workspace_id"] for row in rows if row["wakes"]}, after=look_after)
    return frozenset(Said(row["workspace_id"], row["surge_id"], row["name"]) for row in rows)


async def look(tx: Transaction, workspaces: Collection[str], *, after: timedelta) -> None:
    """Looks at workspaces so soon, or sooner."""
    if workspaces:
        names = sorted(workspaces)
        await tx.execute(_LOOK, [ids.digest("tmr", KIND, one) for one in names], names, after)


async def due(tx: Transaction, workspace_id: str, *, late_after: timedelta, limit: int) -> list[Due]:
    """Some of those who said first what others said after them."""
    return [Due(*row) for row in await tx.fetch(_DUE, workspace_id, limit, late_after)]


async def told(tx: Transaction, workspace_id: str, some: Sequence[Due]) -> None:
    """Nothing is left to do about these."""
    if some:
        await tx.execute(
            _TOLD,
            workspace_id,
            [one.surge_id for one in some],
            [one.name for one in some],
            [one.account for one in some],
        )


async def purge(database: Database, *, older_than: timedelta) -> int:
    """Forgets what was said in surges that are over; returns how many went."""
    return await retention.purge(database, "router.saying", _OLD, older_than)
