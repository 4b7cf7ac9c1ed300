"""Teams and who is in them."""

from collections.abc import Iterable
from typing import Final

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from shared.db.query import Query
from shared.db.transaction import Transaction
from shared.errors import Conflict, NotFound
from shared.platform.models import Team
from shared.platform.tables import team as table

_WORKSPACE: Final = table.c.workspace_id == sa.bindparam("workspace", type_=sa.Text)
_ID: Final = table.c.id == sa.bindparam("team", type_=sa.Text)
_LOAD: Final = Query(sa.select(table).where(_WORKSPACE, _ID))
_LOCK: Final = Query(sa.select(table).where(_WORKSPACE, _ID).with_for_update())
_FALLBACK: Final = Query(sa.select(table).where(_WORKSPACE, table.c.is_fallback))
_INSERT: Final = Query(
    insert(table)
    .values(workspace_id="", id="", name="", requires_acceptance=False, offer_seconds=0, is_fallback=False)
    .on_conflict_do_nothing()
    .returning(table)
)
_PAGE: Final = Query(
    sa.select(table)
    .where(_WORKSPACE, table.c.id > sa.bindparam("after", type_=sa.Text))
    .order_by(table.c.id)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)
_SAVE: Final = Query(
    sa.update(table)
    .where(_WORKSPACE, _ID, table.c.version == sa.bindparam("expected", type_=sa.BigInteger))
    .values(name="", requires_acceptance=False, offer_seconds=0, version=table.c.version + 1)
    .returning(table)
)
_DELETE: Final = Query(sa.delete(table).where(_WORKSPACE, _ID, ~table.c.is_fallback))
# The team's row is locked against whoever changes its schedule. By a schedule no person is on duty before it was asked.
_ADD_MEMBER: Final = """
INSERT INTO platform.team_member (workspace_id, team_id, agent_id, on_duty)
SELECT t.workspace_id, t.id, a.id, a.kind = 'bot' OR NOT EXISTS (
    SELECT FROM platform.schedule s WHERE s.workspace_id = t.workspace_id AND s.team_id = t.id)
FROM platform.team t JOIN platform.agent a USING (workspace_id)
WHERE t.workspace_id = $1 AND t.id = $2 AND a.id = $3
FOR SHARE OF t
ON CONFLICT (workspace_id, team_id, agent_id) DO UPDATE SET agent_id = EXCLUDED.agent_id
RETURNING agent_id
"""
_REMOVE_MEMBER: Final = "DELETE FROM platform.team_member WHERE workspace_id = $1 AND team_id = $2 AND agent_id = $3"
_TEAMS_OF: Final = """
SELECT agent_id, array_agg(team_id ORDER BY team_id) AS teams FROM platform.team_member
WHERE workspace_id = $1 AND agent_id = ANY ($2::text[]) AND (on_duty OR NOT $3) GROUP BY agent_id
"""
_PEOPLE: Final = """
SELECT a.id FROM platform.team_member m
JOIN platform.agent a ON a.workspace_id = m.workspace_id AND a.id = m.agent_id AND a.kind = 'human'
WHERE m.workspace_id = $1 AND m.team_id = $2 AND (a.disabled_at IS NULL OR NOT $3) ORDER BY a.id
"""
_ON_SHIFT: Final = """
SELECT m.workspace_id, m.team_id, m.agent_id FROM platform.team_member m
JOIN platform.agent a ON a.workspace_id = m.workspace_id AND a.id = m.agent_id
WHERE m.workspace_id = ANY ($1::text[]) AND m.on_duty AND a.kind = 'human' AND a.disabled_at IS NULL
"""


async def create(
    tx: Transaction,
    workspace_id: str,
    *,
    team_id: str,
    name: str,
    requires_acceptance: bool = False,
    offer_seconds: int = 120,
    is_fallback: bool = False,
) -> Team:
    """A new team; Conflict when the id is taken or the workspace has another fallback."""
    row = await tx.fetchrow(
        *_INSERT(
            workspace_id=workspace_id,
            id=team_id,
            name=name,
            requires_acceptance=requires_acceptance,
            offer_seconds=offer_seconds,
            is_fallback=is_fallback,
        )
    )
    if row is None:
        raise Conflict(f"team {team_id} already exists, or another team is the fallback")
    return _team(row)


async def load(tx: Transaction, workspace_id: str, team_id: str, *, lock: bool = False) -> Team | None:
    """One team, or None."""
    row = await tx.fetchrow(*(_LOCK if lock else _LOAD)(workspace=workspace_id, team=team_id))
    return _team(row) if row else None


