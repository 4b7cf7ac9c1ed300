"""Saved filters of the list of tickets: an agent's own, and everybody's."""

from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from shared.db.transaction import Transaction


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A list with a name."""

    id: str
    workspace_id: str
    agent_id: str | None
    """Whose it is; None: everybody's."""
    name: str
    query: dict[str, Any]
    version: int
    created_at: datetime


_COLUMNS: Final = "id, workspace_id, agent_id, name, query, version, created_at"
_INSERT: Final = f"""
INSERT INTO tickets.saved_view (id, workspace_id, agent_id, name, query) VALUES ($1, $2, $3, $4, $5)
RETURNING {_COLUMNS}
"""
_PAGE: Final = f"""
SELECT {_COLUMNS} FROM tickets.saved_view
WHERE workspace_id = $1 AND (agent_id IS NULL OR agent_id = $2) AND id > $3 ORDER BY id LIMIT $4
"""
_LOCK: Final = f"""
SELECT {_COLUMNS} FROM tickets.saved_view WHERE id = $1 AND (agent_id IS NULL OR agent_id = $2) FOR UPDATE
"""
_SAVE: Final = f"""
UPDATE tickets.saved_view SET name = $2, query = $3, version = version + 1 WHERE id = $1 RETURNING {_COLUMNS}
"""
_DELETE: Final = "DELETE FROM tickets.saved_view WHERE id = $1"


async def insert(
    tx: Transaction, *, view_id: str, workspace_id: str, agent_id: str | None, name: str, query: dict[str, Any]
) -> View:
    """A new one."""
    return _only(await tx.fetchrow(_INSERT, view_id, workspace_id, agent_id, name, query))


async def page(tx: Transaction, workspace_id: str, *, agent_id: str | None, after: str, limit: int) -> list[View]:
    """Everybody's, and this agent's own."""
    return [_view(row) for row in await tx.fetch(_PAGE, workspace_id, agent_id, after, limit)]


async def lock(tx: Transaction, view_id: str, *, agent_id: str | None) -> View | None:
    """One that this agent sees, locked; None when there is none."""
    row = await tx.fetchrow(_LOCK, view_id, agent_id)
    return _view(row) if row else None


async def save(tx: Transaction, view_id: str, *, name: str, query: dict[str, Any]) -> View:
    """Another name or query; the lock is held."""
    return _only(await tx.fetchrow(_SAVE, view_id, name, query))


async def delete(tx: Transaction, view_id: str) -> None:
    """Gone; the lock is held."""
    await tx.execute(_DELETE, view_id)


def _only(row: asyncpg.Record | None) -> View:
    if row is None:
        raise LookupError("the row was written a moment ago")
    return _view(row)


def _view(row: asyncpg.Record) -> View:
    return View(**dict(row))
