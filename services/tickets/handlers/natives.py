"""Answers from the network's own app: they take the turns, end the lease, stop what waits, and are owned up to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.tickets.domain import echo as echoes_
from services.tickets.domain.reply import Answer
from services.tickets.handlers.changes import Changes
from services.tickets.handlers.lease import revoke_scope
from services.tickets.handlers.ledger import Book
from services.tickets.handlers.waiting import ask_to_stay
from services.tickets.store import replies, turns
from services.tickets.store.turns import Answered, Thread
from shared.events.messages import Message
from shared.events.payload import Actor
from shared.events.tickets import AnswerDetected


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An item that is nobody's echo, and the tickets that it may answer, the likeliest first; all are locked."""

    item: Message
    ticket_ids: Sequence[str]


@dataclass(slots=True)
class _Sweep:
    threads: dict[tuple[str, str], list[Thread]]
    answered: dict[str, Answered] = field(default_factory=dict)
    writers: dict[str, Actor] = field(default_factory=dict)
    """By ticket."""

    def seen(self, ticket_id: str, item: Message) -> list[Thread]:
        # Nobody answers what was not written yet.
        known = self.threads.get((ticket_id, item.conversation_id), [])
        return [thread for thread in known if thread.written_at <= item.occurred_at]

    def is_open(self, thread: Thread) -> bool:
        return thread.answer_id is None and thread.message_id not in self.answered


async def detect(changes: Changes, book: Book, found: Sequence[Found]) -> dict[str, tuple[str, int]]:
    """Does what a native answer does to its tickets; returns the ticket and the place of each item."""
    if not found:
        return {}
    parts = {(ticket_id, one.item.conversation_id) for one in found for ticket_id in one.ticket_ids}
    threads: dict[tuple[str, str], list[Thread]] = {}
    for thread in await turns.threads(changes.tx, parts):
        threads.setdefault((thread.ticket_id, thread.conversation_id), []).append(thread)
    sweep = _Sweep(threads)
    placed = {one.item.id: _take_turns(changes, book, sweep, one) for one in found}
    await turns.answer(changes.tx, list(sweep.answered.values()))
    await _stop_waiting(changes, sweep.writers, {one.item.conversation_id for one in found})
    owners = {
        (changes[ticket_id].workspace_id, changes[ticket_id].customer_id): writer
        for ticket_id, writer in sweep.writers.items()
    }
    await revoke_scope(changes, owners, reason="answer-detected")
    return placed


def _take_turns(changes: Changes, book: Book, sweep: _Sweep, found: Found) -> tuple[str, int]:
    item, writer = found.item, echoes_.writer(found.item)
    opened = {
        ticket_id: [thread for thread in sweep.seen(ticket_id, item) if sweep.is_open(thread)]
        for ticket_id in found.ticket_ids
    }
    chosen = [ticket_id for ticket_id, threads in opened.items() if threads] or list(found.ticket_ids[:1])
    places = []
    for ticket_id in chosen:
        conversation = item.conversation_id
        seq = changes.record(ticket_id, "native", writer, moves=True, message_id=item.id, conversation_id=conversation)
        places.append((ticket_id, seq))
        taken = tuple(thread.message_id for thread in opened[ticket_id])
        answer = Answer(id=item.id, actor=writer, seq=seq)
        sweep.answered |= {id_: Answered(message_id=id_, answer=answer) for id_ in taken}
        sweep.writers[ticket_id] = writer
        changes.emit(AnswerDetected, ticket_id, writer, message_id=item.id, conversation_id=conversation, turns=taken)
        if not taken:
            _own_up(book, ticket_id, sweep.seen(ticket_id, item), item, writer)
    return places[0]


def _own_up(book: Book, ticket_id: str, seen: Sequence[Thread], item: Message, writer: Actor) -> None:
    latest = seen[-1] if seen else None
    if latest is None or latest.answer_id is None or echoes_.is_native_answer(latest.answer_id):
        return
    book.happened(
        ticket_id,
        "native-answer",
        latest.answer_actor or Actor(kind="system"),
        reply_id=latest.answer_id,
        message_id=item.id,
        other=writer,
    )


async def _stop_waiting(changes: Changes, writers: Mapping[str, Actor], conversations: set[str]) -> None:
    waiting = await replies.waiting(changes.tx, list(writers))
    for ticket_id, writer in writers.items():
        mine = [
            record
            for record in waiting
            if record.ticket_id == ticket_id and record.order.conversation_id in conversations and not record.reason
        ]
        await ask_to_stay(changes, mine, writer, reason="turn-taken")
