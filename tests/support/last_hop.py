"""The notifier's half of the protocol, as small as it can be said: who may leave, in the order of one ticket."""

from dataclasses import dataclass, field
from typing import Any, Final

from shared.events import tickets
from shared.events.deliveries import ReplyFailed, ReplyHeld, ReplySent, ReplyUnknown
from shared.events.payload import Payload
from shared.events.tickets import Reply
from tests.support.floor import AT

HOLDS: Final = {
    "takeover": "takeover",
    "override": "takeover",
    "preempted": "takeover",
    "answer-detected": "turn-taken",
    "linked": "linked",
    "unlinked": "linked",
    "merged": "linked",
}


@dataclass(slots=True)
class LastHop:
    """Replies of one ticket on their way out, and who answered its turns last."""

    workspace_id: str
    ticket_id: str
    replies: dict[str, Reply] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    latest: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """By turn: id and author of the latest answer."""
    left: list[tuple[str, str, str]] = field(default_factory=list)
    """Turn, author and reply of everything that left, in order."""
    news: list[Payload] = field(default_factory=list)
    """What tickets has not been told yet."""

    def read(self, event: Payload) -> None:
        """One event of the ticket, in order."""
        match event:
            case tickets.ReplyQueued(reply=reply):
                self.replies[reply.id], self.states[reply.id] = reply, "waiting"
            case tickets.LeaseRevoked(lease=lease, reason=reason):
                self._revoke(lease.fence, HOLDS[reason])
            case tickets.ReplyCancelled(reply_id=reply_id, reason=reason):
                self._hold(reply_id, reason)
            case tickets.AnswerDetected(turns=turns, message_id=message_id):
                self.latest |= dict.fromkeys(turns, (message_id, None))
            case tickets.ReplySettled():
                self._settle(event)
            case _:
                return

    def claim(self) -> str | None:
        """The next reply that may leave is being sent now; those that may not are held on the way."""
        for reply_id in sorted(self.replies, key=lambda id_: self.replies[id_].seq):
            if self.states[reply_id] == "waiting" and not self._is_behind(reply_id, {"waiting", "sending"}):
                reply = self.replies[reply_id]
                if self._is_behind(reply_id, {"unknown"}) and not reply.override:
                    self._hold(reply_id, "unknown-ahead")
                elif not all(self._fits(reply, turn) for turn in reply.turns):
                    self._hold(reply_id, "turn-taken")
                else:
                    self.states[reply_id] = "sending"
                    return reply_id
        return None

    def conclude(self, reply_id: str, outcome: str) -> None:
        """What the attempt came to."""
        self.states[reply_id] = outcome
        about = self._about(reply_id)
        match outcome:
            case "sent":
                self._leave(reply_id)
                self.news.append(ReplySent(**about, external_id=f"x-{reply_id}"))
            case "failed":
                self.news.append(ReplyFailed(**about, reason="spam"))
            case "unknown":
                self.news.append(ReplyUnknown(**about, reason="timeout", ask_after=AT.replace(year=2020)))

    def _settle(self, event: tickets.ReplySettled) -> None:
        before = self.states[event.reply_id]
        if event.settled_by == "person" and before == "unknown":
            self.states[event.reply_id] = event.state
            if event.state == "sent":
                self._leave(event.reply_id)
        elif event.state == before == "sent":
            self._answer(event.reply_id)

    def _revoke(self, fence: int, reason: str) -> None:
        for reply in self.replies.values():
            if reply.fence <= fence:
                self._hold(reply.id, reason)

    def _leave(self, reply_id: str) -> None:
        self.states[reply_id] = "sent"
        author = self.replies[reply_id].author.id or ""
        self.left += [(turn.message_id, author, reply_id) for turn in self.replies[reply_id].turns]
        self._answer(reply_id)

    def _answer(self, reply_id: str) -> None:
        reply = self.replies[reply_id]
        self.latest |= dict.fromkeys([turn.message_id for turn in reply.turns], (reply_id, reply.author.id))

    def _hold(self, reply_id: str, reason: Any) -> None:
        if self.states[reply_id] == "waiting":
            self.states[reply_id] = "held"
            self.news.append(ReplyHeld(**self._about(reply_id), reason=reason))

    def _is_behind(self, reply_id: str, states: set[str]) -> bool:
        mine = self.replies[reply_id]
        turns = {turn.message_id for turn in mine.turns}
        return any(
            other.seq < mine.seq
            and self.states[other.id] in states
            and turns & {turn.message_id for turn in other.turns}
            for other in self.replies.values()
        )

    def _fits(self, reply: Reply, turn: tickets.Turn) -> bool:
        latest = self.latest.get(turn.message_id)
        before, author = latest or (None, None)
        return reply.override or before == turn.after or author == reply.author.id

    def _about(self, reply_id: str) -> dict[str, Any]:
        return {"workspace_id": self.workspace_id, "ticket_id": self.ticket_id, "reply_id": reply_id, "at": AT}
