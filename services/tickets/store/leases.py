"""Leases: one narrow row per scope, whose deadline only the database's clock decides."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import asyncpg
import msgspec

from services.tickets.domain.lease import Lease, Timing
from shared.db.transaction import Transaction
from shared.events.payload import Actor

_COLUMNS: Final = """scope, workspace_id, fence, holder_id, holder_kind, holder_name, session, active_at, expires_at,
    idle, wanted_by, wanted_until"""
_FIELDS: Final = ", ".join(f"l.{name.strip()}" for name in _COLUMNS.split(","))

# The clock is read above the locks: what is decided by it happens after every wait for them.
_LOCK: Final = f"""
WITH locked AS MATERIALIZED (
    SELECT {_COLUMNS} FROM tickets.lease WHERE scope = ANY($1::text[]) ORDER BY scope FOR UPDATE
)
SELECT clock_timestamp() AS clock, locked.* FROM (VALUES (1)) AS once(n) LEFT JOIN locked ON true
"""
_TAKE: Final = f"""
WITH n AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::interval[],
        $8::interval[], $9::interval[], $10::bool[]) AS n(scope, w, h, hk, hn, s, ttl, idle, longest, keeps)
)
INSERT INTO tickets.lease AS l (scope, workspace_id, fence, holder_id, holder_kind, holder_name, session, acquired_at,
    active_at, expires_at, hard_until, ttl, idle)
SELECT n.scope, w, nextval('tickets.fence'), h, hk, hn, s, c.at, c.at, c.at + least(n.ttl, n.idle, longest),
    c.at + longest, n.ttl, n.idle
FROM n, (SELECT clock_timestamp() AS at) AS c
ON CONFLICT (scope) DO UPDATE SET fence = EXCLUDED.fence, holder_id = EXCLUDED.holder_id,
    holder_kind = EXCLUDED.holder_kind, holder_name = EXCLUDED.holder_name, session = EXCLUDED.session,
    acquired_at = EXCLUDED.acquired_at, active_at = EXCLUDED.active_at, expires_at = EXCLUDED.expires_at,
    hard_until = EXCLUDED.hard_until, ttl = EXCLUDED.ttl, idle = EXCLUDED.idle,
    wanted_by = CASE WHEN (SELECT keeps FROM n WHERE n.scope = l.scope) THEN l.wanted_by END,
    wanted_until = CASE WHEN (SELECT keeps FROM n WHERE n.scope = l.scope) THEN l.wanted_until END
RETURNING {_FIELDS}
"""
_RENEW: Final = f"""
UPDATE tickets.lease l SET active_at = clock_timestamp(),
    expires_at = least(clock_timestamp() + least(l.ttl, l.idle), l.hard_until)
WHERE l.scope = ANY($1::text[]) RETURNING {_FIELDS}
"""
# Nobody waits for the disk: a heartbeat that a crash takes back ends the lease early, which fences make safe.
HEARTBEAT: Final = f"""
UPDATE tickets.lease l SET active_at = CASE WHEN $4 THEN clock_timestamp() ELSE l.active_at END,
    expires_at = least(clock_timestamp() + l.ttl, l.hard_until,
                       CASE WHEN $4 THEN clock_timestamp() ELSE l.active_at END + l.idle)
FROM tickets.ticket t, (SELECT set_config('synchronous_commit', 'off', true)) AS hasty
WHERE t.id = $1 AND l.scope IN (t.customer_id, t.id) AND l.holder_id = $2 AND l.fence = $3
    AND l.expires_at > clock_timestamp()
RETURNING {_FIELDS}, clock_timestamp() AS clock
"""
# The same, but what somebody else has locked is left to them.
_HEARTBEAT_NOW: Final = f"""
UPDATE tickets.lease l SET active_at = CASE WHEN $4 THEN clock_timestamp() ELSE l.active_at END,
    expires_at = least(clock_timestamp() + l.ttl, l.hard_until,
                       CASE WHEN $4 THEN clock_timestamp() ELSE l.active_at END + l.idle)
