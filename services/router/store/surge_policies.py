"""What each workspace calls a surge; the row is also the lock under which surges begin and end."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

import msgspec

from services.router.domain.surge import Policy
from shared.db.transaction import Transaction

_COLUMNS: Final = "workspace_id, version, document, author, counting_since, changed_at, open"
# The time from which messages are counted stays when a policy changes.
_SAVE: Final = f"""
UPDATE router.surge_policy SET version = version + 1, document = $2, author = $3, changed_at = now()
WHERE workspace_id = $1 RETURNING {_COLUMNS}
"""
# Versions go on where an earlier policy was given up, so that a surge's version names one policy.
_INSERT: Final = f"""
INSERT INTO router.surge_policy (workspace_id, version, document, author)
SELECT $1, coalesce(max(version), 0) + 1, $2, $3 FROM router.surge_policy_change WHERE workspace_id = $1
ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
"""
_NOTE: Final = """
INSERT INTO router.surge_policy_change (workspace_id, version, document, author) VALUES ($1, $2, $3, $4)
"""
_CHANGES: Final = """
SELECT version, document, author, changed_at FROM router.surge_policy_change
WHERE workspace_id = $1 AND ($2::int IS NULL OR version < $2) ORDER BY version DESC LIMIT $3
"""
_LOAD: Final = f"SELECT {_COLUMNS} FROM router.surge_policy WHERE workspace_id = $1"

_OPEN: Final = "SELECT workspace_id, open FROM router.surge_policy WHERE workspace_id = ANY($1::text[])"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A policy at one version. `open`: what surges now, the surge's id by subject."""

    workspace_id: str
    version: int
    document: Policy
    author: str
    counting_since: datetime
    changed_at: datetime
    open: dict[str, str]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody made of it; `document` is None when it was given up."""

    version: int
    document: Policy | None
    author: str
    changed_at: datetime


async def load(tx: Transaction, workspace_id: str, *, lock: bool = False) -> Kept | None:
    """The workspace's policy; None: it has none, and nothing is counted."""
    return _kept(await tx.fetchrow(f"{_LOAD} FOR UPDATE" if lock else _LOAD, workspace_id))


async def open_in(tx: Transaction, workspaces: Collection[str]) -> dict[str, dict[str, str]]:
    """What surges in each of these workspaces; nothing where there is no policy."""
    rows = await tx.fetch(_OPEN, list(workspaces))
    found: dict[str, dict[str, str]] = {row["workspace_id"]: row["open"] for row in rows}
    return {workspace: found.get(workspace, {}) for workspace in workspaces}


async def insert(tx: Transaction, workspace_id: str, policy: Policy, *, author: str) -> Kept | None:
    """The first one; None when there is one already."""
    return await _noted(tx, _kept(await tx.fetchrow(_INSERT, workspace_id, policy, author)))


async def save(tx: Transaction, workspace_id: str, policy: Policy, *, author: str) -> Kept:
    """Another one; the lock is held."""
    kept = await _noted(tx, _kept(await tx.fetchrow(_SAVE, workspace_id, policy, author)))
    assert kept is not None  # noqa: S101 - it is locked
    return kept


async def delete(tx: Transaction, kept: Kept, *, author: str) -> None:
    """None any more; the lock is held."""
    await tx.execute("DELETE FROM router.surge_policy WHERE workspace_id = $1", kept.workspace_id)
    await tx.execute(_NOTE, kept.workspace_id, kept.version + 1, None, author)


async def changes(tx: Transaction, workspace_id: str, *, before: int | None, limit: int) -> list[Change]:
    """Who changed it to what, newest first."""
    return [msgspec.convert(dict(row), Change) for row in await tx.fetch(_CHANGES, workspace_id, before, limit)]


async def mark(tx: Transaction, workspace_id: str, surging: dict[str, str]) -> None:
    """What surges now, where batches find it with one look at the policy; the lock is held."""
    await tx.execute("UPDATE router.surge_policy SET open = $2 WHERE workspace_id = $1", workspace_id, surging)


async def _noted(tx: Transaction, kept: Kept | None) -> Kept | None:
    if kept is not None:
        await tx.execute(_NOTE, kept.workspace_id, kept.version, kept.document, kept.author)
    return kept


def _kept(row: object) -> Kept | None:
    return None if row is None else msgspec.convert(dict(row), Kept)  # type: ignore[call-overload]  # a record is a mapping
