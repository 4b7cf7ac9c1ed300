"""Ways to break the product on purpose, in the simulating process alone: what must be noticed by some seed soon."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from services.ingest.handlers.intake import Intake
from services.notifier.domain import claims, moderation, replies
from services.notifier.handlers.replies import Rules
from shared.log.consumer.batch import BatchWork
from shared.networks.port import Sent, Unknown
from shared.web import idempotency


def _unknown_waits_again() -> None:
    def unknown(reply: Any, reason: str, *, limits: Any) -> Any:
        del limits
        return replace(reply, state="waiting", reason=reason, due_at=reply.claimed_at)

    replies.unknown = unknown


def _lost_operations_are_done() -> None:
    concluded = moderation.concluded

    def hopeful(one: Any, outcome: Any, **more: Any) -> Any:
        is_lost = isinstance(outcome, Unknown | replies.NotLeft)
        return concluded(one, Sent(external_id=None) if is_lost else outcome, **more)

    moderation.concluded = hopeful


def _takeover_is_not_heard() -> None:
    held = replies.held

    def deaf(reply: Any, reason: Any, other: Any = None) -> Any:
        return reply if reason in {"takeover", "cancelled"} else held(reply, reason, other)

    replies.held = deaf


def _turn_is_not_compared() -> None:
    claims._taken_by = lambda reply, answers: None


def _turn_is_not_held() -> None:
    claims._Ahead.of = lambda self, reply: []


def _position_before_effects() -> None:
    handle = BatchWork.handle

    async def hasty(self: BatchWork, subscription: Any, batch: Any, *, is_stuck: bool) -> None:
        await subscription.commit_after(batch)
        await handle(self, subscription, batch, is_stuck=is_stuck)

    BatchWork.handle = hasty


def _old_claims_send() -> None:
    of = Rules.of
    Rules.of = lambda settings: replace(of(settings), fresh=timedelta(hours=1))


def _answers_are_not_kept() -> None:
    async def begin(*_: Any) -> None:
        return None

    async def keep(*_: Any) -> None:
        return None

    idempotency.begin, idempotency.keep = begin, keep


def _acknowledged_before_stored() -> None:
    fly = Intake._fly

    async def hasty(self: Intake, taken: Any, before: Any) -> None:
        for _, told in taken:
            told(None)
        await fly(self, [(arrival, lambda _: None) for arrival, _ in taken], before)

    Intake._fly = hasty


SABOTAGE: Final[Mapping[str, tuple[Callable[[], None], int]]] = {
    "unknown-waits-again": (_unknown_waits_again, 1),
    "lost-operations-are-done": (_lost_operations_are_done, 41),
    "takeover-is-not-heard": (_takeover_is_not_heard, 1),
    "turn-is-not-compared": (_turn_is_not_compared, 1),
    "turn-is-not-held": (_turn_is_not_held, 1),
    "position-before-effects": (_position_before_effects, 1),
    "old-claims-send": (_old_claims_send, 1),
    "answers-are-not-kept": (_answers_are_not_kept, 1),
    "acknowledged-before-stored": (_acknowledged_before_stored, 21),
}
"""By name; each breaks one thing that a promise stands on. The number: a seed behind which it is soon noticed, for now."""
