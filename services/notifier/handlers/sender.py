"""The sender: looks for what is due, claims, sends while the claim is fresh, records. Any number may run."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Final, TypeVar

import structlog

from services.notifier.adapters import networks
from services.notifier.adapters.networks import Prepared, PreparedModeration
from services.notifier.domain.moderation import Moderation
from services.notifier.domain.pacing import Pace
from services.notifier.domain.replies import NotLeft, Outcome, Reply
from services.notifier.handlers import moderations, replies
from services.notifier.handlers.replies import Claim, Rules, Work
from services.notifier.settings import NotifierSettings
from shared import failpoints
from shared.errors import Retryable
from shared.host import Runtime
from shared.networks.port import Failed, Throttled
from shared.platform.models import Channel
from shared.retry import Backoff, retrying
from shared.telemetry import traces

T = TypeVar("T")

_STILL_RECORDING: Final = timedelta(minutes=5)
"""How long an outcome is kept while the database is away; after that the end of the claim has made it unknown."""

_BACKOFF: Final = Backoff(base=timedelta(milliseconds=100), cap=timedelta(seconds=5))
_TOO_OLD: Final = NotLeft(reason="the claim was too old to send under")


class Sender:
    """One per process, for replies and for operations on items, which share the pace of their channels.

    `wake` makes it look at once; else it polls, because other processes take in orders too.
    """

    def __init__(self, runtime: Runtime, settings: NotifierSettings) -> None:
        self._runtime = runtime
        self._settings = settings
        self._rules = Rules.of(settings)
        self._pace = Pace(rate=settings.channel_rate, at_once=settings.channel_concurrency)
        self._stirred = asyncio.Event()
        self._busy = 0
        self._soonest = float("inf")
        self._log = structlog.get_logger()

    def wake(self) -> None:
        """There may be something to do."""
        self._stirred.set()

    async def run(self) -> None:
        """Until the process leaves; what is being sent then is finished and recorded first."""
        failures = 0
        async with asyncio.TaskGroup() as group:
            while not self._runtime.stopping.is_set():
                self._stirred.clear()
                try:
                    is_busy = await self._look(group)
                    failures = 0
                except Exception as error:  # noqa: BLE001 - the loop: whatever it is, replies in flight must finish
                    self._log.warning("reply_claim_failed", error=str(error), exc_info=not isinstance(error, Retryable))
                    await asyncio.sleep(_BACKOFF.delay(failures).total_seconds())
                    failures += 1
                    continue
                if not is_busy:
                    await self._rest()

    async def claim(self, *, limit: int) -> Work:
        """Claims due replies of at most so many tickets; each takes its place on its channel."""
        # Before anything else: by our clock a claim may seem older than it is, and never younger.
        started = self._runtime.clock.elapsed()
        with self._places() as pace:
            return await replies.claim(self._runtime, self._rules, pace=pace, started=started, limit=limit)

    async def claim_moderations(self, *, limit: int) -> list[Claim[Moderation]]:
        """Claims so many due operations on items at most, in the same way."""
        started = self._runtime.clock.elapsed()
        with self._places() as pace:
            return await moderations.claim(self._runtime, self._rules, pace=pace, started=started, limit=limit)

    @contextmanager
    def _places(self) -> Iterator[Callable[[str], float]]:
        """Takes places on channels, and gives them back where nothing comes of it."""
        taken: list[str] = []

        def pace(channel_id: str) -> float:
            wait = self._pace.take(channel_id, self._runtime.clock.elapsed())
            if wait:
                self._soonest = min(self._soonest, wait)
            else:
                taken.append(channel_id)
            return wait

        try:
            yield pace
        except BaseException:
            for channel_id in taken:
                self._pace.give_back(channel_id)
            raise

    async def send(self, claim: Claim[Reply]) -> Reply | None:
        """Sends under a claim, and records what came of it; None when the claim was not the current one any more."""
        with self._under(claim):
            failpoints.hit("reply.claimed")
            prepared = networks.prepare(self._runtime.keyring, claim.channel, claim.order)
            outcome = await self._attempt(claim.started, prepared, at_last=lambda: failpoints.hit("reply.checked"))
        failpoints.hit("reply.sent")
        recorded = await self._surely(lambda: replies.record(self._runtime, claim, outcome, self._rules))
        failpoints.hit("reply.recorded")
        await self._learn(claim.channel, outcome)
        return recorded

    async def moderate(self, claim: Claim[Moderation]) -> Moderation | None:
        """Carries out an operation under a claim, and records what came of it; None as of a reply."""
        with self._under(claim):
            failpoints.hit("moderation.claimed")
            prepared = networks.prepare_moderation(self._runtime.keyring, claim.channel, claim.order)
            outcome = await self._attempt(claim.started, prepared)
        failpoints.hit("moderation.sent")
        recorded = await self._surely(lambda: moderations.record(self._runtime, claim, outcome, self._rules))
        await self._learn(claim.channel, outcome)
        return recorded

    async def ask(self, claim: Claim[Reply]) -> Reply | None:
        """Asks the network about an unknown reply, and settles it where the answer is one."""
        prepared = networks.prepare(self._runtime.keyring, claim.channel, claim.order)
        if isinstance(prepared, Failed):
            return None
        finding = await prepared.ask(self._runtime.egress, within=self._rules.timeout)
        return await self._surely(lambda: replies.note(self._runtime, claim, finding))

    @contextmanager
    def _under(self, claim: Claim[Reply] | Claim[Moderation]) -> Iterator[None]:
        """Within the trace of what was ordered; then its place on the channel is free."""
        try:
            with traces.entered(traces.parse(claim.order.traceparent or "")):
                yield
        finally:
            self._pace.give_back(claim.order.channel_id)

    async def _attempt(
        self,
        started: float,
        prepared: Prepared | PreparedModeration | Failed,
        *,
        at_last: Callable[[], None] = lambda: None,
    ) -> Outcome:
        if isinstance(prepared, Failed):
            return prepared
        request = prepared.request()
        if isinstance(request, Failed):
            return request
        if not self._is_fresh(started):
            return _TOO_OLD
        at_last()
        return await prepared.send(self._runtime.egress, request, within=self._rules.timeout)

    def _is_fresh(self, started: float) -> bool:
        # If we slept, or were slow, the claim may be over, and somebody else may believe what it was for unknown.
        return self._runtime.clock.elapsed() - started <= self._rules.fresh.total_seconds()

    async def _learn(self, channel: Channel | None, outcome: Outcome) -> None:
        """What an answer says of the channel: that it has to pause, or that its credentials no longer work."""
        if channel is None:
            return
        match outcome:
            case Throttled(retry_after=seconds):
                self._pace.block(channel.id, until=self._runtime.clock.elapsed() + seconds)
            case Failed(unauthorized=True, reason=reason):
                await self._surely(lambda: replies.mark_unauthorized(self._runtime, channel, reason))
            case _:
                return

    async def _surely(self, step: Callable[[], Awaitable[T]]) -> T:
        # Not stopped by the process leaving: what left must not become unknown for that.
        return await retrying(step, within=_STILL_RECORDING, stop=asyncio.Event(), backoff=_BACKOFF)

    async def _look(self, group: asyncio.TaskGroup) -> bool:
        """Begins what there is to do; whether there may be more."""
        self._soonest = float("inf")
        work = await self.claim(limit=self._free) if self._free > 0 else Work()
        self._begin(group, self.send, work.claims)
        self._begin(group, self.ask, work.questions)
        claims = await self.claim_moderations(limit=self._free) if self._free > 0 else []
        self._begin(group, self.moderate, claims)
        return bool(work.looked_at or claims)

    @property
    def _free(self) -> int:
        return self._settings.reply_concurrency - self._busy

    def _begin(self, group: asyncio.TaskGroup, step: Callable[[T], Awaitable[object]], claims: Sequence[T]) -> None:
        for claim in claims:
            self._busy += 1
            group.create_task(self._guard(step, claim))

    async def _guard(self, step: Callable[[T], Awaitable[object]], claim: T) -> None:
        done = asyncio.Event()
        try:
            await asyncio.shield(self._whole(step, claim, done))
        except asyncio.CancelledError:
            # The process leaves. Half a send would be unknown, so it gets the time that the process has.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._runtime.settings.shutdown_grace_ms / 1000):
                    await done.wait()
            raise

    async def _whole(self, step: Callable[[T], Awaitable[object]], claim: T, done: asyncio.Event) -> None:
        try:
            await step(claim)
        except Exception:  # noqa: BLE001 - the loop: one claim's trouble is not another's; it ends as unknown
            self._log.exception("reply_step_failed", **_named(claim))
        finally:
            self._busy -= 1
            self._stirred.set()
            done.set()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(min(self._settings.reply_poll_ms / 1000, self._soonest)):
                await self._stirred.wait()
        except TimeoutError:
            return


def _named(claim: object) -> dict[str, str]:
    match claim:
        case Claim(order=Reply() as reply):
            return {"reply_id": reply.id, "ticket_id": reply.ticket_id}
        case Claim(order=Moderation() as moderation):
            return {"moderation_id": moderation.id, "message_id": moderation.message_id}
        case _:
            return {}
