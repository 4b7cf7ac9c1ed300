"""What became of replies, applied to tickets: turns, timeline, drafts, ledger, and the items that waited for it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from services.tickets.domain import echo as echoes_
from services.tickets.domain import outcome as outcomes
from services.tickets.domain.outcome import Outcome, Record, TurnOf
from services.tickets.domain.reply import Answer
from services.tickets.handlers import natives
from services.tickets.handlers.changes import Changes
from services.tickets.handlers.ledger import Book, Desk
from services.tickets.handlers.natives import Found
from services.tickets.store import drafts, echoes, messages, replies, turns
from services.tickets.store.drafts import Draft
from services.tickets.store.echoes import Waiting
from services.tickets.store.turns import Answered
from shared import ids
from shared.events.messages import Message
from shared.events.payload import SYSTEM, Actor
from shared.events.tickets import DraftKept, EchoMatched, HoldReason, ReplySettled, TicketUpdated

By = Literal["notifier", "echo", "person"]


class Settling:
    """Outcomes of some replies, taken in one after the other and written at once. What comes late changes nothing."""

    def __init__(self, changes: Changes, desk: Desk, records: Sequence[Record]) -> None:
        self._changes = changes
        self._book = Book(changes, desk)
        self._records = {record.id: record for record in records}
        self._turns: dict[str, list[TurnOf]] = {}
        self._waiting: dict[str, list[Waiting]] = {}
        self._settled: dict[str, Record] = {}
        self._answered: dict[str, Answered] = {}
        self._drafts: list[Draft] = []
        self._told_apart: list[str] = []
        self._natives: list[Found] = []

    @classmethod
    async def load(cls, changes: Changes, desk: Desk, records: Sequence[Record]) -> "Settling":
        """With all that the outcomes of these replies touch; their tickets are locked and adopted."""
        settling = cls(changes, desk, records)
        settling._turns = await turns.of_replies(changes.tx, settling._records)
        for waiting in await echoes.for_replies(changes.tx, settling._records):
            settling._waiting.setdefault(waiting.reply_id, []).append(waiting)
        return settling

    def sent(self, reply_id: str, *, external_id: str | None, by: By = "notifier", actor: Actor = SYSTEM) -> None:
        """It left: from here on it is an answer, which moves the thread and takes its turns.

        An acknowledgement moves and takes nothing: whoever has not seen it has missed nothing.
        """
        record = self._advance(reply_id, "sent", external_id=external_id, reason=None)
        if record is None:
            return
        order = record.order
        seq = self._changes.record(
            record.ticket_id,
            "answer",
            record.author,
            moves=not order.acknowledges,
            reply_id=reply_id,
            conversation_id=order.conversation_id,
            data={"acknowledges": True} if order.acknowledges else None,
        )
        natives_before = self._take_turns(record, Answer(id=reply_id, actor=record.author, seq=seq))
        self._tell(record, "sent", by, actor)
        for native_id, writer in natives_before.items():
            self._book.happened(
                record.ticket_id,
                "native-answer",
                record.author,
                reply_id=reply_id,
                message_id=native_id,
                other=writer,
            )
        self._tell_apart(record, "sent")

    def failed(self, reply_id: str, *, reason: str, by: By = "notifier", actor: Actor = SYSTEM) -> None:
        """It did not leave: its text is a draft again."""
        record = self._advance(reply_id, "failed", reason=reason)
        if record is not None:
            self._note(record, "reply-failed", actor)
            self._tell(record, "failed", by, actor)
            self._keep(record, "failed")
            self._tell_apart(record, "failed")

    def held(self, reply_id: str, *, reason: HoldReason) -> None:
        """It was stopped at the last hop: its text is a draft again, and a collision was prevented if that was why."""
        record = self._advance(reply_id, "held", reason=reason)
        if record is None:
            return
        self._note(record, "reply-held", SYSTEM)
        self._tell(record, "held", "notifier", SYSTEM)
        self._keep(record, reason)
        if outcomes.is_collision(reason):
            other = next((turn.answer_actor for turn in self._turns[reply_id] if turn.answer_actor), None)
            self._book.prevented(record.ticket_id, "held", record.author, other=other, reply_id=reply_id)
        self._tell_apart(record, "held")

    def unknown(self, reply_id: str, *, reason: str, ask_after: datetime) -> None:
        """It may have left: it holds its turns until somebody finds out."""
        record = self._advance(reply_id, "unknown", reason=reason, ask_after=ask_after)
        if record is not None:
            self._note(record, "reply-unknown", SYSTEM)
            self._tell(record, "unknown", "notifier", SYSTEM)
            self._tell_apart(record, "unknown")

    def undelivered(self, reply_id: str, *, item: Message, reason: str, event_id: str) -> None:
        """The network took it, and says later that it does not reach the customer.

        It stays the answer of its turns: taking them back would let in a second answer beside one that may yet arrive
        or be sent again by its writer. The timeline says so, and the text is a draft again.
        """
        record = self._records.get(reply_id)
        if record is None:
            return
        if record.state == "unknown":
            self.failed(reply_id, reason=reason, by="echo")
            return
        ticket_id = record.ticket_id
        if record.state in outcomes.UNFINISHED:
            # That it was refused afterwards shows that it left, for whose answer the notifier may still wait.
            fields = {"reply_id": reply_id, "message_id": item.id, "external_id": item.external_id}
            self._changes.emit(EchoMatched, ticket_id, SYSTEM, **fields)
        self._changes.record(
            ticket_id, "reply-undelivered", SYSTEM, reply_id=reply_id, event_id=event_id, data={"reason": reason}
        )
        self._changes.change(ticket_id, SYSTEM, "reply-undelivered")
        self._changes.emit(TicketUpdated, ticket_id, SYSTEM, changes=("replies",), reason="reply-undelivered")
        self._keep(record, "undelivered")

    async def write(self) -> None:
        """Writes everything; only now are items that turned out to be native answers allowed to take open turns."""
        tx = self._changes.tx
        await replies.settle(tx, list(self._settled.values()))
        await turns.answer(tx, list(self._answered.values()))
        await drafts.keep(tx, self._drafts)
        await echoes.done(tx, self._told_apart)
        placed = await natives.detect(self._changes, self._book, self._natives)
        await echoes.place(tx, placed)
        await self._book.write()
        touched = {record.ticket_id for record in self._settled.values()}
        for ticket_id, since in (await messages.waiting(tx, touched)).items():
            if since != self._changes[ticket_id].waiting_since:
                self._changes.amend(ticket_id, waiting_since=since)
        await self._changes.flush()

    def _advance(self, reply_id: str, outcome: Outcome, **fields: Any) -> Record | None:
        record = self._records.get(reply_id)
        state = outcomes.moves_to(record.state, outcome, reason=fields["reason"]) if record else None
        if record is None or state is None:
            return None
        if fields.get("external_id") is None:
            fields["external_id"] = record.external_id
        moved = msgspec.structs.replace(record, **{"ask_after": None, **fields}, state=state)
        self._records[reply_id] = self._settled[reply_id] = moved
        return moved

    def _take_turns(self, record: Record, answer: Answer) -> dict[str, Actor]:
        # The notifier goes by this order too: where a native answer came while ours was leaving, ours is the latest.
        natives_before: dict[str, Actor] = {}
        for turn in self._turns[record.id]:
            taken = self._answered.get(turn.message_id)
            now = taken.answer.id if taken else turn.answer_id
            if now is not None and now != turn.after and echoes_.is_native_answer(now):
                natives_before[now] = turn.answer_actor or SYSTEM
            self._answered[turn.message_id] = Answered(message_id=turn.message_id, answer=answer)
        return natives_before

    def _tell_apart(self, record: Record, outcome: Outcome) -> None:
        for waiting in self._waiting.pop(record.id, []):
            item = waiting.item
            self._told_apart.append(item.id)
            known_as = self._records[record.id].external_id
            if not echoes_.is_own(echo_external_id=item.external_id, outcome=outcome, external_id=known_as):
                self._natives.append(Found(item=item, ticket_ids=(record.ticket_id,)))
                continue
            if outcome == "sent" and known_as is None:
                named = msgspec.structs.replace(self._records[record.id], external_id=item.external_id)
                self._records[record.id] = self._settled[record.id] = named
            fields = {"reply_id": record.id, "message_id": item.id, "external_id": item.external_id}
            self._changes.emit(EchoMatched, record.ticket_id, SYSTEM, **fields)

    def _note(self, record: Record, kind: str, actor: Actor) -> None:
        self._changes.record(record.ticket_id, kind, actor, reply_id=record.id, data={"reason": record.reason})

    def _tell(self, record: Record, state: Outcome, by: By, actor: Actor) -> None:
        self._changes.emit(
            ReplySettled,
            record.ticket_id,
            actor,
            reply_id=record.id,
            state=state,
            external_id=record.external_id,
            reason=record.reason,
            settled_by=by,
            acknowledges=record.order.acknowledges,
        )

    def _keep(self, record: Record, reason: str) -> None:
        order = record.order
        draft = Draft(
            id=ids.digest("drf", record.id),
            workspace_id=record.workspace_id,
            ticket_id=record.ticket_id,
            agent_id=record.author.id or "",
            text=order.text,
            reason=reason,
            in_reply_to=order.in_reply_to,
            reply_id=record.id,
            seen_seq=record.seen_seq,
            data={"kind": order.kind, "attachments": list(order.attachments), "template": order.template},
        )
        self._drafts.append(draft)
        fields = {"draft_id": draft.id, "agent_id": draft.agent_id, "reason": reason, "reply_id": record.id}
        self._changes.emit(DraftKept, record.ticket_id, record.author, **fields)
