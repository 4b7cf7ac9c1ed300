"""Replies at the last hop, each step one transaction: claim what may leave, record what became of it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, Self, TypeVar

import structlog

from services.notifier.domain import claims, replies
from services.notifier.domain.claims import Decision, Terms
from services.notifier.domain.moderation import Moderation
from services.notifier.domain.replies import Answer, Limits, Outcome, Patience, Reply
from services.notifier.settings import NotifierSettings
from services.notifier.store import channels, due
from services.notifier.store import replies as store
from shared.db.transaction import Transaction
from shared.host import Runtime
from shared.networks import registry
from shared.networks.port import Capabilities, NotThere, Sent, Unknown
from shared.platform.models import Channel

Order = TypeVar("Order", Reply, Moderation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Generic[Order]):
    """What this process alone may carry out (or ask about), and since when by its own clock."""

    order: Order
    channel: Channel | None
    started: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a look at the due tickets gave."""

    looked_at: int = 0
    claims: Sequence[Claim[Reply]] = ()
    questions: Sequence[Claim[Reply]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How long to wait for what, from the settings."""

    lifetime: timedelta
    fresh: timedelta
    timeout: timedelta
    patience: Patience

    @classmethod
    def of(cls, settings: NotifierSettings) -> Self:
        """What the settings say."""
        return cls(
            lifetime=timedelta(milliseconds=settings.reply_claim_ms),
            fresh=timedelta(milliseconds=settings.reply_fresh_ms),
            timeout=timedelta(milliseconds=settings.reply_timeout_ms),
            patience=Patience(
                attempts=settings.reply_attempts,
                backoff=timedelta(milliseconds=settings.reply_backoff_ms),
                question_backoff=timedelta(milliseconds=settings.query_backoff_ms),
                questions=settings.query_attempts,
            ),
        )

    def limits(self, network: str) -> Limits:
        """What may be found out about a reply on this network; nothing, where it is not known any more."""
        known = registry.NETWORKS.get(network)
        found = known.capabilities if known else Capabilities()
        return Limits(lag=found.query_lag, can_be_asked=found.query and self.patience.questions > 0)

    def terms(self, *, now: datetime, token: str, pace: Callable[[str], float]) -> Terms:
        """The terms of one look at due tickets."""
        return Terms(
            now=now, token=token, lifetime=self.lifetime, patience=self.patience, limits=self.limits, pace=pace
        )


async def claim(runtime: Runtime, rules: Rules, *, pace: Callable[[str], float], started: float, limit: int) -> Work:
    """Decides about due tickets of all workspaces that no other sender is looking at.

    `pace` says how many seconds a channel must wait; `started` is the sender's own time before any of it.
    """
    async with runtime.scan() as tx:
        locked = await due.lock(tx, "ticket", limit=limit)
        if not locked:
            return Work()
        now = await due.clock(tx)
        terms = rules.terms(now=now, token=runtime.ids.new("clm"), pace=pace)
        decision = await _decide(tx, locked, terms)
        await _write(tx, decision.changed.values(), locked, now=now, release=False)
        sends = await claimed(tx, decision.claimed, started=started)
        questions = await claimed(tx, decision.questions, started=started)
    _count(runtime, decision.changed.values())
    return Work(looked_at=len(locked), claims=sends, questions=questions)


async def claimed(tx: Transaction, orders: Sequence[Order], *, started: float) -> list[Claim[Order]]:
    """What was claimed, each with the channel that it leaves by; None where that is gone."""
    known = await channels.load(tx, {order.channel_id for order in orders})
    # By workspace too: those of a batch see each other's channels.
    return [
        Claim(order=order, channel=known.get((order.workspace_id, order.channel_id)), started=started)
        for order in orders
    ]


async def _decide(tx: Transaction, locked: Sequence[str], terms: Terms) -> Decision:
    own = await store.load(tx, locked)
    turns = {turn_id: reply.workspace_id for reply in own for turn_id in reply.turn_ids}
    answers = await store.lock_turns(tx, turns)
    # Under the turns' locks: nobody can begin to send on one of them until this commits.
    elsewhere = await store.elsewhere(tx, turns, except_of=locked) if turns else []
    return claims.decide(own, elsewhere=elsewhere, answers=answers, terms=terms)


async def record(runtime: Runtime, claim: Claim[Reply], outcome: Outcome, rules: Rules) -> Reply | None:
    """What the attempt under this claim came to; None when the claim is not the current one any more."""
    limits = rules.limits(claim.order.network)

    def conclude(reply: Reply, now: datetime) -> Reply:
        return replies.concluded(reply, outcome, now=now, patience=rules.patience, limits=limits)

    return await _advance(runtime, claim.order, conclude)


async def note(runtime: Runtime, claim: Claim[Reply], finding: Sent | NotThere | Unknown | None) -> Reply | None:
    """What the network said about an unknown reply."""
    return await _advance(runtime, claim.order, lambda reply, _: replies.answered(reply, finding))


async def mark_unauthorized(runtime: Runtime, channel: Channel, reason: str) -> None:
    """Nothing more leaves by this channel until its credentials are changed."""
    async with runtime.transaction(channel.workspace_id) as tx:
        is_marked = await channels.mark_unauthorized(tx, channel, reason)
    if is_marked:
        structlog.get_logger().warning("channel_unauthorized", channel_id=channel.id, reason=reason)


async def _advance(runtime: Runtime, sent: Reply, step: Callable[[Reply, datetime], Reply]) -> Reply | None:
    async with runtime.batch([sent.workspace_id]) as tx:
        locked = await store.lock_tickets(tx, {sent.ticket_id: sent.workspace_id})
        found = {reply.id: reply for reply in await store.load(tx, locked, named=[sent.id])}
        before = found[sent.id]
        if before.claim_token != sent.claim_token:
            return None
        now = await due.clock(tx)
        after = step(before, now)
        await _write(tx, [(before, after)], locked, now=now, release=True)
    _count(runtime, [(before, after)])
    return after


async def _write(
    tx: Transaction, changes: Iterable[tuple[Reply, Reply]], locked: Sequence[str], *, now: datetime, release: bool
) -> None:
    changed = [(before, after) for before, after in changes if before != after]
    await store.save(tx, [after for _, after in changed])
    answers: dict[str, Answer] = {}
    workspaces: dict[str, str] = {}
    for before, after in changed:
        # An echo that came before has given it its place already.
        if after.state == "sent" and before.state != "sent" and after.echo_id is None:
            answers |= dict.fromkeys(after.takes, Answer(id=after.id, author_id=after.author_id, is_told=False))
            workspaces |= dict.fromkeys(after.takes, after.workspace_id)
        if told := replies.news(before, after, at=now):
            tx.traceparent = after.traceparent
            tx.emit(told, key=after.ticket_id)
    await store.answer(tx, answers, workspaces=workspaces)
    await store.refresh(tx, locked, release=release)


def _count(runtime: Runtime, changes: Iterable[tuple[Reply, Reply]]) -> None:
    for before, after in changes:
        if before.state != after.state:
            runtime.metrics.counter("baton_replies_total", state=after.state).inc()
