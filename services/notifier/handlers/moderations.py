"""Operations on items at the last hop, each step one transaction: take in, claim what may leave, record the outcome."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from services.notifier.domain import moderation as moderations
from services.notifier.domain.moderation import Moderation, Terms
from services.notifier.domain.replies import Outcome
from services.notifier.handlers.replies import Rules
from services.notifier.store import channels
from services.notifier.store import moderations as store
from services.notifier.store import replies as replies_store
from shared.db.transaction import Transaction
from shared.events.envelope import Event
from shared.events.tickets import ModerationRequested
from shared.host import Runtime
from shared.platform.models import Channel

_ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An operation that this process alone may carry out, and since when by its own clock."""

    moderation: Moderation
    channel: Channel | None
    started: float


async def take(tx: Transaction, events: Sequence[Event]) -> bool:
    """Takes in what a batch asks for, each once; whether a sender has something to look at."""
    asked = [_order(event.data, event.traceparent) for event in events if isinstance(event.data, ModerationRequested)]
    if asked:
        await store.take(tx, asked)
    return bool(asked)


async def claim(
    runtime: Runtime, rules: Rules, *, pace: Callable[[str], float], started: float, limit: int
) -> list[Claim]:
    """Claims what is due in all workspaces and nobody else is looking at; `pace` and `started` as of replies."""
    async with runtime.scan() as tx:
        due = await store.due(tx, limit=limit)
        if not due:
            return []
        await tx.admit(set(due.values()))
        own = await store.load(tx, await store.lock_due(tx, due))
        now = await replies_store.clock(tx)
        token = runtime.ids.new("clm")
        terms = Terms(
            now=now,
            token=token,
            lifetime=rules.lifetime,
            patience=rules.patience,
            lag=lambda network: rules.limits(network).lag,
            pace=pace,
        )
        decision = moderations.decide(own, terms)
        await store.save(tx, decision.changed, decision.due)
        _tell(runtime, tx, decision.changed, now)
        claimed = decision.claimed
        known = await channels.load(tx, {one.channel_id for one in claimed}) if claimed else {}
    # By workspace too: those of a batch see each other's channels.
    by_owner = {(channel.workspace_id, channel.id): channel for channel in known.values()}
    return [
        Claim(moderation=one, channel=by_owner.get((one.workspace_id, one.channel_id)), started=started)
        for one in claimed
    ]


async def record(runtime: Runtime, claimed: Claim, outcome: Outcome, rules: Rules) -> Moderation | None:
    """What the attempt under this claim came to; None when the claim is not the current one any more."""
    item = claimed.moderation.message_id
    async with runtime.batch([claimed.moderation.workspace_id]) as tx:
        await store.lock(tx, item)
        own = {one.id: one for one in await store.load(tx, [item])}
        before = own[claimed.moderation.id]
        if before.claim_token != claimed.moderation.claim_token:
            return None
        now = await replies_store.clock(tx)
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
