"""Drafts: what agents typed, and what they could not send; they belong to ticket and agent, nobody else ends them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from shared.db.transaction import Transaction

TYPED: Final = "typed"


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A text that has not left. `reason`: typed, or why a reply was refused, failed or was held."""

    id: str
    workspace_id: str
    ticket_id: str
    agent_id: str
    text: str
    reason: str = TYPED
    in_reply_to: str | None = None
    reply_id: str | None = None
    seen_seq: int | None = None
    data: dict[str, Any] = {}
    """The rest of what was to be sent: kind, attachments, template."""
    created_at: datetime | None = None
    updated_at: datetime | None = None


_COLUMNS: Final = """id, workspace_id, ticket_id, agent_id, text, reason, in_reply_to, reply_id, seen_seq, data,
    created_at, updated_at"""
_KEEP: Final = """
INSERT INTO tickets.draft AS d
    (id, workspace_id, ticket_id, agent_id, text, reason, in_reply_to, reply_id, seen_seq, data)
SELECT i, w, t, a, x, s, m, r, q, da::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::bigint[], $10::text[]) AS n(i, w, t, a, x, s, m, r, q, da)
ON CONFLICT (id) DO UPDATE SET updated_at = clock_timestamp()
RETURNING d.id, d.xmax = 0 AS is_new
"""
_TYPE: Final = f"""
INSERT INTO tickets.draft AS d (id, workspace_id, ticket_id, agent_id, text, reason, in_reply_to, seen_seq, data)
VALUES ($1, $2, $3, $4, $5, 'typed', $6, $7, $8)
ON CONFLICT (ticket_id, agent_id) WHERE reason = 'typed' DO UPDATE SET text = EXCLUDED.text,
    in_reply_to = EXCLUDED.in_reply_to, seen_seq = EXCLUDED.seen_seq, data = EXCLUDED.data,
    updated_at = clock_timestamp()
RETURNING {_COLUMNS}
"""
_OF_TICKET: Final = f"""
WITH RECURSIVE family AS (
    SELECT $1::text AS id UNION SELECT t.id FROM family JOIN tickets.ticket t ON t.merged_into = family.id
)
SELECT {_COLUMNS} FROM tickets.draft
WHERE workspace_id = $2 AND ticket_id IN (SELECT id FROM family) AND ($3::text IS NULL OR agent_id = $3)
ORDER BY updated_at DESC, id DESC
"""
_DELETE: Final = "DELETE FROM tickets.draft WHERE id = $1 AND agent_id = $2"


async def keep(tx: Transaction, drafts: Sequence[Draft]) -> set[str]:
    """Keeps texts that could not leave; returns the ids of those that were not kept before."""
    if not drafts:
        return set()
    rows = await tx.fetch(
        _KEEP,
        [draft.id for draft in drafts],
        [draft.workspace_id for draft in drafts],
        [draft.ticket_id for draft in drafts],
        [draft.agent_id for draft in drafts],
        [draft.text for draft in drafts],
        [draft.reason for draft in drafts],
        [draft.in_reply_to for draft in drafts],
        [draft.reply_id for draft in drafts],
        [draft.seen_seq for draft in drafts],
        [msgspec.json.encode(draft.data).decode() for draft in drafts],
    )
    return {row["id"] for row in rows if row["is_new"]}


async def type_(tx: Transaction, draft: Draft) -> Draft:
    """What an agent is typing: one per agent and ticket, the newest text wins."""
    row = await tx.fetchrow(
        _TYPE,
        draft.id,
        draft.workspace_id,
        draft.ticket_id,
        draft.agent_id,
        draft.text,
        draft.in_reply_to,
        draft.seen_seq,
        draft.data,
    )
    if row is None:
        raise LookupError("an upsert returns its row")
    return _draft(row)


async def of_ticket(tx: Transaction, ticket_id: str, workspace_id: str, *, agent_id: str | None) -> list[Draft]:
    """The drafts of a ticket and of those merged into it, newest first; of one agent, or of all."""
    return [_draft(row) for row in await tx.fetch(_OF_TICKET, ticket_id, workspace_id, agent_id)]


async def delete(tx: Transaction, draft_id: str, agent_id: str) -> bool:
    """Takes away an agent's own draft; False when there is none."""
    return bool(await tx.execute(_DELETE, draft_id, agent_id))


def _draft(row: asyncpg.Record) -> Draft:
    return Draft(**dict(row))
