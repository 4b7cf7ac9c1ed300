"""Turns: what each customer's message was answered with, and who is answering it."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import asyncpg
import msgspec

from services.tickets.domain.outcome import TurnOf
from services.tickets.domain.reply import Answer, Pending, TurnState
from shared.db.transaction import Transaction
from shared.events.payload import Actor

_LATEST: Final = """
SELECT message_id FROM tickets.turn WHERE ticket_id = $1 AND seq <= $2 ORDER BY seq DESC, message_id DESC LIMIT 1
"""
_SEEN: Final = """
SELECT n.n, t.message_id, t.seq, t.answer_id, t.answer_actor, t.answer_seq, p.id AS reply_id, p.author, p.state,
    p.fence
FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS n(k, c, s, n)
JOIN tickets.turn t ON t.ticket_id = n.k AND t.conversation_id = n.c AND t.seq <= n.s
LEFT JOIN LATERAL (
    SELECT r.id, r.author, r.state, r.fence, r.seq FROM tickets.reply_turn rt JOIN tickets.reply r ON r.id = rt.reply_id
    WHERE rt.message_id = t.message_id AND r.state IN ('queued', 'sending', 'unknown')
) AS p ON true
WHERE t.answer_id IS NULL OR t.seq = (
    SELECT max(x.seq) FROM tickets.turn x WHERE x.ticket_id = n.k AND x.conversation_id = n.c AND x.seq <= n.s)
ORDER BY n.n, t.seq, t.message_id, p.seq
"""
_ANSWER: Final = """
UPDATE tickets.turn t SET answer_id = n.a, answer_actor = n.w::jsonb, answer_seq = n.s
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS n(m, a, w, s) WHERE t.message_id = n.m
"""
_OF_REPLIES: Final = """
SELECT rt.reply_id, rt.message_id, rt.after, t.answer_id, t.answer_actor FROM tickets.reply_turn rt
LEFT JOIN tickets.turn t ON t.message_id = rt.message_id
WHERE rt.reply_id = ANY($1::text[]) ORDER BY rt.reply_id, t.seq, rt.message_id
"""
# Of each customer in a conversation the newest ticket that shares in it: older ones are history. Not by id, which tells
# the time of whatever process made it.
_SHARED: Final = """
WITH RECURSIVE chain AS (
    SELECT c.id AS conversation_id, t.id, t.workspace_id, t.customer_id, t.merged_into, t.created_at
    FROM tickets.conversation c JOIN tickets.ticket t ON t.id = c.ticket_id WHERE c.id = ANY($1::text[])
    UNION
    SELECT chain.conversation_id, t.id, t.workspace_id, t.customer_id, t.merged_into, t.created_at
    FROM chain JOIN tickets.ticket t ON t.id = chain.merged_into
), newest AS (
    SELECT DISTINCT ON (conversation_id, customer_id) conversation_id, id AS ticket_id, created_at FROM chain
    WHERE merged_into IS NULL ORDER BY conversation_id, customer_id, created_at DESC, id DESC
)
SELECT conversation_id, ticket_id FROM newest ORDER BY created_at DESC, ticket_id DESC
"""
_THREADS: Final = """
SELECT t.ticket_id, t.conversation_id, t.message_id, t.seq, t.answer_id, t.answer_actor, m.occurred_at
FROM unnest($1::text[], $2::text[]) AS n(k, c)
JOIN tickets.turn t ON t.ticket_id = n.k AND t.conversation_id = n.c
JOIN tickets.message m ON m.id = t.message_id
WHERE t.answer_id IS NULL OR t.seq = (
    SELECT max(x.seq) FROM tickets.turn x WHERE x.ticket_id = n.k AND x.conversation_id = n.c)
ORDER BY t.seq, t.message_id
"""
_PARENTS: Final = """
SELECT m.conversation_id, m.external_id, m.ticket_id FROM unnest($1::text[], $2::text[]) AS n(c, e)
JOIN tickets.message m ON m.conversation_id = n.c AND m.external_id = n.e
WHERE m.ticket_id IS NOT NULL AND m.direction = 'in' AND m.data->>'parent_external_id' IS NOT NULL
"""


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's message in one ticket's part of a conversation: the latest, or an open one."""

    ticket_id: str
    conversation_id: str
    message_id: str
    seq: int
    written_at: datetime
    answer_id: str | None = None
    answer_actor: Actor | None = None


