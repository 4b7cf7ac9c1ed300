"""Decisions about tickets whose effect the router waits to see: each is applied to the version it saw, or dropped."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final

from services.router.domain.triggers import Awaited
from shared.db.pool import Database
from shared.db.transaction import Transaction
from shared.platform.store import retention

_OF_TICKETS: Final = """
SELECT ticket_id, event_id, version, tries, decisions FROM router.awaited WHERE ticket_id = ANY($1::text[])
ORDER BY ticket_id, created_at, event_id
"""
_SETTLED: Final = """
DELETE FROM router.awaited a USING unnest($1::text[], $2::text[]) AS given (ticket_id, event_id)
WHERE a.ticket_id = given.ticket_id AND a.event_id = given.event_id
"""
_ADD: Final = """
INSERT INTO router.awaited (ticket_id, event_id, workspace_id, version, tries, decisions)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::int[], $6::jsonb[])
"""
_OLD: Final = """
created_at < now() - $1::interval AND NOT EXISTS (SELECT FROM router.ticket t WHERE t.id = ticket_id)
"""


async def of_tickets(tx: Transaction, ticket_ids: Collection[str]) -> list[Awaited]:
    """What is awaited of these tickets, oldest first."""
    rows = await tx.fetch(_OF_TICKETS, list(ticket_ids))
    return [Awaited(**{**dict(row), "decisions": tuple(row["decisions"])}) for row in rows]


async def settled(tx: Transaction, some: Sequence[Awaited]) -> None:
    """It is known what became of these."""
    if some:
        await tx.execute(_SETTLED, [one.ticket_id for one in some], [one.event_id for one in some])


def add(tx: Transaction, some: Sequence[tuple[str, Awaited]]) -> None:
    """More, each with its workspace; written with the next statement."""
    if not some:
        return
    tx.defer(
        _ADD,
        [one.ticket_id for _, one in some],
        [one.event_id for _, one in some],
        [workspace for workspace, _ in some],
        [one.version for _, one in some],
        [one.tries for _, one in some],
        [one.decisions for _, one in some],
    )


async def purge(database: Database, *, older_than: timedelta) -> int:
    """Forgets what concerns tickets that are forgotten themselves; returns how many went."""
    return await retention.purge(database, "router.awaited", _OLD, older_than)
