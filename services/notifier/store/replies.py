"""Replies and their turns: locked by ticket, then by turn, each by id, and always in sets."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import asyncpg

from services.notifier.domain.replies import Answer, Reply, Turn
from shared.db.transaction import Transaction

_ADD_TICKETS: Final = """
INSERT INTO notifier.ticket (id, workspace_id)
SELECT i, w FROM unnest($1::text[], $2::text[]) AS t(i, w) ORDER BY i ON CONFLICT DO NOTHING
"""
_LOCK_TICKETS: Final = """
SELECT id FROM notifier.ticket WHERE id = ANY ($1::text[]) OR (id = ANY ($2::text[]) AND due_at IS NOT NULL)
ORDER BY id FOR UPDATE
"""
_COLUMNS: Final = """
SELECT r.id, r.workspace_id, r.ticket_id, r.seq, r.author_id, r.channel_id, r.network, r.fence, r.override,
    r.hold_on_message, r.window_until, r.data, r.state, r.attempts, r.asks, r.due_at, r.claim_token, r.claimed_at,
    r.claim_deadline, r.ask_after, r.echo_id, r.external_id, r.reason, r.code, r.other, r.traceparent, r.stop,
    r.acknowledges, t.messages, t.afters
FROM notifier.reply r CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(message_id ORDER BY message_id), '{}') AS messages,
        coalesce(array_agg(after ORDER BY message_id), '{}') AS afters
    FROM notifier.reply_turn WHERE reply_id = r.id
) t
"""
_LOAD: Final = f"""
{_COLUMNS} WHERE r.ticket_id = ANY ($1::text[]) AND r.state IN ('waiting', 'sending', 'unknown')
UNION ALL
{_COLUMNS} WHERE r.id = ANY ($2::text[]) AND r.state NOT IN ('waiting', 'sending', 'unknown')
"""
_ELSEWHERE: Final = f"""
{_COLUMNS} WHERE r.id IN (SELECT reply_id FROM notifier.reply_turn WHERE message_id = ANY ($1::text[]))
    AND r.state IN ('sending', 'unknown') AND r.ticket_id <> ALL ($2::text[])
"""
_INSERT: Final = """
INSERT INTO notifier.reply (id, workspace_id, ticket_id, seq, author_id, channel_id, network, fence, override,
    hold_on_message, window_until, data, state, traceparent, acknowledges)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[],
    $8::bigint[], $9::bool[], $10::bool[], $11::timestamptz[], $12::bytea[], $13::text[], $14::text[], $15::bool[])
ON CONFLICT DO NOTHING
"""
_INSERT_TURNS: Final = """
INSERT INTO notifier.reply_turn (message_id, reply_id, workspace_id, after)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) ON CONFLICT DO NOTHING
"""
_SAVE: Final = """
UPDATE notifier.reply AS r SET state = v.state, attempts = v.attempts, asks = v.asks, due_at = v.due_at,
    claim_token = v.claim_token, claimed_at = v.claimed_at, claim_deadline = v.claim_deadline,
    ask_after = v.ask_after, echo_id = v.echo_id, external_id = v.external_id, reason = v.reason, code = v.code,
    other = v.other, stop = v.stop,
    settled_at = CASE WHEN v.state IN ('sent', 'failed', 'held') THEN coalesce(r.settled_at, clock_timestamp()) END
