"""What becomes of a reply: its states move forward only, and some are for a person to say."""

from datetime import datetime
from typing import Final, Literal

import msgspec

from shared.errors import Conflict, Forbidden
from shared.events.payload import Actor
from shared.events.tickets import CollisionKind, HoldReason, Reply

ReplyState = Literal["queued", "sending", "sent", "failed", "unknown", "cancelled", "held"]
Outcome = Literal["sent", "failed", "unknown", "held"]

UNFINISHED: Final[frozenset[ReplyState]] = frozenset({"queued", "sending", "unknown"})
"""States in which a reply holds its turns."""

_AFTER: Final[dict[ReplyState, frozenset[Outcome]]] = {
    "queued": frozenset({"sent", "failed", "unknown", "held"}),
    "sending": frozenset({"sent", "failed", "unknown", "held"}),
    "unknown": frozenset({"sent", "failed"}),
}
_COLLISIONS: Final[frozenset[HoldReason]] = frozenset({"takeover", "turn-taken", "unknown-ahead", "echo"})


class NotUnknown(Conflict):
    """What became of this reply is known, or may still become known without a person."""

    code = "not-unknown"
    title = "The outcome of this reply is not to be settled by a person"


class NotWaiting(Conflict):
    """The reply no longer waits."""

    code = "not-waiting"
    title = "The reply no longer waits"


def moves_to(state: ReplyState, outcome: Outcome, *, reason: str | None = None) -> ReplyState | None:
    """The state after an outcome; None when it comes late: what is settled stays settled."""
    if outcome not in _AFTER.get(state, frozenset()):
        return None
    return "cancelled" if outcome == "held" and reason == "cancelled" else outcome


def is_collision(reason: HoldReason) -> bool:
    """Whether a hold at the last hop stopped a second answer, rather than the writer or the network did."""
    return reason in _COLLISIONS


def check_settling(state: ReplyState, *, ask_after: datetime | None, at: datetime, is_concerned: bool) -> None:
    """Whether a person may say what became of a reply: one who is concerned, of an unknown one, and not too early."""
    if not is_concerned:
        raise Forbidden("only its writer, the lease's holder or a supervisor may settle a reply")
    if state != "unknown":
        raise NotUnknown(f"the reply is {state}", state=state)
    if ask_after is not None and at < ask_after:
        raise NotUnknown(f"until {ask_after.isoformat()} it may still be found out", ask_after=ask_after.isoformat())


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A reply as it is kept: what was ordered, and what became of it so far."""

    id: str
    workspace_id: str
    ticket_id: str
    customer_id: str
    seq: int
    author: Actor
    state: ReplyState
    seen_seq: int
    order: Reply
    """What the notifier got."""
    normalized_text: str
    external_id: str | None = None
    reason: str | None = None
    """Why it failed or was held; while it waits, why it was asked to stay."""
    ask_after: datetime | None = None
    created_at: datetime | None = None
    settled_at: datetime | None = None
    is_fresh: bool = True
    """Whether it was settled so lately that its echo may still be on its way."""


class TurnOf(msgspec.Struct, frozen=True, kw_only=True):
    """A turn of a reply, and the answer that it has now."""

    message_id: str
    after: str | None = None
    """The answer that the reply's writer had seen."""
    answer_id: str | None = None
    answer_actor: Actor | None = None


class Collision(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the ledger: a second answer, and what became of it."""

    id: str
    workspace_id: str
    ticket_id: str
    outcome: Literal["prevented", "overridden", "happened"]
    kind: CollisionKind
    agent_id: str | None = None
    """Whose answer it was."""
    other: Actor | None = None
    """Who stood in the way, or had answered."""
    reply_id: str | None = None
    message_id: str | None = None
    created_at: datetime | None = None
