"""Assignments: who was to own a ticket, who did, and why; one current row per ticket."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, Final

import asyncpg
import msgspec

from services.tickets.domain.assignment import Assignment
from shared.db.transaction import Transaction
from shared.events.tickets import Candidate

_COLUMNS: Final = (
    "id, workspace_id, ticket_id, team_id, agent_id, state, strategy, reason, candidates, expires_at, created_at, "
    "ended_at"
)
_INSERT: Final = f"""
INSERT INTO tickets.assignment ({_COLUMNS})
SELECT i, w, t, tm, a, s, st, r, c::jsonb, e, cr, en
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::timestamptz[], $11::timestamptz[], $12::timestamptz[]) AS n(i, w, t, tm, a, s, st, r, c, e, cr, en)
"""
_SAVE: Final = """
UPDATE tickets.assignment a SET state = s, reason = r, expires_at = e, ended_at = en
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[]) AS n(i, s, r, e, en)
WHERE a.id = n.i
"""
_CURRENT: Final = f"SELECT {_COLUMNS} FROM tickets.assignment WHERE ticket_id = ANY($1::text[]) AND ended_at IS NULL"
_ONE: Final = f"SELECT {_COLUMNS} FROM tickets.assignment WHERE id = $1"
_PAGE: Final = f"""
SELECT {_COLUMNS} FROM tickets.assignment WHERE ticket_id = $1 AND id > $2 ORDER BY id LIMIT $3
"""
_DECLINED: Final = """
SELECT ticket_id, agent_id FROM tickets.assignment
WHERE ticket_id = ANY($1::text[]) AND agent_id IS NOT NULL AND ended_at > now() - $2::interval
    AND (state IN ('declined', 'expired') OR (state = 'released' AND reason = 'gave-back'))
"""


def insert(tx: Transaction, assignments: Collection[Assignment]) -> None:
    """New steps, under the locks of their tickets; the step before must have ended."""
    if not assignments:
        return
    rows = [
        (
            a.id,
            a.workspace_id,
            a.ticket_id,
            a.team,
            a.agent,
            a.state,
            a.strategy,
            a.reason,
            msgspec.json.encode([_narrow(one) for one in a.candidates]).decode(),
            a.expires_at,
            a.created_at,
            a.ended_at,
        )
        for a in assignments
    ]
    tx.defer(_INSERT, *[list(column) for column in zip(*rows, strict=True)])


async def save(tx: Transaction, assignments: Sequence[Assignment]) -> None:
    """What became of steps that were stored before."""
    if assignments:
        await tx.execute(
            _SAVE,
            [a.id for a in assignments],
            [a.state for a in assignments],
            [a.reason for a in assignments],
            [a.expires_at for a in assignments],
            [a.ended_at for a in assignments],
        )


async def current(tx: Transaction, ticket_ids: Collection[str]) -> dict[str, Assignment]:
    """The current step of each ticket that has one, by ticket."""
    if not ticket_ids:
        return {}
    return {row["ticket_id"]: _assignment(row) for row in await tx.fetch(_CURRENT, list(ticket_ids))}


async def load(tx: Transaction, assignment_id: str) -> Assignment | None:
    """One step."""
    row = await tx.fetchrow(_ONE, assignment_id)
    return _assignment(row) if row else None


async def page(tx: Transaction, ticket_id: str, *, after: str, limit: int) -> list[Assignment]:
    """The steps of a ticket, oldest first."""
    return [_assignment(row) for row in await tx.fetch(_PAGE, ticket_id, after, limit)]


async def declined(tx: Transaction, ticket_ids: Collection[str], *, within: timedelta) -> dict[str, frozenset[str]]:
    """Who declined, let expire or gave back each ticket not long ago."""
    found: dict[str, set[str]] = {}
    for row in await tx.fetch(_DECLINED, list(ticket_ids), within) if ticket_ids else ():
        found.setdefault(row["ticket_id"], set()).add(row["agent_id"])
    return {ticket: frozenset(agents) for ticket, agents in found.items()}


def _assignment(row: asyncpg.Record) -> Assignment:
    fields = dict(row)
    fields["team"], fields["agent"] = fields.pop("team_id"), fields.pop("agent_id")
    fields["candidates"] = tuple(map(_candidate, fields["candidates"]))
    return Assignment(**fields)


def _narrow(candidate: Candidate) -> str:
    # Most of what assignments store is candidates: names of fields would be the larger half of them.
    return f"{candidate.load}/{candidate.capacity}/{candidate.reason or ''}/{candidate.agent}"


def _candidate(kept: Any) -> Candidate:
    # Earlier releases kept objects.
    if not isinstance(kept, str):
        return msgspec.convert(kept, Candidate)
    load, capacity, reason, agent = kept.split("/", 3)
    return Candidate(agent=agent, load=int(load), capacity=int(capacity), reason=reason or None)
