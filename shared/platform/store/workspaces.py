"""Workspaces and their settings."""

from collections.abc import Iterable
from typing import Any, Final

import asyncpg
import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from shared.db.query import Query
from shared.db.transaction import Transaction
from shared.errors import Conflict
from shared.platform.models import Workspace, WorkspaceSettings
from shared.platform.store import teams
from shared.platform.tables import workspace as table

PRESET_TEAMS: Final = (
    ("community", "Community", True),
    ("care", "Customer care", False),
    ("product", "Product", False),
)
"""Teams of a new workspace: id, name, and whether it is the fallback."""

_ID: Final = sa.bindparam("workspace", type_=sa.Text)
_INSERT: Final = Query(
    insert(table).values(workspace_id="", name="", settings={}).on_conflict_do_nothing().returning(table)
)
_LOAD: Final = Query(sa.select(table).where(table.c.workspace_id == _ID))
_LOCK: Final = Query(sa.select(table).where(table.c.workspace_id == _ID).with_for_update())
_PAGE: Final = Query(
    sa.select(table)
    .where(table.c.workspace_id > sa.bindparam("after", type_=sa.Text))
    .order_by(table.c.workspace_id)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)
_SAVE: Final = Query(
    sa.update(table)
    .where(table.c.workspace_id == _ID, table.c.version == sa.bindparam("expected", type_=sa.BigInteger))
    .values(name="", settings={}, version=table.c.version + 1)
    .returning(table)
)
_SETTINGS: Final = "SELECT workspace_id, settings FROM platform.workspace WHERE workspace_id = ANY ($1::text[])"


async def create(
    tx: Transaction, workspace_id: str, *, name: str, settings: WorkspaceSettings | None = None
) -> Workspace:
    """A workspace with its preset teams, in a transaction bound to its new id; Conflict when the id is taken."""
    row = await tx.fetchrow(*_INSERT(workspace_id=workspace_id, name=name, settings=settings or WorkspaceSettings()))
    if row is None:
        raise Conflict(f"workspace {workspace_id} already exists")
    for team_id, team_name, is_fallback in PRESET_TEAMS:
        await teams.create(tx, workspace_id, team_id=team_id, name=team_name, is_fallback=is_fallback)
    return _workspace(row)


async def load(tx: Transaction, workspace_id: str, *, lock: bool = False) -> Workspace | None:
    """One workspace, or None."""
    row = await tx.fetchrow(*(_LOCK if lock else _LOAD)(workspace=workspace_id))
    return _workspace(row) if row else None


async def page(tx: Transaction, *, after: str | None = None, limit: int = 50) -> list[Workspace]:
    """Workspaces by id; all of them when the transaction scans."""
    return [_workspace(row) for row in await tx.fetch(*_PAGE(after=after or "", limit=limit))]


async def save(tx: Transaction, workspace: Workspace) -> Workspace | None:
    """Writes name and settings if nobody else did since `workspace` was read; None when somebody did."""
    row = await tx.fetchrow(
        *_SAVE(workspace=workspace.id, expected=workspace.version, name=workspace.name, settings=workspace.settings)
    )
    return _workspace(row) if row else None


async def settings(tx: Transaction, workspace_id: str) -> WorkspaceSettings:
    """One workspace's settings; the defaults when it has no row."""
    return (await settings_of(tx, [workspace_id]))[workspace_id]


async def settings_of(tx: Transaction, workspaces: Iterable[str]) -> dict[str, WorkspaceSettings]:
    """The settings of the workspaces of a batch; the defaults for one that has no row."""
    wanted = list(workspaces)
    found = {row["workspace_id"]: _settings(row["settings"]) for row in await tx.fetch(_SETTINGS, wanted)}
    return {workspace: found.get(workspace) or WorkspaceSettings() for workspace in wanted}


def _settings(stored: dict[str, Any]) -> WorkspaceSettings:
    return msgspec.convert(stored, WorkspaceSettings)


def _workspace(row: asyncpg.Record) -> Workspace:
    return Workspace(
        id=row["workspace_id"],
        name=row["name"],
        settings=_settings(row["settings"]),
        version=row["version"],
        created_at=row["created_at"],
    )
