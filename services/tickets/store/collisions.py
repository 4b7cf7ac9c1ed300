"""The ledger of second answers: prevented, overridden, or found to have happened."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from services.tickets.domain.outcome import Collision
from shared.db.transaction import Transaction
from shared.events.payload import Actor

_INSERT: Final = """
INSERT INTO tickets.collision (id, workspace_id, ticket_id, outcome, kind, agent_id, other, reply_id, message_id)
SELECT i, w, t, o, k, a, x::jsonb, r, m
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
    AS n(i, w, t, o, k, a, x, r, m)
"""
_WHERE: Final = """
c.workspace_id = $1 AND ($2::text IS NULL OR c.outcome = $2) AND ($3::text IS NULL OR c.kind = $3)
    AND ($4::text IS NULL OR c.agent_id = $4) AND ($5::text IS NULL OR c.ticket_id = $5)
    AND ($6::timestamptz IS NULL OR c.created_at >= $6) AND ($7::timestamptz IS NULL OR c.created_at < $7)
    AND ($8::text[] IS NULL OR EXISTS (SELECT FROM tickets.ticket t
        WHERE t.id = c.ticket_id AND (t.team_id = ANY($8) OR t.owner_id = $9)))
"""
_PAGE: Final = f"""
SELECT c.id, c.workspace_id, c.ticket_id, c.outcome, c.kind, c.agent_id, c.other, c.reply_id, c.message_id, c.created_at
FROM tickets.collision c WHERE {_WHERE} AND ($10::text IS NULL OR c.id < $10) ORDER BY c.id DESC LIMIT $11
"""
_COUNTS: Final = f"""
SELECT c.outcome, c.kind, count(*) AS count FROM tickets.collision c WHERE {_WHERE} GROUP BY 1, 2 ORDER BY 1, 2
"""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines of the ledger are wanted, and of which tickets the caller may know."""

    workspace_id: str
    outcome: str | None = None
    kind: str | None = None
    agent: str | None = None
    ticket: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    teams: Collection[str] | None = None
    """Only tickets of these teams, or owned by `owner`; None: all."""
    owner: str | None = None


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How often it came to this."""

    outcome: str
    kind: str
    count: int


async def insert(tx: Transaction, collisions: Sequence[Collision]) -> None:
    """Writes new lines."""
    if collisions:
        await tx.execute(
            _INSERT,
            [line.id for line in collisions],
            [line.workspace_id for line in collisions],
            [line.ticket_id for line in collisions],
            [line.outcome for line in collisions],
            [line.kind for line in collisions],
            [line.agent_id for line in collisions],
            [None if line.other is None else msgspec.json.encode(line.other).decode() for line in collisions],
            [line.reply_id for line in collisions],
            [line.message_id for line in collisions],
        )


async def page(tx: Transaction, wanted: Filter, *, before: str | None, limit: int) -> list[Collision]:
    """Lines, newest first."""
    return [_collision(row) for row in await tx.fetch(_PAGE, *_arguments(wanted), before, limit)]


async def counts(tx: Transaction, wanted: Filter) -> list[Count]:
    """How many lines of each outcome and kind."""
    return [
        Count(outcome=row["outcome"], kind=row["kind"], count=row["count"])
        for row in await tx.fetch(_COUNTS, *_arguments(wanted))
    ]


def _arguments(wanted: Filter) -> tuple[object, ...]:
    return (
        wanted.workspace_id,
        wanted.outcome,
        wanted.kind,
        wanted.agent,
        wanted.ticket,
        wanted.since,
        wanted.until,
        None if wanted.teams is None else sorted(wanted.teams),
        wanted.owner,
    )


def _collision(row: asyncpg.Record) -> Collision:
    fields = dict(row)
    if fields["other"] is not None:
        fields["other"] = msgspec.convert(fields["other"], Actor)
    return Collision(**fields)
