"""Which replies may leave now: the decision at the last hop, made under the locks of tickets and turns."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from services.notifier.domain import replies
from services.notifier.domain.replies import Answer, Limits, Patience, Reply

ELSEWHERE: Final = timedelta(seconds=1)
"""How soon to look again when a reply of another ticket has the turn: nothing here will tell when it is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under which conditions claims are made."""

    now: datetime
    token: str
    lifetime: timedelta
    patience: Patience
    limits: Callable[[str], Limits]
    """By network."""
    pace: Callable[[str], float]
    """By channel: seconds that it must wait; 0: it may send, and has taken its place."""


@dataclass(slots=True, kw_only=True)
class Decision:
    """What is to be written, and what is to be done once it is committed."""

    changed: dict[str, tuple[Reply, Reply]] = field(default_factory=dict)
    """Before and after."""
    claimed: list[Reply] = field(default_factory=list)
    questions: list[Reply] = field(default_factory=list)

    def note(self, before: Reply, after: Reply) -> None:
        """Remembers a change."""
        if after != before:
            self.changed[before.id] = (before, after)


class _Ahead:
    """Who stands in the way, by turn."""

    def __init__(self) -> None:
        self._by_turn: dict[str, list[Reply]] = {}

    def add(self, reply: Reply) -> None:
        # Nobody's answer waits to hear what became of an acknowledgement.
        if reply.acknowledges and reply.state == "unknown":
            return
        for turn_id in reply.turn_ids:
            self._by_turn.setdefault(turn_id, []).append(reply)

    def of(self, reply: Reply) -> list[Reply]:
        found = [other for turn_id in reply.turn_ids for other in self._by_turn.get(turn_id, ())]
        # Tickets that were merged share turns; which of two that wait is first is known within one ticket only.
        return [other for other in found if other.state != "waiting" or other.ticket_id == reply.ticket_id]


def decide(
    own: Sequence[Reply], *, elsewhere: Iterable[Reply], answers: Mapping[str, Answer], terms: Terms
) -> Decision:
    """Over all unfinished replies of some tickets, and those of other tickets that hold a turn of these."""
    decision = Decision()
    known = dict(answers)
    ahead = _Ahead()
    for reply in elsewhere:
        ahead.add(reply)
    waiting: list[Reply] = []
    for before in sorted(own, key=lambda reply: (reply.ticket_id, reply.seq)):
        after = _aged(before, terms)
        decision.note(before, after)
        if after.asks > before.asks:
            decision.questions.append(after)
        if after.state == "waiting":
            waiting.append(after)
        elif after.state == "sent":
            known |= dict.fromkeys(after.takes, Answer(id=after.id, author_id=after.author_id))
        else:
            # Whoever is being sent or unknown stands in the way of all others, before or after it.
            ahead.add(after)
    for before in waiting:
        after = _next(before, blocking=ahead.of(before), answers=known, terms=terms)
        decision.note(before, after)
        if after.state != "held":
            ahead.add(after)
        if after.state == "sending":
            decision.claimed.append(after)
    return decision


def _aged(reply: Reply, terms: Terms) -> Reply:
    """What time alone has made of it: a claim that ran out, a question that is due."""
    if reply.state == "sending" and reply.claim_deadline is not None and reply.claim_deadline < terms.now:
        return replies.unknown(reply, "the claim ran out while it was being sent", limits=terms.limits(reply.network))
    if reply.state == "unknown" and reply.due_at is not None and reply.due_at <= terms.now:
        return replies.asked(reply, now=terms.now, patience=terms.patience)
    return reply


def _next(reply: Reply, *, blocking: Sequence[Reply], answers: Mapping[str, Answer], terms: Terms) -> Reply:
    if any(other.state != "unknown" for other in blocking):
        is_elsewhere = all(other.ticket_id != reply.ticket_id for other in blocking)
        return replace(reply, due_at=terms.now + ELSEWHERE if is_elsewhere else None)
    if reply.due_at is not None and reply.due_at > terms.now:
        return reply
    if refusal := _refusal(reply, blocking=blocking, answers=answers, now=terms.now):
        return refusal
    if wait := terms.pace(reply.channel_id):
        return replace(reply, due_at=terms.now + timedelta(seconds=wait))
    deadline = terms.now + terms.lifetime
    return replace(
        reply,
        state="sending",
        claim_token=terms.token,
        claimed_at=terms.now,
        claim_deadline=deadline,
        due_at=deadline,
    )


def _refusal(reply: Reply, *, blocking: Sequence[Reply], answers: Mapping[str, Answer], now: datetime) -> Reply | None:
    if blocking and not reply.override:
        return replies.held(reply, "unknown-ahead", blocking[0].id)
    if other := _taken_by(reply, answers):
        return replies.held(reply, "turn-taken", other)
    if reply.window_until is not None and reply.window_until <= now:
        return replies.held(reply, "window-closed")
    return None


def _taken_by(reply: Reply, answers: Mapping[str, Answer]) -> str | None:
    """The answer that the writer had not seen: it is neither `after` nor the writer's own."""
    if reply.override:
        return None
    for turn in reply.turns:
        answer = answers.get(turn.message_id)
        if answer is None or answer.id == turn.after:
            continue
        if answer.author_id is None or answer.author_id != reply.author_id:
            return answer.id
    return None
