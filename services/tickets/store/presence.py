"""Who looks at what: one row per ticket, agent and session; rows that ended are cleared by whoever comes next."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final, Literal

import asyncpg
import msgspec

from shared.db.transaction import Transaction

Level = Literal["viewing", "composing"]


class Present(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's sign of life."""

    ticket_id: str
    workspace_id: str
    agent_id: str
    session: str
    agent_name: str | None = None
    level: Level
    expires_at: datetime


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """A sign of life, and whether it told something new."""

    present: Present
    is_change: bool


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's presence that has ended by itself, and whose ticket it was at."""

    present: Present
    team: str
    owner: str | None = None


_COLUMNS: Final = "ticket_id, workspace_id, agent_id, session, agent_name, level, expires_at"
_FIELDS: Final = ", ".join(f"p.{name.strip()}" for name in _COLUMNS.split(","))
# Advisory: nobody waits for the disk.
_PUT: Final = f"""
WITH hasty AS (SELECT set_config('synchronous_commit', 'off', true)), before AS (
    SELECT level FROM tickets.presence
    WHERE ticket_id = $1 AND agent_id = $2 AND session = $3 AND expires_at > clock_timestamp()
)
INSERT INTO tickets.presence AS p (ticket_id, agent_id, session, workspace_id, agent_name, level, expires_at)
SELECT $1, $2, $3, $4, $5, $6, clock_timestamp() + $7::interval FROM hasty
ON CONFLICT (ticket_id, agent_id, session) DO UPDATE SET level = EXCLUDED.level, agent_name = EXCLUDED.agent_name,
    expires_at = EXCLUDED.expires_at
RETURNING {_FIELDS}, NOT EXISTS (SELECT FROM before b WHERE b.level = $6) AS is_change
"""
_CLEAR: Final = f"""
WITH ended AS (
    SELECT ticket_id, agent_id, session FROM tickets.presence
    WHERE (ticket_id = $1 OR (workspace_id = $2 AND agent_id = $3)) AND expires_at < clock_timestamp()
    FOR UPDATE SKIP LOCKED
)
DELETE FROM tickets.presence p USING ended e, tickets.ticket t
WHERE p.ticket_id = e.ticket_id AND p.agent_id = e.agent_id AND p.session = e.session AND t.id = p.ticket_id
RETURNING {_FIELDS}, t.team_id, t.owner_id
"""
_LEAVE: Final = f"""
DELETE FROM tickets.presence p
WHERE p.ticket_id = $1 AND p.agent_id = $2 AND ($3::text IS NULL OR p.session = $3)
RETURNING {_FIELDS}
"""
_OF_TICKETS: Final = f"""
SELECT {_FIELDS} FROM tickets.presence p WHERE p.ticket_id = ANY($1::text[]) AND p.expires_at > clock_timestamp()
ORDER BY p.ticket_id, p.level, p.agent_id, p.session
"""


async def put(
    tx: Transaction,
    *,
    ticket_id: str,
    workspace_id: str,
    agent_id: str,
    agent_name: str | None,
    session: str,
    level: Level,
    ttl: timedelta,
) -> Sign:
    """A sign of life; news only when there was none before, or of another level."""
    row = await tx.fetchrow(_PUT, ticket_id, agent_id, session, workspace_id, agent_name, level, ttl)
    if row is None:
        raise LookupError("an upsert returns its row")
    return Sign(present=_present(row), is_change=row["is_change"])


async def clear(tx: Transaction, *, ticket_id: str, workspace_id: str, agent_id: str) -> list[Gone]:
    """Takes away what has ended at this ticket, and what this agent left behind elsewhere."""
    rows = await tx.fetch(_CLEAR, ticket_id, workspace_id, agent_id)
    return [Gone(present=_present(row), team=row["team_id"], owner=row["owner_id"]) for row in rows]


async def leave(tx: Transaction, ticket_id: str, agent_id: str, *, session: str | None) -> list[Present]:
    """Takes away one session of an agent, or all of them."""
    return [_present(row) for row in await tx.fetch(_LEAVE, ticket_id, agent_id, session)]


async def of_tickets(tx: Transaction, ticket_ids: Collection[str]) -> dict[str, list[Present]]:
    """Who is present at each of these tickets, composers first."""
    found: dict[str, list[Present]] = {ticket_id: [] for ticket_id in ticket_ids}
    for row in await tx.fetch(_OF_TICKETS, list(ticket_ids)):
        found[row["ticket_id"]].append(_present(row))
    return found


def _present(row: asyncpg.Record) -> Present:
    return Present(
        ticket_id=row["ticket_id"],
        workspace_id=row["workspace_id"],
        agent_id=row["agent_id"],
        session=row["session"],
        agent_name=row["agent_name"],
        level=row["level"],
        expires_at=row["expires_at"],
    )
