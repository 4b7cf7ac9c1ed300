"""Schedules of teams as documents, and who is on duty by them; whoever writes here holds the lock of the team's row."""

from collections.abc import Collection, Iterable
from typing import Any, Final, NamedTuple

import asyncpg

from shared.db.transaction import Transaction
from shared.platform.models import KeptSchedule

_COLUMNS: Final = "workspace_id, team_id, document, version, updated_at"
_LOAD: Final = f"SELECT {_COLUMNS} FROM platform.schedule WHERE workspace_id = $1 AND team_id = $2"
_SAVE: Final = f"""
INSERT INTO platform.schedule AS s (workspace_id, team_id, document) VALUES ($1, $2, $3)
ON CONFLICT (workspace_id, team_id) DO UPDATE SET document = EXCLUDED.document, version = s.version + 1,
    updated_at = now()
RETURNING {_COLUMNS}
"""
_DELETE: Final = "DELETE FROM platform.schedule WHERE workspace_id = $1 AND team_id = $2"
_SCHEDULED: Final = "SELECT team_id FROM platform.schedule WHERE workspace_id = $1 AND team_id = ANY ($2::text[])"
_LOCK_MEMBERS: Final = """
SELECT agent_id FROM platform.team_member WHERE workspace_id = $1 AND team_id = $2 ORDER BY agent_id FOR UPDATE
"""
_SET_DUTY: Final = """
UPDATE platform.team_member SET on_duty = NOT on_duty
WHERE workspace_id = $1 AND team_id = $2 AND on_duty <> (agent_id = ANY ($3::text[]))
RETURNING agent_id, on_duty
"""
_SET_STAND_IN: Final = """
UPDATE platform.team SET stand_in = $3 WHERE workspace_id = $1 AND id = $2 AND stand_in IS DISTINCT FROM $3
"""


class Turned(NamedTuple):
    """Whose duty began, and whose ended."""

    came: frozenset[str]
    went: frozenset[str]


async def load(tx: Transaction, workspace_id: str, team_id: str) -> KeptSchedule | None:
    """A team's schedule, or None: then all its members are always on duty."""
    row = await tx.fetchrow(_LOAD, workspace_id, team_id)
    return _kept(row) if row else None


async def save(tx: Transaction, workspace_id: str, team_id: str, document: dict[str, Any]) -> KeptSchedule:
    """A team's schedule, new or in place of the one before."""
    row = await tx.fetchrow(_SAVE, workspace_id, team_id, document)
    assert row is not None  # noqa: S101 - an upsert returns its row
    return _kept(row)


async def delete(tx: Transaction, workspace_id: str, team_id: str) -> bool:
    """Forgets a team's schedule; False when it has none."""
    return bool(await tx.execute(_DELETE, workspace_id, team_id))


async def scheduled(tx: Transaction, workspace_id: str, teams: Iterable[str]) -> list[str]:
    """Those of these teams that have a schedule."""
    return sorted(row["team_id"] for row in await tx.fetch(_SCHEDULED, workspace_id, list(teams)))


async def lock_members(tx: Transaction, workspace_id: str, team_id: str) -> frozenset[str]:
    """Who is in a team, locked: before the load of any agent."""
    return frozenset(row["agent_id"] for row in await tx.fetch(_LOCK_MEMBERS, workspace_id, team_id))


async def set_duty(
    tx: Transaction, workspace_id: str, team_id: str, on_duty: Collection[str], *, stand_in: str | None
) -> Turned:
    """Who is on duty from now on, and which team stands in."""
    rows = await tx.fetch(_SET_DUTY, workspace_id, team_id, list(on_duty))
    await tx.execute(_SET_STAND_IN, workspace_id, team_id, stand_in)
    came = frozenset(row["agent_id"] for row in rows if row["on_duty"])
    return Turned(came, frozenset(row["agent_id"] for row in rows) - came)


def _kept(row: asyncpg.Record) -> KeptSchedule:
    return KeptSchedule(**dict(row))