FROM (
    SELECT l.scope FROM tickets.ticket t JOIN tickets.lease l ON l.scope IN (t.customer_id, t.id)
    WHERE t.id = $1 AND l.holder_id = $2 AND l.fence = $3 AND l.expires_at > clock_timestamp()
    FOR UPDATE OF l SKIP LOCKED
) AS k, (SELECT set_config('synchronous_commit', 'off', true)) AS hasty
WHERE l.scope = k.scope
RETURNING {_FIELDS}, clock_timestamp() AS clock
"""
# Several at once. What somebody else has locked is skipped, so that nobody waits for another's ticket and no two
# transactions for each other; of several for one lease, one is done. `(SELECT $1)` keeps their number from the planner,
# who would make a new plan for each.
HEARTBEATS: Final = f"""
WITH kept AS MATERIALIZED (
    SELECT l.scope, a.n, a.active
    FROM unnest((SELECT $1::text[]), (SELECT $2::text[]), (SELECT $3::bigint[]), (SELECT $4::bool[]))
        WITH ORDINALITY AS a(ticket, holder, fence, active, n)
    JOIN tickets.ticket t ON t.id = a.ticket
    JOIN tickets.lease l ON l.scope IN (t.customer_id, t.id) AND l.holder_id = a.holder AND l.fence = a.fence
        AND l.expires_at > clock_timestamp()
    FOR UPDATE OF l SKIP LOCKED
)
UPDATE tickets.lease l SET active_at = CASE WHEN k.active THEN clock_timestamp() ELSE l.active_at END,
    expires_at = least(clock_timestamp() + l.ttl, l.hard_until,
                       CASE WHEN k.active THEN clock_timestamp() ELSE l.active_at END + l.idle)
FROM kept k, (SELECT set_config('synchronous_commit', 'off', true)) AS hasty
WHERE l.scope = k.scope
RETURNING k.n, {_FIELDS}, clock_timestamp() AS clock
"""
_RELEASE: Final = """
UPDATE tickets.lease SET holder_id = NULL, holder_kind = NULL, holder_name = NULL, session = NULL, expires_at = NULL,
    active_at = NULL, hard_until = NULL, wanted_by = NULL, wanted_until = NULL,
    fence = CASE WHEN $2 THEN nextval('tickets.fence') ELSE fence END
WHERE scope = ANY($1::text[])
"""
_ASK: Final = f"""
UPDATE tickets.lease l SET wanted_by = $2, wanted_until = clock_timestamp() + $3::interval WHERE l.scope = $1
RETURNING {_FIELDS}
"""
_OF_TICKETS: Final = f"""
SELECT DISTINCT ON (t.id) t.id AS ticket_id, {_FIELDS}, clock_timestamp() AS clock
FROM tickets.ticket t JOIN tickets.lease l ON l.scope IN (t.customer_id, t.id)
WHERE t.id = ANY($1::text[]) AND l.holder_id IS NOT NULL AND l.expires_at > clock_timestamp()
ORDER BY t.id, l.fence DESC
"""
_COVERED: Final = """
SELECT t.id, t.customer_id FROM unnest($1::text[], $2::text[]) AS c(workspace_id, id)
JOIN tickets.ticket t ON t.workspace_id = c.workspace_id AND t.customer_id = c.id
WHERE t.state IN ('open', 'pending', 'snoozed') OR (t.state <> 'merged' AND EXISTS (
    SELECT FROM tickets.reply r WHERE r.ticket_id = t.id AND r.state IN ('queued', 'sending', 'unknown')))
"""
_HELD_CUSTOMERS: Final = """
WITH living AS (
    SELECT scope FROM tickets.lease
    WHERE workspace_id = $1 AND holder_id IS NOT NULL AND expires_at > clock_timestamp()
)
SELECT c.id FROM living l JOIN tickets.customer c ON c.id = l.scope
UNION
SELECT t.customer_id FROM living l JOIN tickets.ticket t ON t.id = l.scope
"""


class Locked(msgspec.Struct, frozen=True, kw_only=True):
    """Leases under their locks, and the database's time after the last lock was got."""

    at: datetime
    leases: Mapping[str, Lease]


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """A lease, and the database's time at which it was read."""

    lease: Lease
    at: datetime


class Taking(NamedTuple):
    """Who gets the lease of a scope; `keeps_request`: somebody's request for it stands."""

    scope: str
    workspace_id: str
    who: Actor
    session: str | None
    timing: Timing
    keeps_request: bool


class Heartbeat(NamedTuple):
    """A holder's sign of life; `active`: somebody is typing."""

    ticket_id: str
    holder_id: str
    fence: int
    active: bool


async def lock(tx: Transaction, *scopes: str) -> Locked:
    """The leases of these scopes, those that exist, locked by scope; the tickets' locks are held already."""
    rows = await tx.fetch(_LOCK, sorted(scopes))
    found = {row["scope"]: _lease(row) for row in rows if row["scope"] is not None}
    return Locked(at=max(row["clock"] for row in rows), leases=found)


