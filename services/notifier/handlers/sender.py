"""The sender: looks for due replies, claims, sends while the claim is fresh, records. Any number may run."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import structlog

from services.notifier.adapters import networks
from services.notifier.domain.pacing import Pace
from services.notifier.domain.replies import NotLeft, Outcome, Reply
from services.notifier.handlers import replies
from services.notifier.handlers.replies import Claim, Rules, Work
from services.notifier.settings import NotifierSettings
from shared import failpoints
from shared.errors import Retryable
from shared.host import Runtime
from shared.networks.port import Failed, Throttled
from shared.retry import Backoff, retrying
from shared.telemetry import traces

_STILL_RECORDING: Final = timedelta(minutes=5)
"""How long an outcome is kept while the database is away; after that the end of the claim has made it unknown."""

_BACKOFF: Final = Backoff(base=timedelta(milliseconds=100), cap=timedelta(seconds=5))


class Sender:
    """One per process. `wake` makes it look at once; else it polls, because other processes queue replies too."""

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
                    work = await self._look()
                    failures = 0
                except Exception as error:  # noqa: BLE001 - the loop: whatever it is, replies in flight must finish
                    self._log.warning("reply_claim_failed", error=str(error), exc_info=not isinstance(error, Retryable))
                    await asyncio.sleep(_BACKOFF.delay(failures).total_seconds())
                    failures += 1
                    continue
                self._begin(group, work)
                if not work.looked_at:
                    await self._rest()

    async def claim(self, *, limit: int) -> Work:
        """Claims due replies of at most so many tickets; each takes its place on its channel."""
        taken: list[str] = []
        self._soonest = float("inf")
        # Before anything else: by our clock a claim may seem older than it is, and never younger.
        started = self._runtime.clock.elapsed()

        def pace(channel_id: str) -> float:
            wait = self._pace.take(channel_id, self._runtime.clock.elapsed())
            if wait:
                self._soonest = min(self._soonest, wait)
            else:
                taken.append(channel_id)
            return wait

        try:
            return await replies.claim(self._runtime, self._rules, pace=pace, started=started, limit=limit)
        except BaseException:
            for channel_id in taken:
                self._pace.give_back(channel_id)
            raise

    async def send(self, claim: Claim) -> Reply | None:
        """Sends under a claim, and records what came of it; None when the claim was not the current one any more."""
        try:
            with traces.entered(traces.parse(claim.reply.traceparent or "")):
                outcome = await self._attempt(claim)
        finally:
            self._pace.give_back(claim.reply.channel_id)
        failpoints.hit("reply.sent")
        recorded = await self._surely(lambda: replies.record(self._runtime, claim, outcome, self._rules))
        failpoints.hit("reply.recorded")
        match outcome:
            case Throttled(retry_after=seconds):
                self._pace.block(claim.reply.channel_id, until=self._runtime.clock.elapsed() + seconds)
            case Failed(unauthorized=True, reason=reason):
                await self._surely(lambda: replies.mark_unauthorized(self._runtime, claim, reason))
            case _:
                pass
        return recorded

    async def ask(self, claim: Claim) -> Reply | None:
        """Asks the network about an unknown reply, and settles it where the answer is one."""
        prepared = networks.prepare(self._runtime.keyring, claim.channel, claim.reply)
        if isinstance(prepared, Failed):
            return None
        finding = await prepared.ask(self._runtime.egress, within=self._rules.timeout)
        return await self._surely(lambda: replies.note(self._runtime, claim, finding))

    async def _attempt(self, claim: Claim) -> Outcome:
        failpoints.hit("reply.claimed")
        prepared = networks.prepare(self._runtime.keyring, claim.channel, claim.reply)
        if isinstance(prepared, Failed):
            return prepared
        request = prepared.request()
        if isinstance(request, Failed):
            return request
        if self._runtime.clock.elapsed() - claim.started > self._rules.fresh.total_seconds():
            # We slept, or were slow: the claim may be over, and somebody else may believe it unknown.
            return NotLeft(reason="the claim was too old to send under")
        failpoints.hit("reply.checked")
        return await prepared.send(self._runtime.egress, request, within=self._rules.timeout)

    async def _surely(self, step: Callable[[], Awaitable[Reply | None]]) -> Reply | None:
        # Not stopped by the process leaving: what left must not become unknown for that.
        return await retrying(step, within=_STILL_RECORDING, stop=asyncio.Event(), backoff=_BACKOFF)

    async def _look(self) -> Work:
        free = self._settings.reply_concurrency - self._busy
        return await self.claim(limit=free) if free > 0 else Work()

    def _begin(self, group: asyncio.TaskGroup, work: Work) -> None:
        for claim in work.claims:
            self._busy += 1
            group.create_task(self._guard(self.send, claim))
        for claim in work.questions:
            self._busy += 1
            group.create_task(self._guard(self.ask, claim))

    async def _guard(self, step: Callable[[Claim], Awaitable[Reply | None]], claim: Claim) -> None:
        done = asyncio.Event()
        try:
            await asyncio.shield(self._whole(step, claim, done))
        except asyncio.CancelledError:
            # The process leaves. Half a send would be unknown, so it gets the time that the process has.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._runtime.settings.shutdown_grace_ms / 1000):
                    await done.wait()
            raise

    async def _whole(self, step: Callable[[Claim], Awaitable[Reply | None]], claim: Claim, done: asyncio.Event) -> None:
        try:
            await step(claim)
        except Exception:  # noqa: BLE001 - the loop: one reply's trouble is not another's; its claim ends as unknown
            self._log.exception("reply_step_failed", reply_id=claim.reply.id, ticket_id=claim.reply.ticket_id)
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
