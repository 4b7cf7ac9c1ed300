"""Endpoints and their lanes: where to push, and how far each has got."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final

import asyncpg

from services.notifier.domain.endpoints import Endpoint, EndpointState, Health
from shared.db.transaction import Transaction
from shared.platform.store import endpoints as names

_COLUMNS: Final = """
e.id, e.workspace_id, e.kind, e.url, e.description, e.event_types, e.teams, e.state, e.state_reason, e.secret,
CASE WHEN e.previous_until > clock_timestamp() THEN e.previous_secret END AS previous_secret, e.version,
e.created_at, e.updated_at
"""
_INSERT: Final = f"""
INSERT INTO notifier.endpoint AS e (id, workspace_id, kind, url, description, event_types, teams, secret)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {_COLUMNS}
"""
_INSERT_LANE: Final = """
INSERT INTO notifier.lane (endpoint_id, workspace_id, is_open, cursor)
SELECT $1, $2, true, notifier.last_number($2)
"""
_COUNT: Final = "SELECT count(*) FROM notifier.endpoint WHERE workspace_id = $1"
_LOAD: Final = f"SELECT {_COLUMNS} FROM notifier.endpoint e WHERE e.id = ANY ($1::text[])"
# The lane first, as everywhere: whoever records attempts holds lanes when it disables their endpoints.
_LOCK_LANE: Final = "SELECT FROM notifier.lane WHERE endpoint_id = $1 FOR UPDATE"
_LOCK: Final = f"SELECT {_COLUMNS} FROM notifier.endpoint e WHERE e.id = $1 FOR UPDATE"
_PAGE: Final = f"""
SELECT {_COLUMNS} FROM notifier.endpoint e WHERE e.workspace_id = $1 AND e.id > $2 AND e.kind = 'webhook'
    AND ($4::text[] IS NULL OR e.teams <@ $4) ORDER BY e.id LIMIT $3
"""
_SAVE: Final = f"""
UPDATE notifier.endpoint AS e SET url = $2, description = $3, event_types = $4, teams = $5, version = version + 1,
    updated_at = now()
WHERE e.id = $1 RETURNING {_COLUMNS}
"""
_ROTATE: Final = f"""
UPDATE notifier.endpoint AS e SET previous_secret = secret, previous_until = clock_timestamp() + $3::interval,
    secret = $2, version = version + 1, updated_at = now()
WHERE e.id = $1 RETURNING {_COLUMNS}
"""
_SWITCH: Final = f"""
UPDATE notifier.endpoint AS e SET state = $2, state_reason = $3, version = version + 1, updated_at = now()
WHERE e.id = ANY ($1::text[]) AND e.state <> $2 RETURNING {_COLUMNS}
"""
_SWITCH_LANES: Final = """
UPDATE notifier.lane AS l SET is_open = $2, failures = CASE WHEN $2 THEN 0 ELSE l.failures END,
    failing_since = CASE WHEN $2 THEN NULL ELSE l.failing_since END
WHERE l.endpoint_id = ANY ($1::text[])
"""
_DELETE: Final = """
WITH log AS (DELETE FROM notifier.delivery WHERE endpoint_id = $1),
lane AS (DELETE FROM notifier.lane WHERE endpoint_id = $1)
DELETE FROM notifier.endpoint WHERE id = $1
"""
_HEALTH: Final = """
SELECT l.endpoint_id, notifier.last_number(l.workspace_id) - l.cursor AS behind, l.failures, l.failing_since
FROM notifier.lane l WHERE l.endpoint_id = ANY ($1::text[])
"""


async def insert(
    tx: Transaction,
    workspace_id: str,
    *,
    endpoint_id: str,
    kind: str,
    url: str,
    description: str,
    event_types: Sequence[str],
    teams: Sequence[str] | None,
    secret: bytes,
) -> Endpoint:
    """A new endpoint that gets what happens from now on."""
    row = await tx.fetchrow(
        _INSERT, endpoint_id, workspace_id, kind, url, description, list(event_types), _list(teams), secret
    )
    await tx.execute(_INSERT_LANE, endpoint_id, workspace_id)
    if kind == "webhook":
        await names.add(tx, workspace_id, endpoint_id)
    return _endpoint(row)


async def count(tx: Transaction, workspace_id: str) -> int:
    """How many endpoints a workspace has."""
    return int(await tx.fetchval(_COUNT, workspace_id))


async def load(tx: Transaction, endpoint_ids: Collection[str]) -> dict[str, Endpoint]:
    """Endpoints by id."""
    return {row["id"]: _endpoint(row) for row in await tx.fetch(_LOAD, list(endpoint_ids))}


async def lock(tx: Transaction, endpoint_id: str) -> Endpoint | None:
    """One endpoint with its lane, for a change."""
    await tx.execute(_LOCK_LANE, endpoint_id)
    row = await tx.fetchrow(_LOCK, endpoint_id)
    return _endpoint(row) if row else None


async def page(
    tx: Transaction, workspace_id: str, *, after: str, limit: int, teams: Collection[str] | None
) -> list[Endpoint]:
    """Webhook endpoints by id; with `teams`, only those that get nothing of other teams."""
    rows = await tx.fetch(_PAGE, workspace_id, after, limit, None if teams is None else sorted(teams))
    return [_endpoint(row) for row in rows]


async def save(
    tx: Transaction,
    endpoint_id: str,
    *,
    url: str,
    description: str,
    event_types: Sequence[str],
    teams: Sequence[str] | None,
) -> Endpoint:
    """Writes what may change; the endpoint is locked."""
    return _endpoint(await tx.fetchrow(_SAVE, endpoint_id, url, description, list(event_types), _list(teams)))


async def rotate(tx: Transaction, endpoint_id: str, *, secret: bytes, overlap: timedelta) -> Endpoint:
    """A new secret; the one before signs too for so long."""
    return _endpoint(await tx.fetchrow(_ROTATE, endpoint_id, secret, overlap))


async def switch(
    tx: Transaction, endpoint_ids: Collection[str], state: EndpointState, *, reason: str | None
) -> list[Endpoint]:
    """Opens or shuts endpoints whose lanes are locked; gives those whose state changed."""
    changed = [_endpoint(row) for row in await tx.fetch(_SWITCH, list(endpoint_ids), state, reason)]
    if changed:
        await tx.execute(_SWITCH_LANES, [endpoint.id for endpoint in changed], state == "active")
    return changed


async def delete(tx: Transaction, workspace_id: str, endpoint_id: str) -> None:
    """Gone, with its log."""
    await tx.execute(_DELETE, endpoint_id)
    await names.remove(tx, workspace_id, endpoint_id)


async def health(tx: Transaction, endpoint_ids: Collection[str]) -> dict[str, Health]:
    """How each endpoint does."""
    return {
        row["endpoint_id"]: Health(behind=row["behind"], failures=row["failures"], failing_since=row["failing_since"])
        for row in await tx.fetch(_HEALTH, list(endpoint_ids))
    }


def _list(teams: Sequence[str] | None) -> list[str] | None:
    return None if teams is None else list(teams)


def _endpoint(row: asyncpg.Record | None) -> Endpoint:
    if row is None:
        raise LookupError("the endpoint was not locked")
    fields = dict(row)
    fields["event_types"] = tuple(fields["event_types"])
    fields["teams"] = None if fields["teams"] is None else tuple(fields["teams"])
    return Endpoint(**fields)
