"""A reply on its way out: the states it moves through, forward only, and what the world is told of each step."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from shared.events.deliveries import ReplyFailed, ReplyHeld, ReplySent, ReplyUnknown
from shared.events.payload import Payload
from shared.events.tickets import HoldReason
from shared.networks.port import Failed, NotThere, Sent, Throttled, Unknown

State = Literal["waiting", "sending", "sent", "failed", "unknown", "held"]

UNFINISHED: Final[frozenset[State]] = frozenset({"waiting", "sending", "unknown"})
LONGEST_BACKOFF: Final = timedelta(minutes=5)
LONGEST_QUESTION_BACKOFF: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A customer's message that a reply answers, and the latest finished answer that the writer had seen."""

    message_id: str
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The latest finished answer of a turn; a native one has no author that we know."""

    id: str
    author_id: str | None
    is_told: bool = True
    """Tickets has told of it; until then only we know that it left, and whatever tickets tells comes before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One reply as the notifier knows it. Instants are the database's; `data` is the order as tickets wrote it."""

    id: str
    workspace_id: str
    ticket_id: str
    seq: int
    author_id: str | None
    channel_id: str
    network: str
    fence: int
    override: bool
    hold_on_message: bool
    window_until: datetime | None
    data: bytes
    turns: tuple[Turn, ...]
    state: State = "waiting"
    attempts: int = 0
    asks: int = 0
    due_at: datetime | None = None
    """Next attempt, end of the claim, or next question; None while it waits for another reply or for a person."""
    claim_token: str | None = None
    claimed_at: datetime | None = None
    claim_deadline: datetime | None = None
    ask_after: datetime | None = None
    echo_id: str | None = None
    external_id: str | None = None
    reason: str | None = None
    code: str | None = None
    other: str | None = None
    traceparent: str | None = None
    stop: HoldReason | None = None
    """Why it was asked to stay while it was being sent: it does, should that attempt not leave."""
    acknowledges: bool = False
    """It leaves only where nobody has answered, like any other, but is no answer itself."""

    @property
    def turn_ids(self) -> tuple[str, ...]:
        """The customer's messages that it answers."""
        return tuple(turn.message_id for turn in self.turns)

    @property
    def takes(self) -> tuple[str, ...]:
        """Those of which it is the answer once it is sent."""
        return () if self.acknowledges else self.turn_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class NotLeft:
    """Surely not sent: it may be tried again."""

    reason: str
    retry_after: float = 0.0


Outcome = Sent | Failed | Throttled | Unknown | NotLeft
"""What an attempt came to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for what."""

    attempts: int
    backoff: timedelta
    question_backoff: timedelta
    questions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a network lets us find out about an unknown reply."""

    lag: timedelta
    """How long after the claim's end "not there" does not count yet."""
    can_be_asked: bool


def held(reply: Reply, reason: HoldReason, other: str | None = None) -> Reply:
    """Stopped, if it still waits; what has left stands, and what is leaving may turn out not to have left."""
    if reply.state == "sending":
        return replace(reply, stop=reason, other=other)
    if reply.state != "waiting":
        return reply
    return replace(reply, state="held", reason=reason, other=other, due_at=None)


def sent(reply: Reply, external_id: str | None) -> Reply:
    """The network has it."""
    return replace(reply, state="sent", external_id=external_id or reply.echo_id, reason=None, due_at=None)


def failed(reply: Reply, *, reason: str, code: str) -> Reply:
    """It did not leave and will not: the turns are free again."""
    return replace(reply, state="failed", reason=reason, code=code, due_at=None)


def unknown(reply: Reply, reason: str, *, limits: Limits) -> Reply:
    """Nobody can say whether it left: it holds its turns until the echo, the network or a person tells.

    An echo that was seen meanwhile tells at once.
    """
    if reply.state == "unknown":
        return reply
    if reply.echo_id:
        return sent(reply, reply.echo_id)
    if reply.claim_deadline is None:
        raise ValueError("only a claimed reply can be unknown")
    ask_after = reply.claim_deadline + limits.lag
    due_at = ask_after if limits.can_be_asked else None
    return replace(reply, state="unknown", reason=reason, ask_after=ask_after, due_at=due_at)


