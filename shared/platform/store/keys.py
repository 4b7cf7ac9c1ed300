"""API keys: issued once, kept as a digest, looked up by id across workspaces, revoked for good."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast

import asyncpg
import sqlalchemy as sa

from shared.db.query import Query
from shared.db.transaction import Transaction
from shared.errors import Forbidden
from shared.platform import keys
from shared.platform.models import AgentKind, ApiKey
from shared.platform.scopes import Role, Scope, effective
from shared.platform.tables import api_key as table

_WORKSPACE: Final = table.c.workspace_id == sa.bindparam("workspace", type_=sa.Text)
_ID: Final = table.c.id == sa.bindparam("key", type_=sa.Text)
_INSERT: Final = Query(
    sa.insert(table)
    .values(
        id="",
        workspace_id="",
        name="",
        secret_hash=b"",
        agent_id=None,
        role="",
        scopes=None,
        teams=None,
        expires_at=None,
    )
    .returning(table)
)
_LOAD: Final = Query(sa.select(table).where(_WORKSPACE, _ID))
_PAGE: Final = Query(
    sa.select(table)
    .where(_WORKSPACE, table.c.id > sa.bindparam("after", type_=sa.Text))
    .order_by(table.c.id)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)
_REVOKE: Final = Query(
    sa.update(table)
    .where(_WORKSPACE, _ID)
    .values(revoked_at=sa.func.coalesce(table.c.revoked_at, sa.func.now()))
    .returning(table)
)
_FIND: Final = """
SELECT *, extract(epoch FROM expires_at - now())::float8 AS seconds_left,
       last_used_at IS NULL OR last_used_at < now() - interval '1 minute' AS is_stale
FROM platform.api_key WHERE id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
"""
_AGENT: Final = "SELECT name, kind FROM platform.agent WHERE workspace_id = $1 AND id = $2 AND disabled_at IS NULL"
_TOUCH: Final = """
UPDATE platform.api_key SET last_used_at = now()
WHERE workspace_id = $1 AND id = $2 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
"""
_ISSUE_TICKET: Final = """
INSERT INTO platform.stream_ticket (secret_hash, workspace_id, key_id, expires_at)
VALUES ($1, $2, $3, clock_timestamp() + $4::interval) RETURNING expires_at
"""
_REDEEM: Final = """
DELETE FROM platform.stream_ticket WHERE secret_hash = $1 AND key_id = $2 RETURNING expires_at > clock_timestamp()
"""

TICKET: Final = "stream"
"""What a ticket names where a key names its environment."""

TICKET_LIFE: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A key that is in force, and whose secret, or ticket, was right."""

    key: ApiKey
    agent_name: str | None
    agent_kind: AgentKind | None
    seconds_left: float | None
    """Until it expires, by the database's clock; None when it never does."""


async def issue(
    tx: Transaction,
    workspace_id: str,
    *,
    key_id: str,
    name: str,
    role: Role,
    environment: str,
    agent_id: str | None = None,
    scopes: Collection[Scope] | None = None,
    teams: Collection[str] | None = None,
    expires_at: datetime | None = None,
    granted_by: frozenset[Scope] | None = None,
    secret: str | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its token, which cannot be had again.

    `granted_by`: the scopes of whoever issues it, who can't give more than that; None for operators.
    `secret`: one that was written down before, for set-ups that must survive dying in between; None: a new one.
    """
    excess = effective(role, scopes) - granted_by if granted_by is not None else frozenset()
    if excess:
        raise Forbidden("a key cannot have more scopes than the one that issues it", missing=sorted(excess))
    secret = secret or keys.new_secret()
    row = await tx.fetchrow(
        *_INSERT(
            id=key_id,
            workspace_id=workspace_id,
            name=name,
            secret_hash=keys.secret_hash(secret),
            agent_id=agent_id,
            role=role,
            scopes=None if scopes is None else sorted(scopes),
            teams=None if teams is None else sorted(teams),
            expires_at=expires_at,
        )
    )
    return _key(cast("asyncpg.Record", row)), keys.token(environment, key_id, secret)


async def load(tx: Transaction, workspace_id: str, key_id: str) -> ApiKey | None:
    """One key in any state, or None."""
    row = await tx.fetchrow(*_LOAD(workspace=workspace_id, key=key_id))
    return _key(row) if row else None


async def page(tx: Transaction, workspace_id: str, *, after: str | None = None, limit: int = 50) -> list[ApiKey]:
    """Keys by id, revoked ones included."""
    return [_key(row) for row in await tx.fetch(*_PAGE(workspace=workspace_id, after=after or "", limit=limit))]


async def revoke(tx: Transaction, workspace_id: str, key_id: str) -> ApiKey | None:
    """Ends a key for good; None when there is none. Every process forgets it within five seconds."""
    row = await tx.fetchrow(*_REVOKE(workspace=workspace_id, key=key_id))
    return _key(row) if row else None


async def verify(tx: Transaction, token: str) -> Verified | None:
    """The key behind a token, or None; begins as a scan, and admits the key's workspace once the secret is right."""
    parsed = keys.parse(token)
    row = await tx.fetchrow(_FIND, parsed.key_id) if parsed else None
    if parsed is None or row is None or not keys.is_secret(parsed.secret, row["secret_hash"]):
        return None
    return await _verified(tx, row)


async def issue_ticket(tx: Transaction, workspace_id: str, key_id: str) -> tuple[str, datetime]:
    """Opens one live stream, once and soon, with the rights that the key has then; and until when it does."""
    secret = keys.new_secret()
    until = await tx.fetchval(_ISSUE_TICKET, keys.secret_hash(secret), workspace_id, key_id, TICKET_LIFE)
    return keys.token(TICKET, key_id, secret), until


async def redeem(tx: Transaction, ticket: str) -> Verified | None:
    """The key behind a ticket, which is used up by this commit; begins as a scan. None: used, too old, or never one."""
    parsed = keys.parse(ticket)
    row = await tx.fetchrow(_FIND, parsed.key_id) if parsed else None
    if parsed is None or row is None:
        return None
    await tx.admit([row["workspace_id"]])
    # Of those who come with the same ticket, one finds the row.
    if not await tx.fetchval(_REDEEM, keys.secret_hash(parsed.secret), row["id"]):
        return None
    return await _verified(tx, row)


async def in_force(tx: Transaction, key_id: str) -> Verified | None:
    """A key that somebody has shown before, if it is still good; begins as a scan."""
    row = await tx.fetchrow(_FIND, key_id)
    return await _verified(tx, row) if row else None


async def _verified(tx: Transaction, row: asyncpg.Record) -> Verified | None:
    workspace, agent_id = row["workspace_id"], row["agent_id"]
    agent = None
    if agent_id is not None or row["is_stale"]:
        await tx.admit([workspace])
    if agent_id is not None:
        agent = await tx.fetchrow(_AGENT, workspace, agent_id)
        if agent is None:
            return None
    if row["is_stale"]:
        await tx.execute(_TOUCH, workspace, row["id"])
    return Verified(
        key=_key(row),
        agent_name=agent["name"] if agent else None,
        agent_kind=agent["kind"] if agent else None,
        seconds_left=row["seconds_left"],
    )


def _key(row: asyncpg.Record) -> ApiKey:
    fields: dict[str, Any] = {name: row[name] for name in ApiKey.__dataclass_fields__}
    for name in ("scopes", "teams"):
        fields[name] = None if fields[name] is None else tuple(fields[name])
    return ApiKey(**fields)
