"""Ticket rows: the only way to lock them is customer first, then ticket, each by id."""

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Final

import asyncpg
import msgspec

from services.tickets.domain.ticket import Ticket
from shared.db.together import Rows
from shared.db.transaction import Transaction
from shared.errors import NotFound, Retryable
from shared.events.payload import Actor

COLUMNS: Final = """
    t.id, t.workspace_id, t.customer_id, t.customer_name, t.customer_handle, t.customer_network,
    t.state, t.team_id, t.owner_id, t.offer_id, t.rank, t.tags, t.networks, t.last_seq, t.version, t.changed_by,
    t.change, t.waiting_since, t.snoozed_until, t.resolved_at, t.merged_into, t.created_at, t.updated_at"""

_TARGETS: Final = """
WITH RECURSIVE chain AS (
    SELECT id AS origin, id, customer_id, merged_into FROM tickets.ticket WHERE id = ANY($1::text[])
    UNION ALL
    SELECT chain.origin, t.id, t.customer_id, t.merged_into
    FROM chain JOIN tickets.ticket t ON t.id = chain.merged_into
)
SELECT origin, id, customer_id FROM chain WHERE merged_into IS NULL
"""
_LOCK_CUSTOMERS: Final = "SELECT id FROM tickets.customer WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"
_LOCK: Final = f"SELECT {COLUMNS} FROM tickets.ticket t WHERE t.id = ANY($1::text[]) ORDER BY t.id FOR UPDATE"
_LOAD: Final = f"SELECT {COLUMNS} FROM tickets.ticket t WHERE t.id = ANY($1::text[])"
_LOCK_CURRENT: Final = f"""
SELECT {COLUMNS} FROM tickets.ticket t WHERE t.id = ANY(ARRAY(
    SELECT newest.id FROM unnest($1::text[], $2::text[]) AS c(workspace_id, id)
    CROSS JOIN LATERAL (
        SELECT id FROM tickets.ticket x
        WHERE x.workspace_id = c.workspace_id AND x.customer_id = c.id AND x.state <> 'merged'
        ORDER BY (x.state = 'resolved'), x.resolved_at DESC LIMIT 1
    ) AS newest
    UNION SELECT unnest($3::text[])
)) ORDER BY t.id FOR UPDATE
"""
_DECLINED: Final = """EXISTS (
    SELECT FROM tickets.assignment a
    WHERE a.ticket_id = t.id AND a.agent_id = $4 AND a.ended_at > now() - $5::interval
        AND (a.state IN ('declined', 'expired') OR (a.state = 'released' AND a.reason = 'gave-back')))"""
_QUEUED: Final = f"""
t.workspace_id = $1 AND t.team_id = ANY($2::text[]) AND t.owner_id IS NULL AND t.state IN ('open', 'pending', 'snoozed')
    AND t.state = 'open' AND t.offer_id IS NULL
    AND ($4::text IS NULL OR NOT {_DECLINED}) AND t.id <> ALL($6::text[])"""