def echoed(reply: Reply, external_id: str) -> Reply:
    """The network showed it as an item of its own."""
    if reply.state == "sending":
        return replace(reply, echo_id=external_id)
    return sent(reply, external_id) if reply.state in UNFINISHED else reply


def settled_by_person(reply: Reply, *, is_sent: bool, external_id: str | None) -> Reply:
    """A person looked, and said what became of an unknown reply."""
    if reply.state != "unknown":
        return reply
    return sent(reply, external_id) if is_sent else failed(reply, reason="a person found it missing", code="not-there")


def undelivered(reply: Reply, reason: str) -> Reply:
    """The network told by itself that an unknown reply does not arrive."""
    return failed(reply, reason=reason, code="undelivered") if reply.state == "unknown" else reply


def concluded(reply: Reply, outcome: Outcome, *, now: datetime, patience: Patience, limits: Limits) -> Reply:
    """After the attempt under the current claim; its own late answer also settles what was given up as unknown."""
    if reply.state not in {"sending", "unknown"}:
        return reply
    match outcome:
        case Sent(external_id=external_id):
            return sent(reply, external_id)
        case _ if reply.echo_id:
            return sent(reply, reply.echo_id)
        case Failed(code=code, reason=reason):
            return failed(reply, reason=reason, code=code)
        case Unknown(reason=reason):
            return unknown(reply, reason, limits=limits)
        case _:
            return _again(reply, outcome, now=now, patience=patience)


def _again(reply: Reply, outcome: Throttled | NotLeft, *, now: datetime, patience: Patience) -> Reply:
    attempts = reply.attempts + 1
    if reply.state == "unknown" or attempts >= patience.attempts:
        # What was announced as unknown never waits again, although we now know that it did not leave.
        return failed(replace(reply, attempts=attempts), reason=outcome.reason, code="not-sent")
    wait = max(timedelta(seconds=outcome.retry_after), backoff(patience.backoff, reply.attempts, LONGEST_BACKOFF))
    waiting = replace(
        reply, state="waiting", attempts=attempts, reason=outcome.reason, due_at=now + wait, claim_token=None
    )
    return held(waiting, reply.stop, reply.other) if reply.stop else waiting


def answered(reply: Reply, finding: Sent | NotThere | Unknown | None) -> Reply:
    """After the network was asked, which is only done when "not there" counts; None: it cannot be asked about this."""
    if reply.state != "unknown":
        return reply
    match finding:
        case Sent(external_id=external_id):
            return sent(reply, external_id)
        case NotThere():
            return failed(reply, reason="the network does not have it", code="not-there")
        case Unknown():
            return reply
        case None:
            return replace(reply, due_at=None)


def asked(reply: Reply, *, now: datetime, patience: Patience) -> Reply:
    """Before the network is asked: nobody else asks meanwhile, and the next question comes later."""
    wait = backoff(patience.question_backoff, reply.asks, LONGEST_QUESTION_BACKOFF)
    is_last = reply.asks + 1 >= patience.questions
    return replace(reply, asks=reply.asks + 1, due_at=None if is_last else now + wait)


def backoff(first: timedelta, tries: int, longest: timedelta) -> timedelta:
    """Doubles with each try."""
    doubled: timedelta = first * 2 ** min(tries, 20)
    return min(doubled, longest)


def news(before: Reply | None, after: Reply, *, at: datetime) -> Payload | None:
    """What others are told when a reply reaches a state that they wait for."""
    if before is not None and before.state == after.state:
        return None
    match after.state:
        case "sent":
            return ReplySent(**_facts(after), at=at, external_id=after.external_id)
        case "failed":
            return ReplyFailed(**_facts(after), at=at, reason=after.reason or "", code=after.code)
        case "unknown":
            if after.ask_after is None:
                raise ValueError("an unknown reply says when it may be asked about")
            return ReplyUnknown(**_facts(after), at=at, reason=after.reason or "", ask_after=after.ask_after)
        case "held":
            reason: HoldReason = after.reason  # type: ignore[assignment]  # held() takes nothing else
            return ReplyHeld(**_facts(after), at=at, reason=reason, other=after.other)
        case "waiting" | "sending":
            return None


def _facts(reply: Reply) -> dict[str, Any]:
    return {
        "workspace_id": reply.workspace_id,
        "ticket_id": reply.ticket_id,
        "reply_id": reply.id,
        "turns": reply.turn_ids,
    }