async def take(tx: Transaction, takings: Sequence[Taking]) -> dict[str, Lease]:
    """Gives each scope's lease to who takes it, under a new fence; the locks of the scopes are held."""
    if not takings:
        return {}
    rows = await tx.fetch(
        _TAKE,
        [taking.scope for taking in takings],
        [taking.workspace_id for taking in takings],
        [taking.who.id for taking in takings],
        [taking.who.kind for taking in takings],
        [taking.who.name for taking in takings],
        [taking.session for taking in takings],
        [taking.timing.ttl for taking in takings],
        [taking.timing.idle for taking in takings],
        [taking.timing.longest for taking in takings],
        [taking.keeps_request for taking in takings],
    )
    return {row["scope"]: _lease(row) for row in rows}


async def renew(tx: Transaction, scopes: Collection[str]) -> dict[str, Lease]:
    """Activity of their holders, which keeps the fences; the locks of the scopes are held."""
    if not scopes:
        return {}
    return {row["scope"]: _lease(row) for row in await tx.fetch(_RENEW, list(scopes))}


async def beat(tx: Transaction, heartbeat: Heartbeat, *, waits: bool = True) -> Beat | None:
    """A heartbeat: one statement, no other lock; None when the lease is no longer this holder's under this fence, or
    else somebody has locked it and it was not to wait."""
    row = await tx.fetchrow(HEARTBEAT if waits else _HEARTBEAT_NOW, *heartbeat)
    return Beat(lease=_lease(row), at=row["clock"]) if row else None


async def beat_many(tx: Transaction, beats: Sequence[Heartbeat]) -> list[Beat | None]:
    """Several heartbeats in one statement that waits for nobody; None for one that must go alone: its lease is locked
    at this moment, had another heartbeat in this statement, or is no longer this holder's."""
    found: list[Beat | None] = [None] * len(beats)
    columns = [list(column) for column in zip(*beats, strict=True)]
    for row in await tx.fetch(HEARTBEATS, *columns):
        found[row["n"] - 1] = Beat(lease=_lease(row), at=row["clock"])
    return found


async def end(tx: Transaction, *scopes: str, revoked: bool) -> None:
    """Nobody holds it any longer. Revoked: what was written under it is outdated at once, by a greater fence."""
    await tx.execute(_RELEASE, sorted(scopes), revoked)


async def ask(tx: Transaction, scope: str, who: Actor, *, timing: Timing) -> Lease:
    """Notes who wants it, and until when its holder has time."""
    return _only(await tx.fetchrow(_ASK, scope, who, timing.request))


async def of_tickets(tx: Transaction, ticket_ids: Collection[str]) -> dict[str, Beat]:
    """The live leases that cover these tickets, as committed."""
    rows = await tx.fetch(_OF_TICKETS, list(ticket_ids))
    return {row["ticket_id"]: Beat(lease=_lease(row), at=row["clock"]) for row in rows}


async def covered(tx: Transaction, customers: Collection[tuple[str, str]]) -> dict[str, str]:
    """The tickets of each (workspace, customer) that hear of its lease, active or with an unfinished reply; with
    their customers."""
    pairs = sorted(customers)
    rows = await tx.fetch(_COVERED, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return {row["id"]: row["customer_id"] for row in rows}


async def held_customers(tx: Transaction, workspace_id: str) -> list[str]:
    """The customers of a workspace whom living leases cover, wholly or one of their tickets; locks nothing."""
    return [row["id"] for row in await tx.fetch(_HELD_CUSTOMERS, workspace_id)]


async def clock(tx: Transaction) -> datetime:
    """The database's time, now and not when the transaction began."""
    now: datetime = await tx.fetchval("SELECT clock_timestamp()")
    return now


def _only(row: asyncpg.Record | None) -> Lease:
    if row is None:
        raise LookupError("the lease was locked a moment ago")
    return _lease(row)


def _lease(row: asyncpg.Record) -> Lease:
    holder = None
    if row["holder_id"] is not None:
        holder = Actor(kind=row["holder_kind"], id=row["holder_id"], name=row["holder_name"])
    return Lease(
        scope=row["scope"],
        workspace_id=row["workspace_id"],
        fence=row["fence"],
        holder=holder,
        session=row["session"],
        active_at=row["active_at"],
        expires_at=row["expires_at"],
        idle=row["idle"],
        wanted_by=None if row["wanted_by"] is None else msgspec.convert(row["wanted_by"], Actor),
        wanted_until=row["wanted_until"],
    )
