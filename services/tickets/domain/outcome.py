"""What becomes of a reply: its states move forward only, and some are for a person to say."""

from datetime import datetime
from typing import Final, Literal

from shared.errors import Conflict, Forbidden
from shared.events.tickets import HoldReason

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
