"""Rulesets by version, and the journal of activations whose last line is in force."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import asyncpg
import msgspec

from services.router.domain.preset import document as preset
from services.router.domain.surge import Watched
from services.router.store import shadows
from services.router.store.shadows import Candidate
from shared.db.transaction import Transaction
from shared.errors import Conflict

Reason = Literal["activate", "rollback", "planned"]
"""How a version came in force; the preset does by itself."""

_ATTEMPTS: Final = 5

_ACTIVE: Final = """
SELECT DISTINCT ON (workspace_id) workspace_id, version
FROM router.activation WHERE workspace_id = ANY($1::text[])
ORDER BY workspace_id, number DESC
"""
_STANDING: Final = f"""
SELECT workspace_id, version, NULL::int AS run, NULL AS decision, NULL::jsonb AS watched FROM ({_ACTIVE}) AS active
UNION ALL
SELECT workspace_id, version, run, NULL, NULL FROM router.shadow
WHERE workspace_id = ANY($1::text[]) AND ended_at IS NULL
UNION ALL
SELECT workspace_id, NULL, NULL, NULL, jsonb_build_object('policy', document, 'open', open)
FROM router.surge_policy WHERE workspace_id = ANY($1::text[])
UNION ALL
SELECT NULL, NULL, NULL, id, NULL FROM router.decision WHERE id = ANY($2::text[])
"""
_COLUMNS: Final = "version, note, author, created_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruleset:
    """One immutable version; `document` is None in lists."""

    version: int
    note: str | None
    author: str | None
    created_at: datetime
    active: bool
    document: dict[str, Any] | None = None


class Standing(NamedTuple):
    """What a batch finds: the version in force per workspace, the candidate beside it, and decisions that are made."""

    versions: dict[str, int]
    candidates: dict[str, Candidate]
    decisions: frozenset[str]
    watched: dict[str, Watched]
    """Workspaces that want to know of surges."""


async def active_versions(tx: Transaction, workspaces: Iterable[str]) -> dict[str, int]:
    """The version in force per workspace; a workspace that has none gets the preset as version 1."""
    wanted = sorted(set(workspaces))
    found = {row["workspace_id"]: row["version"] for row in await tx.fetch(_ACTIVE, wanted)}
    if missing := [workspace for workspace in wanted if workspace not in found]:
        await _install_preset(tx, missing)
        # Read again: another replica may have installed it, and somebody may have activated more since.
        found |= {row["workspace_id"]: row["version"] for row in await tx.fetch(_ACTIVE, missing)}
    return found


async def standing(tx: Transaction, workspaces: Iterable[str], decisions: Sequence[str]) -> Standing:
    """What stands in these workspaces, and which of the decisions were made before; in one read."""
    wanted = set(workspaces)
    if not wanted:
        return Standing({}, {}, frozenset(), {})
    rows = await tx.fetch(_STANDING, sorted(wanted), decisions)
    made = frozenset(row["decision"] for row in rows if row["decision"] is not None)
    candidates = {
        row["workspace_id"]: Candidate(row["workspace_id"], row["run"], row["version"]) for row in rows if row["run"]
    }
    versions = {row["workspace_id"]: row["version"] for row in rows if row["version"] and not row["run"]}
    watched = {row["workspace_id"]: msgspec.convert(row["watched"], Watched) for row in rows if row["watched"]}
    if missing := wanted - versions.keys():
        versions |= await active_versions(tx, missing)
    return Standing(versions, candidates, made, watched)


async def documents(tx: Transaction, versions: dict[str, int]) -> dict[tuple[str, int], dict[str, Any]]:
    """The documents of these versions, by workspace and version."""
    rows = await tx.fetch(
        "SELECT r.workspace_id, r.version, r.document FROM router.ruleset r "
        "JOIN unnest($1::text[], $2::int[]) AS w(workspace_id, version) USING (workspace_id, version)",
        list(versions),
        list(versions.values()),
    )
    return {(row["workspace_id"], row["version"]): row["document"] for row in rows}


async def create(
    tx: Transaction, workspace_id: str, *, document: dict[str, Any], note: str | None, author: str
) -> Ruleset:
    """The next version; Conflict when others write versions faster than we can number them."""
    await active_versions(tx, [workspace_id])
    for _ in range(_ATTEMPTS):
        row = await tx.fetchrow(
            "INSERT INTO router.ruleset (workspace_id, version, document, note, author) "
            "SELECT $1, coalesce(max(version), 0) + 1, $2, $3, $4 FROM router.ruleset WHERE workspace_id = $1 "
            f"ON CONFLICT DO NOTHING RETURNING {_COLUMNS}",
            workspace_id,
            document,
            note,
            author,
        )
        if row is not None:
            return _ruleset(row, active=False)
    raise Conflict("other versions are being written right now: try again")


async def activate(
    tx: Transaction, workspace_id: str, version: int, *, author: str | None, reason: Reason, after: int | None = None
) -> None:
    """Puts a version in force from the next batch on; Conflict when somebody activated at the same moment, or when it
    is to follow `after` and another one is in force."""
    count = await tx.execute(
        "INSERT INTO router.activation (workspace_id, number, version, author, reason) "
        "SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4 FROM router.activation WHERE workspace_id = $1 "
        "HAVING $5::int IS NULL OR (array_agg(version ORDER BY number DESC))[1] = $5 "
        "ON CONFLICT DO NOTHING",
        workspace_id,
        version,
        author,
        reason,
        after,
    )
    if count == 0:
        raise Conflict("another version was activated at the same moment: look at it first")
    # What a candidate was compared with is in force no more.
    await shadows.end(tx, workspace_id, why="activated", by=author)


async def previous_version(tx: Transaction, workspace_id: str) -> int | None:
    """The version that was in force before the present one; a roll-back goes one further back each time."""
    # Each roll-back cancels the activation before it, so what remains after pairing them off is the way back.
    rows = await tx.fetch(
        "SELECT version, reason FROM router.activation WHERE workspace_id = $1 ORDER BY number", workspace_id
    )
    history: list[int] = []
    for row in rows:
        if row["reason"] == "rollback" and len(history) > 1:
            history.pop()
        else:
            history.append(row["version"])
    return history[-2] if len(history) > 1 else None


async def load(tx: Transaction, workspace_id: str, version: int) -> Ruleset | None:
    """One version with its document."""
    active = (await active_versions(tx, [workspace_id]))[workspace_id]
    row = await tx.fetchrow(
        f"SELECT {_COLUMNS}, document FROM router.ruleset WHERE workspace_id = $1 AND version = $2",
        workspace_id,
        version,
    )
    return _ruleset(row, active=version == active) if row else None


async def page(tx: Transaction, workspace_id: str, *, before: int | None, limit: int) -> list[Ruleset]:
    """Versions, newest first, without their documents."""
    active = (await active_versions(tx, [workspace_id]))[workspace_id]
    rows = await tx.fetch(
        f"SELECT {_COLUMNS} FROM router.ruleset WHERE workspace_id = $1 AND ($2::int IS NULL OR version < $2) "
        "ORDER BY version DESC LIMIT $3",
        workspace_id,
        before,
        limit,
    )
    return [_ruleset(row, active=row["version"] == active) for row in rows]


async def _install_preset(tx: Transaction, workspaces: list[str]) -> None:
    await tx.execute(
        "INSERT INTO router.ruleset (workspace_id, version, document, note) "
        "SELECT w, 1, $2, 'preset' FROM unnest($1::text[]) AS w ON CONFLICT DO NOTHING",
        workspaces,
        preset(),
    )
    await tx.execute(
        "INSERT INTO router.activation (workspace_id, number, version, reason) "
        "SELECT w, 1, 1, 'preset' FROM unnest($1::text[]) AS w ON CONFLICT DO NOTHING",
        workspaces,
    )


def _ruleset(row: asyncpg.Record, *, active: bool) -> Ruleset:
    return Ruleset(
        version=row["version"],
        note=row["note"],
        author=row["author"],
        created_at=row["created_at"],
        active=active,
        document=row.get("document"),
    )