class View(NamedTuple):
    """What a writer sees of a conversation: a ticket's part of it up to a place."""

    ticket_id: str
    conversation_id: str
    seen_seq: int


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A turn with the answer that took it."""

    message_id: str
    answer: Answer


async def latest(tx: Transaction, ticket_id: str, *, seen_seq: int) -> str | None:
    """The customer's latest message up to a place in the ticket, in whichever conversation."""
    found: str | None = await tx.fetchval(_LATEST, ticket_id, seen_seq)
    return found


async def seen(tx: Transaction, views: Sequence[View]) -> list[tuple[TurnState, ...]]:
    """Of each view the open turns of its conversation, and the latest, with the unfinished replies that hold them."""
    found: list[dict[str, TurnState]] = [{} for _ in views]
    columns = [list(column) for column in zip(*views, strict=True)]
    for row in await tx.fetch(_SEEN, *columns):
        states = found[row["n"] - 1]
        state = states.get(row["message_id"]) or _state(row)
        if row["reply_id"] is not None:
            state = msgspec.structs.replace(state, pending=(*state.pending, _pending(row)))
        states[state.message_id] = state
    return [tuple(states.values()) for states in found]


async def answer(tx: Transaction, answered: Sequence[Answered]) -> None:
    """Writes the latest finished answers of turns, under the locks of their tickets."""
    if answered:
        await tx.execute(
            _ANSWER,
            [turn.message_id for turn in answered],
            [turn.answer.id for turn in answered],
            [msgspec.json.encode(turn.answer.actor).decode() for turn in answered],
            [turn.answer.seq for turn in answered],
        )


async def of_replies(tx: Transaction, reply_ids: Iterable[str]) -> dict[str, list[TurnOf]]:
    """The turns of each reply."""
    wanted = list(reply_ids)
    found: dict[str, list[TurnOf]] = {reply_id: [] for reply_id in wanted}
    for row in await tx.fetch(_OF_REPLIES, wanted):
        turn = TurnOf(
            message_id=row["message_id"],
            after=row["after"],
            answer_id=row["answer_id"],
            answer_actor=_actor(row["answer_actor"]),
        )
        found[row["reply_id"]].append(turn)
    return found


async def sharing(tx: Transaction, conversations: Collection[str]) -> dict[str, list[str]]:
    """The tickets that take part in each conversation, newest first: the newest one of each customer."""
    found: dict[str, list[str]] = {}
    for row in await tx.fetch(_SHARED, list(conversations)):
        found.setdefault(row["conversation_id"], []).append(row["ticket_id"])
    return found


async def threads(tx: Transaction, parts: Collection[tuple[str, str]]) -> list[Thread]:
    """Of each (ticket, conversation) the latest turn and every open one, in order."""
    pairs = list(parts)
    rows = await tx.fetch(_THREADS, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return [
        Thread(
            ticket_id=row["ticket_id"],
            conversation_id=row["conversation_id"],
            message_id=row["message_id"],
            seq=row["seq"],
            written_at=row["occurred_at"],
            answer_id=row["answer_id"],
            answer_actor=_actor(row["answer_actor"]),
        )
        for row in rows
    ]


async def parents(tx: Transaction, items: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The tickets of the customers' replies that items stand under, given (conversation, parent's external id).

    A root does not count: networks that know two levels put the answers to everybody under it.
    """
    wanted = list(items)
    rows = await tx.fetch(_PARENTS, [item[0] for item in wanted], [item[1] for item in wanted])
    return {(row["conversation_id"], row["external_id"]): row["ticket_id"] for row in rows}


def _state(row: asyncpg.Record) -> TurnState:
    answer = None
    if row["answer_id"] is not None:
        actor = _actor(row["answer_actor"]) or Actor(kind="system")
        answer = Answer(id=row["answer_id"], actor=actor, seq=row["answer_seq"])
    return TurnState(message_id=row["message_id"], seq=row["seq"], answer=answer)


def _pending(row: asyncpg.Record) -> Pending:
    author = msgspec.convert(row["author"], Actor)
    return Pending(reply_id=row["reply_id"], author=author, state=row["state"], fence=row["fence"])


def _actor(value: object) -> Actor | None:
    return None if value is None else msgspec.convert(value, Actor)