# Whoever takes from a queue may hold locks that come later in the order: so it never waits for these.
_LOCK_QUEUED: Final = f"""
SELECT {COLUMNS} FROM tickets.ticket t JOIN tickets.customer c ON c.id = t.customer_id
WHERE {_QUEUED} ORDER BY t.rank, t.id LIMIT $3 FOR UPDATE OF c, t SKIP LOCKED
"""
_PEEK_QUEUED: Final = f"SELECT t.id FROM tickets.ticket t WHERE {_QUEUED} ORDER BY t.rank, t.id LIMIT $3"
_ACTIVE_OF: Final = """
SELECT id FROM tickets.ticket
WHERE workspace_id = $1 AND customer_id = $2 AND state IN ('open', 'pending', 'snoozed')
"""
_HAS_ACTIVE: Final = """
SELECT EXISTS (SELECT FROM tickets.ticket
               WHERE workspace_id = $1 AND team_id = $2 AND state IN ('open', 'pending', 'snoozed'))
"""
_HELD_BY: Final = """
SELECT t.id FROM tickets.assignment a JOIN tickets.ticket t ON t.id = a.ticket_id
WHERE a.workspace_id = $1 AND a.agent_id = $2 AND a.ended_at IS NULL AND t.state IN ('open', 'pending', 'snoozed')
LIMIT $3
"""
_HELD_FOR: Final = """
SELECT t.id, EXISTS (
    SELECT FROM tickets.lease l
    WHERE l.scope IN (t.customer_id, t.id) AND l.holder_id IS NOT NULL AND l.expires_at > clock_timestamp()
) OR EXISTS (
    SELECT FROM tickets.reply r WHERE r.ticket_id = t.id AND r.state IN ('queued', 'sending', 'unknown')
) AS is_busy
FROM tickets.assignment a JOIN tickets.ticket t ON t.id = a.ticket_id
WHERE a.workspace_id = $1 AND a.agent_id = $2 AND a.ended_at IS NULL AND t.team_id = $3
    AND t.state IN ('open', 'pending', 'snoozed')
ORDER BY is_busy, t.id LIMIT $4
"""
_HOLDERS: Final = """
SELECT DISTINCT a.agent_id FROM tickets.assignment a JOIN tickets.ticket t ON t.id = a.ticket_id
WHERE a.workspace_id = $1 AND a.agent_id = ANY($2::text[]) AND a.ended_at IS NULL AND t.team_id = $3
    AND t.state IN ('open', 'pending', 'snoozed')
"""
_INSERT: Final = """
INSERT INTO tickets.ticket (id, workspace_id, customer_id, customer_name, customer_handle, customer_network, state,
    team_id, owner_id, offer_id, rank, tags, networks, last_seq, version, changed_by, change, waiting_since,
    snoozed_until, resolved_at, merged_into)
SELECT n.id, w, c, cn, ch, cw, st, tm, ow, offr, rk, string_to_array(tg, E'\\x1f'), string_to_array(nw, E'\\x1f'), ls,
    v, cb::jsonb, cg, ws, sn, re, mi
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::smallint[], $12::text[], $13::text[], $14::bigint[], $15::bigint[], $16::text[], $17::text[],
    $18::timestamptz[], $19::timestamptz[], $20::timestamptz[], $21::text[])
    AS n(id, w, c, cn, ch, cw, st, tm, ow, offr, rk, tg, nw, ls, v, cb, cg, ws, sn, re, mi)
"""
_SAVE: Final = """
UPDATE tickets.ticket t SET customer_id = c, customer_name = cn, customer_handle = ch, customer_network = cw,
    state = st, team_id = tm, owner_id = ow, offer_id = offr, rank = rk, tags = string_to_array(tg, E'\\x1f'),
    networks = string_to_array(nw, E'\\x1f'), last_seq = ls, version = v, changed_by = cb::jsonb, change = cg,
    waiting_since = ws, snoozed_until = sn, resolved_at = re, merged_into = mi, updated_at = clock_timestamp()
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::smallint[], $12::text[], $13::text[], $14::bigint[], $15::bigint[], $16::text[], $17::text[],
    $18::timestamptz[], $19::timestamptz[], $20::timestamptz[], $21::text[])
    AS n(id, w, c, cn, ch, cw, st, tm, ow, offr, rk, tg, nw, ls, v, cb, cg, ws, sn, re, mi)
WHERE t.id = n.id AND t.version <= n.v AND t.last_seq <= n.ls
"""
_UNLABEL: Final = """
DELETE FROM tickets.ticket_label l USING tickets.ticket t
WHERE l.ticket_id = ANY($1::text[]) AND t.id = l.ticket_id AND NOT (
    t.state IN ('open', 'pending', 'snoozed') AND l.rank = t.rank AND (
        (starts_with(l.label, 'tag:') AND substr(l.label, 5) = ANY(t.tags))
        OR (starts_with(l.label, 'network:') AND substr(l.label, 9) = ANY(t.networks))))
"""
_LABEL: Final = """
INSERT INTO tickets.ticket_label (workspace_id, label, rank, ticket_id)
SELECT * FROM unnest($1::text[], $2::text[], $3::smallint[], $4::text[]) ON CONFLICT DO NOTHING
"""
_ATTEMPTS: Final = 5


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which queued tickets are wanted."""

    workspace_id: str
    teams: Sequence[str]
    limit: int
    agent: str | None = None
    """Without those that this agent declined, let expire or gave back `within` so long."""
    within: timedelta = timedelta(0)
    without: Sequence[str] = ()


async def lock(tx: Transaction, ticket_id: str) -> Ticket:
    """The ticket, or the one that it was merged into, with its customer's row and its own locked; NotFound."""
    return (await lock_many(tx, [ticket_id]))[ticket_id]


