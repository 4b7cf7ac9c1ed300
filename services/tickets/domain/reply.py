"""Whether an answer may leave: what its writer has not seen, who else answers, and until when the network takes it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, cast

import msgspec

from services.tickets.domain import lease as leases
from services.tickets.domain.lease import FencedOff, Lease, LeaseHeld, Refuse, Renew, Revoked, Take
from services.tickets.domain.outcome import ReplyState
from shared.errors import Conflict, Refusal
from shared.events.messages import Attachment
from shared.events.payload import Actor
from shared.events.tickets import CollisionKind, ReplyKind, Turn


class ThreadMoved(Conflict):
    """A customer's message or an answer came after what the writer had seen; `missed` is exactly that."""

    code = "thread-moved"
    title = "The thread has moved on"
    keeps_effects = True


class TurnTaken(Conflict):
    """Somebody else has answered, or is answering, what this reply answers."""

    code = "turn-taken"
    title = "Somebody else has this turn"
    keeps_effects = True


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A reply as its writer wants it."""

    text: str
    seen_seq: int
    """The last line of the ticket that the writer had read."""
    fence: int | None = None
    in_reply_to: str | None = None
    kind: ReplyKind | None = None
    attachments: tuple[Attachment, ...] = ()
    template: str | None = None
    override: bool = False
    rule: str | None = None
    """The rule that wants it."""
    acknowledges: bool = False
    """It says that the message came, and leaves the answer to others."""


class Missed(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's message or an answer that the writer has not seen."""

    seq: int
    kind: str
    actor: Actor
    at: datetime
    text: str | None = None
    message_id: str | None = None
    reply_id: str | None = None
    conversation_id: str | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The latest finished answer of a turn."""

    id: str
    actor: Actor
    seq: int


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """An unfinished reply that holds a turn."""

    reply_id: str
    author: Actor
    state: ReplyState
    fence: int


class TurnState(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's message that wants an answer, and who answers it."""

    message_id: str
    seq: int
    answer: Answer | None = None
    pending: tuple[Pending, ...] = ()


