"""The router's own picture of open tickets, and of whose messages belong to them."""

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Final

import asyncpg

from services.router.domain.facts import Ticket
from services.router.domain.standing import Standing
from services.router.store.authors import Author
from shared.db.pool import Database
from shared.db.transaction import Transaction
from shared.platform.store import retention

COLUMNS: Final = (
    "id, workspace_id, is_open, team_id, owner_id, priority, tags, answered_at, version, state, silent_since, told, "
    "subjects"
)
# An answer ends a silence, and so does whatever closes the ticket; what was there before goes on otherwise.
_SILENT: Final = """CASE WHEN NOT excluded.is_open THEN NULL
    WHEN excluded.answered_at > coalesce(known.answered_at, '-infinity') THEN excluded.silent_since
    ELSE coalesce(known.silent_since, excluded.silent_since) END"""
# A ticket's events come in one order, so whatever is not newer than what is known is a repetition. Only what was
# applied may change accounts; of a ticket that is no longer open they go.
_PUT: Final = f"""
WITH applied AS (
    INSERT INTO router.ticket AS known
        (id, workspace_id, is_open, team_id, owner_id, priority, tags, answered_at, version, state,
        silent_since, subjects, closed_at)
    SELECT v.*, CASE WHEN NOT v.is_open THEN now() END
    FROM unnest($1::text[], $2::text[], $3::bool[], $4::text[], $5::text[], $6::text[], $7::jsonb[],
                $8::timestamptz[], $9::bigint[], $10::text[], $11::timestamptz[],
                $15::jsonb[])
        AS v (id, workspace_id, is_open, team_id, owner_id, priority, tags, answered_at, version, state, silent_since,
            subjects)
    ON CONFLICT (id) DO UPDATE SET is_open = excluded.is_open, team_id = excluded.team_id,
        owner_id = excluded.owner_id, priority = excluded.priority, tags = excluded.tags,
        answered_at = greatest(known.answered_at, excluded.answered_at), version = excluded.version,
        state = excluded.state,
        subjects = CASE WHEN known.subjects @> excluded.subjects THEN known.subjects
            ELSE known.subjects || excluded.subjects END,
        silent_since = {_SILENT},
        told = CASE WHEN known.silent_since IS NOT DISTINCT FROM {_SILENT} THEN known.told ELSE 0 END,
        closed_at = CASE WHEN NOT excluded.is_open THEN coalesce(known.closed_at, now()) END
    WHERE known.version < excluded.version
        OR (known.version = excluded.version AND excluded.answered_at > coalesce(known.answered_at, '-infinity'))
    RETURNING id, workspace_id, is_open
), told AS (
    SELECT applied.workspace_id, account, ticket_id FROM unnest($12::text[], $13::text[]) AS given (ticket_id, account)
    JOIN applied ON applied.id = ticket_id WHERE applied.is_open
), gone AS (
    DELETE FROM router.ticket_account kept USING applied
    WHERE kept.ticket_id = applied.id AND NOT (applied.is_open AND (
        applied.id <> ALL($14::text[])
        OR EXISTS (SELECT FROM told WHERE told.ticket_id = kept.ticket_id AND told.account = kept.account)))
)
INSERT INTO router.ticket_account (workspace_id, account, ticket_id)
SELECT workspace_id, account, ticket_id FROM told ON CONFLICT DO NOTHING
"""
# Of two tickets that seem open, one is closed already and its events are on their way: the later one is.
_OF_AUTHORS: Final = """
SELECT wanted.workspace_id, wanted.account, t.id, t.team_id, t.owner_id, t.priority, t.tags, t.answered_at,
    coalesce(t.state, 'open') AS state
FROM unnest($1::text[], $2::text[]) AS wanted (workspace_id, account)
CROSS JOIN LATERAL (
    SELECT t.* FROM router.ticket_account a JOIN router.ticket t ON t.id = a.ticket_id
    WHERE a.workspace_id = wanted.workspace_id AND a.account = wanted.account AND t.is_open
    ORDER BY t.id DESC LIMIT 1
) AS t
"""
# Whoever else follows the same tickets waits here, and then finds them followed.
_STOOD: Final = f"""
SELECT {COLUMNS} FROM router.ticket WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE
"""
_CLOSED: Final = "closed_at < now() - $1::interval"


async def put(tx: Transaction, standings: Iterable[Standing]) -> None:
    """How tickets stand; what is known better already stays as it is."""
    rows = sorted(standings, key=lambda one: one.ticket.id)
    if not rows:
        return
    told = [(one.ticket.id, account) for one in rows for account in sorted(one.accounts or ())]
    await tx.execute(
        _PUT,
        [one.ticket.id for one in rows],
        [one.workspace_id for one in rows],
        [one.is_open for one in rows],
        [one.ticket.team for one in rows],
        [one.ticket.owner for one in rows],
        [one.ticket.priority for one in rows],
        [one.ticket.tags for one in rows],
        [one.ticket.answered_at for one in rows],
        [one.version for one in rows],
        [one.ticket.state for one in rows],
        [one.silent_since for one in rows],
        [ticket_id for ticket_id, _ in told],
        [account for _, account in told],
        [one.ticket.id for one in rows if one.accounts is not None],
        [sorted(one.subjects) for one in rows],
    )


async def of_authors(tx: Transaction, authors: Collection[Author]) -> dict[Author, Ticket]:
    """The open ticket of each author who has one."""
    wanted = sorted(authors)
    rows = await tx.fetch(_OF_AUTHORS, [one.workspace_id for one in wanted], [one.account for one in wanted])
    return {Author(row["workspace_id"], row["account"]): _ticket(row) for row in rows}


async def stood(tx: Transaction, ticket_ids: Collection[str]) -> dict[str, Standing]:
    """How tickets that are known stand now; they stay so until the transaction ends."""
    rows = await tx.fetch(_STOOD, list(ticket_ids))
    return {row["id"]: standing(row) for row in rows}


def standing(row: asyncpg.Record) -> Standing:
    """A ticket as it is stored."""
    return Standing(
        workspace_id=row["workspace_id"],
        ticket=_ticket(row),
        is_open=row["is_open"],
        version=row["version"],
        silent_since=row["silent_since"],
        subjects=frozenset(row["subjects"]),
        told=row["told"],
    )


async def purge(database: Database, *, closed_for: timedelta) -> int:
    """Forgets tickets that closed so long ago; returns how many went."""
    return await retention.purge(database, "router.ticket", _CLOSED, closed_for)


def _ticket(row: asyncpg.Record) -> Ticket:
    return Ticket(
        id=row["id"],
        team=row["team_id"],
        owner=row["owner_id"],
        priority=row["priority"],
        tags=tuple(row["tags"]),
        answered_at=row["answered_at"],
        state=row["state"] or "",
    )
