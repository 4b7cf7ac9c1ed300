"""An operation on an item on its way out. Done twice it is done once, so that unlike a reply it may be tried again."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final, Literal

from services.notifier.domain.claims import Terms
from services.notifier.domain.replies import LONGEST_BACKOFF, NotLeft, Outcome, Patience, backoff
from shared.events.deliveries import ModerationSettled
from shared.events.messages import Operation
from shared.networks.port import NOT_SUPPORTED, NOT_THERE, Failed, Sent, Throttled, Unknown

State = Literal["waiting", "done", "failed", "unsupported"]

CONTRARY: Final[frozenset[Operation]] = frozenset({"hide", "unhide"})
"""Of these the one that was asked for last holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moderation:
    """One operation as the notifier knows it. Instants are the database's; `data` is the order as tickets wrote it."""

    id: str
    number: int
    workspace_id: str
    message_id: str
    channel_id: str
    network: str
    operation: Operation
    data: bytes
    state: State = "waiting"
    attempts: int = 0
    doubtful_until: datetime | None = None
    """An attempt may have done it, or may do it until then, and nobody knows."""
    due_at: datetime | None = None
    """Next attempt, or the end of the claim; None: not tried yet, or finished."""
    claim_token: str | None = None
    claimed_at: datetime | None = None
    reason: str | None = None
    code: str | None = None
    traceparent: str | None = None


@dataclass(slots=True, kw_only=True)
class Decision:
    """What is to be written, and what is to be done once it is committed."""

    changed: list[Moderation] = field(default_factory=list)
    claimed: list[Moderation] = field(default_factory=list)
    due: dict[str, datetime | None] = field(default_factory=dict)
    """By item, when somebody should look at it again."""


def decide(own: Iterable[Moderation], terms: Terms) -> Decision:
    """Over all operations on some items, finished or not: those of one item go one after the other."""
    decision = Decision()
    ordered = sorted(own, key=lambda one: (one.message_id, one.number))
    for message_id, group in groupby(ordered, key=lambda one: one.message_id):
        decision.due[message_id] = _item(list(group), terms, decision)
    return decision


def concluded(
    moderation: Moderation, outcome: Outcome, *, now: datetime, patience: Patience, lag: timedelta
) -> Moderation:
    """After the attempt under its claim."""
    match outcome:
        case Sent():
            return _settled(moderation, "done")
        case Failed(code=code) if code == NOT_THERE and moderation.operation == "delete" and moderation.doubtful_until:
            # An attempt of which nobody knew has done it.
            return _settled(moderation, "done")
        case Failed(code=code, reason=reason):
            return _settled(moderation, "unsupported" if code == NOT_SUPPORTED else "failed", reason=reason, code=code)
        case Throttled() | NotLeft():
            return _again(moderation, outcome.reason, now=now, patience=patience, after=outcome.retry_after)
        case Unknown(reason=reason):
            return _again(_doubtful(moderation, lag), reason, now=now, patience=patience)


def next_look(own: Iterable[Moderation], *, now: datetime) -> datetime | None:
    """When somebody should look at an item whose operations stand like this; None: nothing is left to do."""
    waiting = sorted((one for one in own if one.state == "waiting"), key=lambda one: one.number)
    return (waiting[0].due_at or now) if waiting else None


def news(moderation: Moderation, *, at: datetime) -> ModerationSettled | None:
    """What others are told, once it is settled."""
    if moderation.state == "waiting":
        return None
    return ModerationSettled(
        workspace_id=moderation.workspace_id,
        moderation_id=moderation.id,
        message_id=moderation.message_id,
        operation=moderation.operation,
        at=at,
        outcome=moderation.state,
        reason=moderation.reason,
        code=moderation.code,
    )


def _item(own: list[Moderation], terms: Terms, decision: Decision) -> datetime | None:
    latest = max((one.number for one in own if one.operation in CONTRARY), default=0)
    for place, before in enumerate(own):
        if before.state != "waiting":
            continue
        not_before = [before.due_at, *(one.doubtful_until for one in own if _contradict(one, before))]
        if wait := max((at for at in not_before if at is not None and at > terms.now), default=None):
            return wait
        is_superseded = before.operation in CONTRARY and before.number < latest
        lost = _lost(before, terms)
        after = own[place] = _superseded(lost) if is_superseded else _next(lost, terms)
        decision.changed.append(after)
        if after.claim_token == terms.token:
            decision.claimed.append(after)
        if after.state == "waiting":
            return after.due_at
    return None


def _lost(moderation: Moderation, terms: Terms) -> Moderation:
    """Whoever had a claim that is over is gone, or too slow: what it did nobody knows."""
    if moderation.claim_token is None:
        return moderation
    # For as long as a network may not show yet what was sent, what was sent may not have had its effect yet.
    return replace(_doubtful(moderation, terms.limits(moderation.network).lag), claim_token=None)


def _next(moderation: Moderation, terms: Terms) -> Moderation:
    if moderation.attempts >= terms.patience.attempts:
        return _settled(moderation, "failed", reason="nobody knows whether it was done", code="unknown")
    if wait := terms.pace(moderation.channel_id):
        return replace(moderation, due_at=terms.now + timedelta(seconds=wait))
    return replace(
        moderation,
        attempts=moderation.attempts + 1,
        claim_token=terms.token,
        claimed_at=terms.now,
        due_at=terms.now + terms.lifetime,
    )


def _contradict(one: Moderation, other: Moderation) -> bool:
    return one.operation != other.operation and {one.operation, other.operation} == CONTRARY


def _doubtful(moderation: Moderation, lag: timedelta) -> Moderation:
    """What it was claimed for may still happen for so long: its contrary waits, or it would not be the last word."""
    return replace(moderation, doubtful_until=moderation.due_at + lag if moderation.due_at else None)


def _superseded(moderation: Moderation) -> Moderation:
    return _settled(moderation, "failed", reason="the contrary was asked for since", code="superseded")


def _again(moderation: Moderation, reason: str, *, now: datetime, patience: Patience, after: float = 0.0) -> Moderation:
    if moderation.attempts >= patience.attempts:
        return _settled(
            moderation, "failed", reason=reason, code="unknown" if moderation.doubtful_until else "not-sent"
        )
    wait = max(timedelta(seconds=after), backoff(patience.backoff, moderation.attempts - 1, LONGEST_BACKOFF))
    return replace(moderation, due_at=now + wait, claim_token=None, reason=reason)


def _settled(moderation: Moderation, state: State, *, reason: str | None = None, code: str | None = None) -> Moderation:
    return replace(moderation, state=state, reason=reason, code=code, due_at=None, claim_token=None)