async def lock_many(
    tx: Transaction, ticket_ids: Collection[str], *, customers: Collection[str] = ()
) -> dict[str, Ticket]:
    """Each id with its ticket, or with the one that it was merged into; NotFound when one does not exist.

    Customers (those of the tickets, and `customers` besides) are locked first, then tickets, each by id.
    """
    found = await lock_known(tx, ticket_ids, customers=customers)
    for id_ in ticket_ids:
        if id_ not in found:
            raise NotFound(f"there is no ticket {id_}")
    return found


async def lock_known(
    tx: Transaction, ticket_ids: Collection[str], *, customers: Collection[str] = ()
) -> dict[str, Ticket]:
    """As `lock_many`, without those that do not exist."""
    for _ in range(_ATTEMPTS):
        goals = await targets(tx, ticket_ids)
        owners = {owner for _, owner in goals.values()} | set(customers)
        await tx.fetch(_LOCK_CUSTOMERS, sorted(owners))
        rows = await tx.fetch(_LOCK, sorted({id_ for id_, _ in goals.values()}))
        found = {row["id"]: ticket_of(row) for row in rows}
        # Between the look and the lock somebody may have merged it, or linked its customer: then look again.
        if all(t.merged_into is None and t.customer_id in owners for t in found.values()):
            return {origin: found[id_] for origin, (id_, _) in goals.items()}
    raise Retryable("tickets keep moving between customers")


async def lock_current(
    tx: Transaction, customers: Collection[tuple[str, str]], also: Iterable[str] = ()
) -> dict[str, Ticket]:
    """By id: of each (workspace, customer) the active ticket or else the one resolved last, and `also` these.

    The customers' rows must be locked already: then none of their tickets can appear or change.
    """
    pairs, others = sorted(customers), list(also)
    if not pairs and not others:
        return {}
    rows = await tx.fetch(_LOCK_CURRENT, [pair[0] for pair in pairs], [pair[1] for pair in pairs], others)
    return {row["id"]: ticket_of(row) for row in rows}


async def lock_queued(tx: Transaction, wanted: Wanted) -> list[Ticket]:
    """The most urgent, among them the oldest, of the tickets that wait and that nobody else has locked."""
    return [ticket_of(row) for row in await tx.fetch(_LOCK_QUEUED, *_wanted(wanted))]


async def peek_queued(tx: Transaction, wanted: Wanted) -> list[str]:
    """What `lock_queued` would give if nobody had locked anything."""
    return [row["id"] for row in await tx.fetch(_PEEK_QUEUED, *_wanted(wanted))]


async def load(tx: Transaction, ticket_id: str) -> Ticket | None:
    """The ticket as it is committed, merged or not; not locked."""
    row = await tx.fetchrow(_LOAD, [ticket_id])
    return ticket_of(row) if row else None


async def active_of(tx: Transaction, workspace_id: str, customer_id: str) -> str | None:
    """The customer's active ticket; under the lock of the customer's row nobody can open another."""
    found: str | None = await tx.fetchval(_ACTIVE_OF, workspace_id, customer_id)
    return found


async def has_active(tx: Transaction, workspace_id: str, team: str) -> bool:
    """Whether a team has tickets that are not resolved."""
    found: bool = await tx.fetchval(_HAS_ACTIVE, workspace_id, team)
    return found


async def held_by(tx: Transaction, workspace_id: str, agent: str, *, limit: int) -> list[str]:
    """Some of the active tickets that an agent owns or was offered."""
    return [row["id"] for row in await tx.fetch(_HELD_BY, workspace_id, agent, limit)]


