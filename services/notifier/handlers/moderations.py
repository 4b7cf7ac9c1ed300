"""Operations on items at the last hop, each step one transaction: take in, claim what may leave, record the outcome."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from services.notifier.domain import moderation as moderations
from services.notifier.domain.moderation import Moderation
from services.notifier.domain.replies import Outcome
from services.notifier.handlers.replies import Claim, Rules, claimed
from services.notifier.store import due
from services.notifier.store import moderations as store
from shared.db.transaction import Transaction
from shared.events.envelope import Event
from shared.events.moderation import ModerationRequested
from shared.host import Runtime

_ENCODER: Final = msgspec.json.Encoder()


async def take(tx: Transaction, events: Sequence[Event]) -> bool:
    """Takes in what a batch asks for, each once; whether a sender has something to look at."""
    asked = [_order(event.data, event.traceparent) for event in events if isinstance(event.data, ModerationRequested)]
    if asked:
        await store.take(tx, asked)
    return bool(asked)


async def claim(
    runtime: Runtime, rules: Rules, *, pace: Callable[[str], float], started: float, limit: int
) -> list[Claim[Moderation]]:
    """Claims what is due in all workspaces and nobody else is looking at; `pace` and `started` as of replies."""
    async with runtime.scan() as tx:
        locked = await due.lock(tx, "item", limit=limit)
        if not locked:
            return []
        now = await due.clock(tx)
        terms = rules.terms(now=now, token=runtime.ids.new("clm"), pace=pace)
        decision = moderations.decide(await store.load(tx, locked), terms)
        await store.save(tx, decision.changed, decision.due)
        _tell(runtime, tx, decision.changed, now)
        return await claimed(tx, decision.claimed, started=started)


async def record(runtime: Runtime, claim: Claim[Moderation], outcome: Outcome, rules: Rules) -> Moderation | None:
    """What the attempt under this claim came to; None when the claim is not the current one any more."""
    item = claim.order.message_id
    async with runtime.batch([claim.order.workspace_id]) as tx:
        await store.lock(tx, item)
        own = {one.id: one for one in await store.load(tx, [item])}
        before = own[claim.order.id]
        if before.claim_token != claim.order.claim_token:
            return None
        now = await due.clock(tx)
        lag = rules.limits(before.network).lag
        after = moderations.concluded(before, outcome, now=now, patience=rules.patience, lag=lag)
        look = moderations.next_look({**own, after.id: after}.values(), now=now)
        await store.save(tx, [after], {item: look})
        _tell(runtime, tx, [after], now)
    return after


def _tell(runtime: Runtime, tx: Transaction, changed: Sequence[Moderation], now: datetime) -> None:
    for one in changed:
        if told := moderations.news(one, at=now):
            tx.traceparent = one.traceparent
            tx.emit(told, key=one.message_id)
            tx.after_commit(runtime.metrics.counter("baton_moderations_total", outcome=told.outcome).inc)


def _order(data: ModerationRequested, traceparent: str | None) -> Moderation:
    asked = data.moderation
    return Moderation(
        id=asked.id,
        number=asked.number,
        workspace_id=data.workspace_id,
        message_id=asked.message_id,
        channel_id=asked.channel_id,
        network=asked.network,
        operation=asked.operation,
        data=_ENCODER.encode(asked),
        traceparent=traceparent,
    )