async def fallback(tx: Transaction, workspace_id: str) -> Team | None:
    """The team that gets what no rule matches; None only when the workspace does not exist."""
    row = await tx.fetchrow(*_FALLBACK(workspace=workspace_id))
    return _team(row) if row else None


async def page(tx: Transaction, workspace_id: str, *, after: str | None = None, limit: int = 50) -> list[Team]:
    """Teams by id."""
    return [_team(row) for row in await tx.fetch(*_PAGE(workspace=workspace_id, after=after or "", limit=limit))]


async def save(tx: Transaction, team: Team) -> Team | None:
    """Writes what may change if nobody else did since `team` was read; None when somebody did."""
    row = await tx.fetchrow(
        *_SAVE(
            workspace=team.workspace_id,
            team=team.id,
            expected=team.version,
            name=team.name,
            requires_acceptance=team.requires_acceptance,
            offer_seconds=team.offer_seconds,
        )
    )
    return _team(row) if row else None


async def move_fallback(tx: Transaction, workspace_id: str, team_id: str) -> Team:
    """Makes another team the fallback; NotFound when there is no such team."""
    target = await load(tx, workspace_id, team_id, lock=True)
    if target is None:
        raise NotFound(f"there is no team {team_id}")
    await tx.execute(
        "UPDATE platform.team SET is_fallback = false, version = version + 1 WHERE workspace_id = $1 AND is_fallback",
        workspace_id,
    )
    row = await tx.fetchrow(
        "UPDATE platform.team SET is_fallback = true, version = version + 1 "
        "WHERE workspace_id = $1 AND id = $2 RETURNING *",
        workspace_id,
        team_id,
    )
    if row is None:
        raise NotFound(f"there is no team {team_id}")
    return _team(row)


async def delete(tx: Transaction, workspace_id: str, team_id: str) -> bool:
    """Removes a team, its memberships and schedule; never the fallback. The caller made sure that it owns nothing."""
    if not await tx.execute(*_DELETE(workspace=workspace_id, team=team_id)):
        return False
    for table_name in ("team_member", "schedule"):
        sql = f"DELETE FROM platform.{table_name} WHERE workspace_id = $1 AND team_id = $2"
        await tx.execute(sql, workspace_id, team_id)
    return True


async def add_member(tx: Transaction, workspace_id: str, team_id: str, agent_id: str) -> None:
    """Puts an agent into a team, again or anew; NotFound when either does not exist."""
    if await tx.fetchval(_ADD_MEMBER, workspace_id, team_id, agent_id) is None:
        raise NotFound(f"there is no team {team_id} or no agent {agent_id}")


async def remove_member(tx: Transaction, workspace_id: str, team_id: str, agent_id: str) -> bool:
    """Takes an agent out of a team; False when it was not in it."""
    return bool(await tx.execute(_REMOVE_MEMBER, workspace_id, team_id, agent_id))


async def teams_of(
    tx: Transaction, workspace_id: str, agents: Iterable[str], *, on_duty: bool = False
) -> dict[str, tuple[str, ...]]:
    """The teams of each agent, or those for which it is on duty; an empty tuple for one that is in none."""
    wanted = list(agents)
    rows = await tx.fetch(_TEAMS_OF, workspace_id, wanted, on_duty)
    found = {row["agent_id"]: tuple(row["teams"]) for row in rows}
    return {agent: found.get(agent, ()) for agent in wanted}


async def on_shift(tx: Transaction, workspaces: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """For each workspace the people on duty and the teams that have one; bots, who always are, do not count."""
    found: dict[str, set[str]] = {workspace: set() for workspace in workspaces}
    for row in await tx.fetch(_ON_SHIFT, sorted(found)):
        found[row["workspace_id"]] |= {row["team_id"], row["agent_id"]}
    return {workspace: tuple(sorted(there)) for workspace, there in found.items()}


async def people(tx: Transaction, workspace_id: str, team_id: str, *, working: bool = False) -> list[str]:
    """Who is in a team and human, by id; `working`: and not disabled."""
    return [row["id"] for row in await tx.fetch(_PEOPLE, workspace_id, team_id, working)]


def _team(row: asyncpg.Record) -> Team:
    return Team(**dict(row))


async def existing(tx: Transaction, workspace_id: str, teams: Iterable[str]) -> frozenset[str]:
    """Those of these ids that are teams of the workspace."""
    rows = await tx.fetch(
        "SELECT id FROM platform.team WHERE workspace_id = $1 AND id = ANY ($2::text[])", workspace_id, list(teams)
    )
    return frozenset(row["id"] for row in rows)