async def held_for(tx: Transaction, workspace_id: str, agent: str, team: str, *, limit: int) -> dict[str, bool]:
    """Some of a team's active tickets that an agent owns or was offered, and whether somebody is answering it or an
    answer is on its way; those that are left alone first. Asked under their locks, nobody can begin meanwhile."""
    rows = await tx.fetch(_HELD_FOR, workspace_id, agent, team, limit)
    return {row["id"]: row["is_busy"] for row in rows}


async def holders(tx: Transaction, workspace_id: str, agents: Collection[str], team: str) -> list[str]:
    """Those of these agents who own or were offered an active ticket of a team."""
    return sorted(row["agent_id"] for row in await tx.fetch(_HOLDERS, workspace_id, list(agents), team))


async def targets(tx: Transaction, ticket_ids: Collection[str]) -> dict[str, tuple[str, str]]:
    """Where the story of each ticket that exists goes on, and whose it is: (ticket, customer); not locked."""
    if not ticket_ids:
        return {}
    rows = await tx.fetch(_TARGETS, list(dict.fromkeys(ticket_ids)))
    return {row["origin"]: (row["id"], row["customer_id"]) for row in rows}


def insert(tx: Transaction, tickets: Collection[Ticket]) -> None:
    """New tickets, under the locks of their customers."""
    if tickets:
        tx.defer(_INSERT, *_columns(tickets))


def save(tx: Transaction, tickets: Collection[Ticket]) -> None:
    """Writes tickets whose locks are held, with the next statement; the version and the timeline never go back."""
    if not tickets:
        return

    rows = Rows(len(tickets), lambda: RuntimeError("a ticket changed although it was locked"))
    tx.defer(_SAVE, *_columns(tickets), rows=rows)


async def relabel(tx: Transaction, *, created: Collection[Ticket], changed: Collection[Ticket]) -> None:
    """Brings the labels by which lists find tickets in line with their tags, networks, rank and state."""
    if changed:
        await tx.execute(_UNLABEL, [ticket.id for ticket in changed])
    rows = [
        (ticket.workspace_id, label, ticket.rank, ticket.id)
        for ticket in (*created, *changed)
        if ticket.is_active
        for label in (*(f"tag:{tag}" for tag in ticket.tags), *(f"network:{network}" for network in ticket.networks))
    ]
    if rows:
        tx.defer(_LABEL, *[list(column) for column in zip(*rows, strict=True)])


def _wanted(wanted: Wanted) -> tuple[object, ...]:
    teams, without = list(wanted.teams), list(wanted.without)
    return wanted.workspace_id, teams, wanted.limit, wanted.agent, wanted.within, without


def _columns(tickets: Iterable[Ticket]) -> list[list[object]]:
    rows = [
        (
            t.id,
            t.workspace_id,
            t.customer_id,
            t.customer_name,
            t.customer_handle,
            t.customer_network,
            t.state,
            t.team,
            t.owner,
            t.offer,
            t.rank,
            "\x1f".join(t.tags),
            "\x1f".join(t.networks),
            t.last_seq,
            t.version,
            msgspec.json.encode(t.changed_by).decode(),
            t.change,
            t.waiting_since,
            t.snoozed_until,
            t.resolved_at,
            t.merged_into,
        )
        for t in tickets
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def ticket_of(row: asyncpg.Record) -> Ticket:
    """The ticket in a row of COLUMNS."""
    return Ticket(
        id=row["id"],
        workspace_id=row["workspace_id"],
        customer_id=row["customer_id"],
        customer_name=row["customer_name"],
        customer_handle=row["customer_handle"],
        customer_network=row["customer_network"],
        state=row["state"],
        team=row["team_id"],
        owner=row["owner_id"],
        offer=row["offer_id"],
        rank=row["rank"],
        tags=tuple(row["tags"]),
        networks=tuple(row["networks"]),
        last_seq=row["last_seq"],
        version=row["version"],
        changed_by=msgspec.convert(row["changed_by"], Actor),
        change=row["change"],
        waiting_since=row["waiting_since"],
        snoozed_until=row["snoozed_until"],
        resolved_at=row["resolved_at"],
        merged_into=row["merged_into"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