FROM unnest($1::text[], $2::text[], $3::int[], $4::int[], $5::timestamptz[], $6::text[], $7::timestamptz[],
    $8::timestamptz[], $9::timestamptz[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[])
    AS v(id, state, attempts, asks, due_at, claim_token, claimed_at, claim_deadline, ask_after, echo_id, external_id,
    reason, code, other, stop)
WHERE r.id = v.id
"""
_ADD_TURNS: Final = """
INSERT INTO notifier.turn (message_id, workspace_id)
SELECT m, w FROM unnest($1::text[], $2::text[]) AS t(m, w) ORDER BY m ON CONFLICT DO NOTHING
"""
_LOCK_TURNS: Final = """
SELECT message_id, answer_id, author_id, is_told FROM notifier.turn WHERE message_id = ANY ($1::text[])
ORDER BY message_id FOR UPDATE
"""
# An answer that the current one was written after is no news, however late it is told (a merge has two orders).
_ANSWER: Final = """
INSERT INTO notifier.turn AS t (message_id, workspace_id, answer_id, author_id, is_told)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[]) AS v(m, w, a, b, t) ORDER BY m
ON CONFLICT (message_id) DO UPDATE
SET answer_id = EXCLUDED.answer_id, author_id = EXCLUDED.author_id, is_told = EXCLUDED.is_told
WHERE (t.answer_id, t.is_told) IS DISTINCT FROM (EXCLUDED.answer_id, EXCLUDED.is_told) AND NOT EXISTS (
    SELECT FROM notifier.reply_turn rt
    WHERE rt.message_id = t.message_id AND rt.reply_id = t.answer_id AND rt.after = EXCLUDED.answer_id
)
"""
_RELEASE: Final = """
UPDATE notifier.reply SET due_at = clock_timestamp()
WHERE ticket_id = ANY ($1::text[]) AND state = 'waiting' AND due_at IS NULL
"""
_REFRESH: Final = """
UPDATE notifier.ticket AS t SET due_at = (
    SELECT min(r.due_at) FROM notifier.reply r
    WHERE r.ticket_id = t.id AND r.state IN ('waiting', 'sending', 'unknown')
) WHERE t.id = ANY ($1::text[])
"""


async def lock_tickets(tx: Transaction, tickets: Mapping[str, str], *, if_due: Collection[str] = ()) -> list[str]:
    """Locks the rows of these tickets (id to workspace), made if missing, and of those `if_due` that have work."""
    if tickets:
        await tx.execute(_ADD_TICKETS, list(tickets), list(tickets.values()))
    return [row["id"] for row in await tx.fetch(_LOCK_TICKETS, list(tickets), list(if_due))]


async def load(tx: Transaction, tickets: Collection[str], *, named: Collection[str] = ()) -> list[Reply]:
    """The unfinished replies of these tickets, and those that are named in any state."""
    return [_reply(row) for row in await tx.fetch(_LOAD, list(tickets), list(named))]


async def elsewhere(tx: Transaction, turns: Collection[str], *, except_of: Collection[str]) -> list[Reply]:
    """Replies of other tickets that hold one of these turns."""
    return [_reply(row) for row in await tx.fetch(_ELSEWHERE, list(turns), list(except_of))]


async def insert(tx: Transaction, replies: Sequence[Reply]) -> None:
    """New replies with their turns, in the state that the same batch has already brought them to."""
    if not replies:
        return
    await tx.execute(
        _INSERT,
        [reply.id for reply in replies],
        [reply.workspace_id for reply in replies],
        [reply.ticket_id for reply in replies],
        [reply.seq for reply in replies],
        [reply.author_id for reply in replies],
        [reply.channel_id for reply in replies],
        [reply.network for reply in replies],
        [reply.fence for reply in replies],
        [reply.override for reply in replies],
        [reply.hold_on_message for reply in replies],
        [reply.window_until for reply in replies],
        [reply.data for reply in replies],
        [reply.state for reply in replies],
        [reply.traceparent for reply in replies],
        [reply.acknowledges for reply in replies],
    )
    turns = [(turn, reply) for reply in replies for turn in reply.turns]
    await tx.execute(
        _INSERT_TURNS,
        [turn.message_id for turn, _ in turns],
        [reply.id for _, reply in turns],
        [reply.workspace_id for _, reply in turns],
        [turn.after for turn, _ in turns],
    )


async def save(tx: Transaction, replies: Sequence[Reply]) -> None:
    """Where each reply stands now; the caller holds the locks of their tickets."""
    if not replies:
        return
    await tx.execute(
        _SAVE,
        [reply.id for reply in replies],
        [reply.state for reply in replies],
        [reply.attempts for reply in replies],
        [reply.asks for reply in replies],
        [reply.due_at for reply in replies],
        [reply.claim_token for reply in replies],
        [reply.claimed_at for reply in replies],
        [reply.claim_deadline for reply in replies],
        [reply.ask_after for reply in replies],
        [reply.echo_id for reply in replies],
        [reply.external_id for reply in replies],
        [reply.reason for reply in replies],
        [reply.code for reply in replies],
        [reply.other for reply in replies],
        [reply.stop for reply in replies],
    )


async def lock_turns(tx: Transaction, turns: Mapping[str, str]) -> dict[str, Answer]:
    """Locks the rows of these turns (message id to workspace), made if missing; gives the latest answer of each."""
    if not turns:
        return {}
    await tx.execute(_ADD_TURNS, list(turns), list(turns.values()))
    return {
        row["message_id"]: Answer(id=row["answer_id"], author_id=row["author_id"], is_told=row["is_told"])
        for row in await tx.fetch(_LOCK_TURNS, list(turns))
        if row["answer_id"] is not None
    }


async def answer(tx: Transaction, answers: Mapping[str, Answer], *, workspaces: Mapping[str, str]) -> None:
    """Notes the latest answer of turns; `workspaces` by turn."""
    if not answers:
        return
    await tx.execute(
        _ANSWER,
        list(answers),
        [workspaces[turn] for turn in answers],
        [answer.id for answer in answers.values()],
        [answer.author_id for answer in answers.values()],
        [answer.is_told for answer in answers.values()],
    )


async def refresh(tx: Transaction, tickets: Collection[str], *, release: bool) -> None:
    """Says when each ticket is due next; `release`: what waited behind another reply may have its turn now."""
    if not tickets:
        return
    if release:
        await tx.execute(_RELEASE, list(tickets))
    await tx.execute(_REFRESH, list(tickets))


def _reply(row: asyncpg.Record) -> Reply:
    fields = dict(row)
    messages, afters = fields.pop("messages"), fields.pop("afters")
    turns = tuple(Turn(message_id=message, after=after) for message, after in zip(messages, afters, strict=True))
    return Reply(**fields, turns=turns)