class Overridden(msgspec.Struct, frozen=True, kw_only=True):
    """What stood in the way of a writer who knew it and may ignore it."""

    kind: CollisionKind
    other: Actor | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The reply may queue, with these turns; `lease` is what becomes of the lease."""

    lease: Renew | Take
    turns: tuple[Turn, ...]
    overridden: tuple[Overridden, ...] = ()


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The reply may not queue; its text is kept."""

    kind: CollisionKind
    detail: str
    other: Actor | None = None
    fields: dict[str, Any] = {}


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What a reply meets, read under the locks of customer, ticket and lease."""

    at: datetime
    owner: str | None
    last_seq: int
    lease: Lease | None
    missed: tuple[Missed, ...]
    """Lines after the writer's `seen_seq` that move the thread, not the writer's own."""
    turns: tuple[TurnState, ...]
    """The open ones, and the latest, that the writer had seen, in order."""


_REFUSALS: Final[dict[CollisionKind, type[Refusal]]] = {
    "thread-moved": ThreadMoved,
    "turn-taken": TurnTaken,
    "lease-held": LeaseHeld,
    "fenced-off": FencedOff,
}


def decide(scene: Scene, who: Actor, order: Order) -> Accepted | Refused:
    """Refuses the second answer; the order of the questions is part of the promise."""
    if order.fence is not None and leases.is_fenced_off(scene.lease, who, order.fence):
        return _fenced_off(scene, order.fence)
    if scene.missed:
        return _moved(scene)
    step = leases.for_reply(scene.lease, who, override=order.override, at=scene.at)
    if isinstance(step, Refuse):
        return _held(scene)
    overridden: list[Overridden] = []
    if isinstance(step, Take) and step.before == Revoked(reason="override") and scene.lease:
        overridden.append(Overridden(kind="lease-held", other=scene.lease.holder))
    taken = _taken(scene, who, _current_fence(scene.lease, step))
    if taken is not None:
        if not order.override:
            return taken
        overridden.append(Overridden(kind="turn-taken", other=taken.other))
    turns = tuple(_turn(state, order.seen_seq) for state in scene.turns)
    return Accepted(lease=step, turns=turns, overridden=tuple(overridden))


def refusal(refused: Refused, *, draft_id: str) -> Refusal:
    """What the writer is told."""
    return _REFUSALS[refused.kind](refused.detail, draft_id=draft_id, **refused.fields)


def _fenced_off(scene: Scene, fence: int) -> Refused:
    lease = scene.lease
    holder = lease.holder if lease and lease.is_live(scene.at) else None
    fields: dict[str, Any] = {"fence": fence}
    if holder:
        fields["holder"] = msgspec.to_builtins(holder)
    return Refused(kind="fenced-off", detail=f"fence {fence} is no longer yours", other=holder, fields=fields)


def _moved(scene: Scene) -> Refused:
    last = scene.missed[-1]
    return Refused(
        kind="thread-moved",
        detail=f"{len(scene.missed)} came after what you had seen",
        other=last.actor,
        fields={"missed": msgspec.to_builtins(scene.missed), "last_seq": scene.last_seq},
    )


def _held(scene: Scene) -> Refused:
    shown = leases.view(cast("Lease", scene.lease))
    return Refused(
        kind="lease-held",
        detail=f"{shown.holder.name or shown.holder.id} is answering until {shown.expires_at.isoformat()}",
        other=shown.holder,
        fields={
            "holder": msgspec.to_builtins(shown.holder),
            "expires_at": shown.expires_at.isoformat(),
            "fence": shown.fence,
        },
    )


def _current_fence(lease: Lease | None, step: Renew | Take) -> int:
    """Replies with a lower fence were written by somebody who has lost the lease since."""
    if lease is None:
        return 0
    # A lease taken inline does not outdate the one before it: only being pushed aside does.
    pushed = isinstance(step, Take) and isinstance(step.before, Revoked)
    return lease.fence + 1 if pushed else lease.fence


def _taken(scene: Scene, who: Actor, fence: int) -> Refused | None:
    for state in scene.turns:
        if state.answer and who.id not in {scene.owner, state.answer.actor.id}:
            return _answered(state.message_id, state.answer)
        for pending in state.pending:
            if pending.state == "unknown":
                return _unknown(state.message_id, pending)
            if pending.author.id != who.id and pending.fence >= fence:
                return _pending(state.message_id, pending)
    return None


def _answered(message_id: str, answer: Answer) -> Refused:
    shown = {"id": answer.id, "actor": msgspec.to_builtins(answer.actor), "seq": answer.seq}
    return Refused(
        kind="turn-taken",
        detail="it is answered: only the ticket's owner or the writer of that answer may add to it",
        other=answer.actor,
        fields={"message_id": message_id, "answer": shown},
    )


def _pending(message_id: str, pending: Pending) -> Refused:
    return Refused(
        kind="turn-taken",
        detail=f"an answer of {pending.author.name or pending.author.id} is on its way",
        other=pending.author,
        fields=_shown(message_id, pending),
    )


def _unknown(message_id: str, pending: Pending) -> Refused:
    path = f"/v1/replies/{pending.reply_id}/outcome"
    return Refused(
        kind="turn-taken",
        detail=f"nobody knows whether an earlier answer arrived; say what became of it: POST {path}",
        other=pending.author,
        fields={**_shown(message_id, pending), "outcome": path},
    )


def _shown(message_id: str, pending: Pending) -> dict[str, Any]:
    author = msgspec.to_builtins(pending.author)
    return {
        "message_id": message_id,
        "answer": {"id": pending.reply_id, "actor": author, "state": pending.state},
    }


def _turn(state: TurnState, seen_seq: int) -> Turn:
    answer = state.answer
    # An own answer after `seen_seq` is no reason to refuse, and not what the writer had seen.
    after = answer.id if answer and answer.seq <= seen_seq else None
    return Turn(message_id=state.message_id, after=after)


def seen_turns(states: Sequence[TurnState], seen_seq: int) -> tuple[TurnState, ...]:
    """The latest that the writer had seen, and every open one before it."""
    seen = sorted((state for state in states if state.seq <= seen_seq), key=lambda state: (state.seq, state.message_id))
    return tuple(state for state in seen if state is seen[-1] or state.answer is None)
