"""What the events of a ticket ask of its replies: to wait, to stop, or to be taken for sent."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from services.notifier.domain import replies
from services.notifier.domain.replies import Answer, Reply, Turn
from shared.events import tickets
from shared.events.messages import Message
from shared.events.payload import Payload
from shared.events.tickets import HoldReason, RevokeReason

HOLD_REASONS: Final[dict[RevokeReason, HoldReason]] = {
    "takeover": "takeover",
    "override": "takeover",
    "preempted": "takeover",
    "answer-detected": "turn-taken",
    "linked": "linked",
    "unlinked": "linked",
    "merged": "linked",
    "scope-changed": "cancelled",
}
"""Why a lease was revoked, as its waiting replies are told."""

Encode = Callable[[tickets.Reply], bytes]
Arrival = tickets.TicketCreated | tickets.TicketUpdated | tickets.TicketReopened


@dataclass(slots=True, kw_only=True)
class Desk:
    """Replies and answers of some tickets while their events are applied in order."""

    now: datetime
    replies: dict[str, Reply]
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    """By turn: the finished answers that these events tell of, in their order."""
    workspaces: dict[str, str] = field(default_factory=dict)
    """By turn, for those in `answers`."""
    added: list[str] = field(default_factory=list)

    def put(self, reply: Reply) -> None:
        """Keeps a reply as it is now; one that was sent is the latest answer of its turns."""
        before = self.replies.get(reply.id)
        self.replies[reply.id] = reply
        if reply.state == "sent" and (before is None or before.state != "sent"):
            self.is_answered_by(reply)

    def is_answered_by(self, reply: Reply) -> None:
        """The reply is the latest finished answer of the turns that it takes."""
        self.answer(reply.takes, Answer(id=reply.id, author_id=reply.author_id), reply.workspace_id)

    def answer(self, turns: Iterable[str], answer: Answer, workspace_id: str) -> None:
        """These turns have an answer, behind all that was told of before."""
        for turn_id in turns:
            self.answers.setdefault(turn_id, []).append(answer)
            self.workspaces[turn_id] = workspace_id

    def latest(self, known: Mapping[str, Answer]) -> dict[str, Answer]:
        """The latest answer of each turn that these events tell of; `known`: the latest before them.

        Tickets hears later than we what has left. So an answer that it has not told of yet comes behind all that it
        tells until then: whoever saw those had not seen this one.
        """
        found: dict[str, Answer] = {}
        for turn_id, told in self.answers.items():
            latest = known.get(turn_id)
            for answer in told:
                if latest is None or latest.is_told or latest.id == answer.id:
                    latest = answer
            if latest is not None:
                found[turn_id] = latest
        return found

    def stoppable(self, ticket_id: str) -> list[Reply]:
        """What has not left yet, or may turn out not to have."""
        return [
            reply
            for reply in self.replies.values()
            if reply.ticket_id == ticket_id and reply.state in {"waiting", "sending"}
        ]


def concerns(event: Payload) -> bool:
    """Whether an event may ask something of replies, so that its ticket is worth locking."""
    match event:
        case tickets.TicketCreated() | tickets.TicketUpdated() | tickets.TicketReopened():
            return _arrived(event) is not None
        case tickets.ReplySettled(state=state):
            return state in {"sent", "failed"}
        case _:
            return isinstance(event, _ABOUT_REPLIES)


_ABOUT_REPLIES: Final = (
    tickets.ReplyQueued,
    tickets.ReplyCancelled,
    tickets.LeaseRevoked,
    tickets.AnswerDetected,
    tickets.EchoMatched,
)


def apply(desk: Desk, event: Payload, *, encode: Encode) -> None:
    """One event, in the order of its ticket."""
    match event:
        case tickets.ReplyQueued():
            _queue(desk, event, encode)
        case tickets.LeaseRevoked():
            _revoke(desk, event)
        case tickets.ReplyCancelled(reply_id=reply_id, reason=reason):
            if reply := desk.replies.get(reply_id):
                desk.put(replies.held(reply, reason))
        case tickets.AnswerDetected():
            desk.answer(event.turns, Answer(id=event.message_id, author_id=None), event.workspace_id)
        case tickets.EchoMatched(reply_id=reply_id, external_id=external_id):
            if reply := desk.replies.get(reply_id):
                _echo(desk, reply, external_id)
        case tickets.ReplySettled():
            _settle(desk, event)
        case tickets.TicketCreated() | tickets.TicketUpdated() | tickets.TicketReopened():
            _hold_on_message(desk, event)
        case _:
            return


def _queue(desk: Desk, event: tickets.ReplyQueued, encode: Encode) -> None:
    order = event.reply
    if order.id in desk.replies:
        return
    desk.added.append(order.id)
    desk.put(
        Reply(
            id=order.id,
            workspace_id=event.workspace_id,
            ticket_id=event.ticket.id,
            seq=order.seq,
            author_id=order.author.id,
            channel_id=order.channel_id,
            network=order.network,
            fence=order.fence,
            override=order.override,
            hold_on_message=order.hold_on_message,
            window_until=order.window_until,
            data=encode(order),
            turns=tuple(Turn(message_id=turn.message_id, after=turn.after) for turn in order.turns),
            due_at=desk.now,
            acknowledges=order.acknowledges,
        )
    )


def _revoke(desk: Desk, event: tickets.LeaseRevoked) -> None:
    for reply in desk.stoppable(event.ticket.id):
        if reply.fence <= event.lease.fence:
            desk.put(replies.held(reply, HOLD_REASONS[event.reason]))


def _echo(desk: Desk, reply: Reply, external_id: str) -> None:
    desk.put(replies.echoed(reply, external_id))
    if reply.state in {"sending", "sent"}:
        # It has left, whatever its sender will hear; this is its place in the order that writers see.
        desk.is_answered_by(reply)


def _settle(desk: Desk, event: tickets.ReplySettled) -> None:
    reply = desk.replies.get(event.reply_id)
    if reply is None:
        return
    if event.settled_by == "person" and event.state in {"sent", "failed"}:
        desk.put(replies.settled_by_person(reply, is_sent=event.state == "sent", external_id=event.external_id))
    elif event.settled_by == "echo" and event.state == "failed":
        desk.put(replies.undelivered(reply, event.reason or "the network does not deliver it"))
    elif event.state == "sent" and reply.state == "sent":
        # Where a native answer came between, the order of tickets is the one that writers see: ours was provisional.
        desk.is_answered_by(reply)


def _hold_on_message(desk: Desk, event: Arrival) -> None:
    message = _arrived(event)
    if message is None:
        return
    for reply in desk.stoppable(event.ticket.id):
        if reply.hold_on_message and message.id not in reply.turn_ids:
            desk.put(replies.held(reply, "message-arrived", message.id))


def _arrived(event: Arrival) -> Message | None:
    """The customer's message that came with an event; what was edited or deleted came before, and has a reason."""
    message = event.message
    if message is None or message.direction != "in" or message.kind == "reaction":
        return None
    return None if isinstance(event, tickets.TicketUpdated) and event.reason else message
