"""Agents, human or bot."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from shared import ids
from shared.db.query import Query
from shared.db.transaction import Transaction
from shared.errors import Conflict
from shared.platform.models import Agent, AgentKind
from shared.platform.scopes import Role
from shared.platform.tables import agent as table
from shared.platform.tables import team_member

_WORKSPACE: Final = table.c.workspace_id == sa.bindparam("workspace", type_=sa.Text)
_ONE: Final = sa.select(table).where(_WORKSPACE, table.c.id == sa.bindparam("agent", type_=sa.Text))
_LOAD: Final = Query(_ONE)
_LOCK: Final = Query(_ONE.with_for_update())
_MANY: Final = Query(
    sa.select(table).where(_WORKSPACE, table.c.id == sa.any_(sa.bindparam("agents", type_=sa.ARRAY(sa.Text))))
)
_INSERT: Final = Query(
    insert(table)
    .values(id="", workspace_id="", name="", kind="", role="", availability="", capacity=0)
    .on_conflict_do_nothing()
    .returning(table)
)
_AFTER: Final = (
    sa.select(table)
    .where(_WORKSPACE, table.c.id > sa.bindparam("after", type_=sa.Text))
    .order_by(table.c.id)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)
_PAGE: Final = Query(_AFTER)
_PAGE_OF_TEAM: Final = Query(
    _AFTER.where(
        sa.exists().where(
            team_member.c.workspace_id == table.c.workspace_id,
            team_member.c.team_id == sa.bindparam("team", type_=sa.Text),
            team_member.c.agent_id == table.c.id,
        )
    )
)
_SAVE: Final = Query(
    sa.update(table)
    .where(
        _WORKSPACE,
        table.c.id == sa.bindparam("agent", type_=sa.Text),
        table.c.version == sa.bindparam("expected", type_=sa.BigInteger),
    )
    .values(name="", role="", availability="", capacity=0, disabled_at=None, version=table.c.version + 1)
    .returning(table)
)


# Nobody assigns anything to it, and it has no key.
_RULES: Final = """
WITH wanted AS (
    SELECT * FROM unnest($1::text[], $2::text[]) AS n(workspace_id, id)
), made AS (
    INSERT INTO platform.agent (id, workspace_id, name, kind, role, capacity)
    SELECT id, workspace_id, 'Rules', 'bot', 'bot', 0 FROM wanted w
    WHERE NOT EXISTS (SELECT FROM platform.agent a WHERE a.id = w.id) ORDER BY id ON CONFLICT DO NOTHING
)
SELECT w.workspace_id, w.id, coalesce(a.name, 'Rules') AS name, a.disabled_at IS NOT NULL AS is_disabled
FROM wanted w LEFT JOIN platform.agent a ON a.id = w.id
"""
_PEOPLE: Final = """
SELECT id FROM platform.agent WHERE workspace_id = $1 AND kind = 'human' AND disabled_at IS NULL ORDER BY id LIMIT $2
"""


class Rules(NamedTuple):
    """The bot of a workspace in whose name rules answer; disabled, it answers nothing."""

    id: str
    name: str
    is_disabled: bool


async def create(
    tx: Transaction,
    workspace_id: str,
    *,
    agent_id: str,
    name: str,
    kind: AgentKind = "human",
    role: Role = "agent",
    availability: str = "available",
    capacity: int = 50,
) -> Agent:
    """A new agent; Conflict when the id is taken."""
    row = await tx.fetchrow(
        *_INSERT(
            id=agent_id,
            workspace_id=workspace_id,
            name=name,
            kind=kind,
            role=role,
            availability=availability,
            capacity=capacity,
        )
    )
    if row is None:
        raise Conflict(f"agent {agent_id} already exists")
    return _agent(row)


async def load(tx: Transaction, workspace_id: str, agent_id: str, *, lock: bool = False) -> Agent | None:
    """One agent, or None."""
    row = await tx.fetchrow(*(_LOCK if lock else _LOAD)(workspace=workspace_id, agent=agent_id))
    return _agent(row) if row else None


async def load_many(tx: Transaction, workspace_id: str, agents: Iterable[str]) -> dict[str, Agent]:
    """Those of the agents that exist, by id."""
    rows = await tx.fetch(*_MANY(workspace=workspace_id, agents=list(agents)))
    return {row["id"]: _agent(row) for row in rows}


async def page(
    tx: Transaction, workspace_id: str, *, team: str | None = None, after: str | None = None, limit: int = 50
) -> list[Agent]:
    """Agents by id, of the workspace or of one team."""
    query = _PAGE(workspace=workspace_id, after=after or "", limit=limit)
    if team is not None:
        query = _PAGE_OF_TEAM(workspace=workspace_id, team=team, after=after or "", limit=limit)
    return [_agent(row) for row in await tx.fetch(*query)]


async def people(tx: Transaction, workspace_id: str, *, limit: int) -> list[str]:
    """Ids of those who are human and work here."""
    rows = await tx.fetch(_PEOPLE, workspace_id, limit)
    return [row["id"] for row in rows]


def rules_id(workspace_id: str) -> str:
    """The id of the bot in whose name rules answer."""
    return ids.digest("agt", workspace_id, "rules")


async def rules(tx: Transaction, workspaces: Iterable[str]) -> dict[str, Rules]:
    """The bot in whose name rules answer, of each workspace; made where it is needed for the first time."""
    wanted = sorted(workspaces)
    rows = await tx.fetch(_RULES, wanted, [rules_id(workspace) for workspace in wanted])
    return {row["workspace_id"]: Rules(row["id"], row["name"], row["is_disabled"]) for row in rows}


async def save(tx: Transaction, agent: Agent) -> Agent | None:
    """Writes what may change if nobody else did since `agent` was read; None when somebody did."""
    row = await tx.fetchrow(
        *_SAVE(
            workspace=agent.workspace_id,
            agent=agent.id,
            expected=agent.version,
            name=agent.name,
            role=agent.role,
            availability=agent.availability,
            capacity=agent.capacity,
            disabled_at=agent.disabled_at,
        )
    )
    return _agent(row) if row else None


def _agent(row: asyncpg.Record) -> Agent:
    return Agent(**dict(row))
