"""Keeping what was pushed: attempts of all endpoints together, in as few transactions as their pace allows."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Final, Literal

import msgspec
import structlog

from services.notifier.domain.event_types import DISABLED, EndpointDisabled
from services.notifier.domain.feed import Entry, Fact
from services.notifier.handlers.lanes import LaneRun, Result
from services.notifier.settings import NotifierSettings
from services.notifier.store import deliveries, endpoints
from services.notifier.store import feed as feed_store
from services.notifier.store.deliveries import Advance
from shared.db.transaction import Transaction
from shared.errors import Retryable
from shared.host import Runtime
from shared.retry import Backoff

AT_ONCE: Final = 1_000
LINGER: Final = 0.01
"""Seconds that the first result of a batch waits for others: nobody waits for what is recorded."""

IDLE: Final = 1.0
"""Seconds after which the place of lanes is written that only had to pass entries over."""

_BACKOFF: Final = Backoff(base=timedelta(milliseconds=100), cap=timedelta(seconds=5))


class Recorder:
    """Writes what the queue brings; `held` gives the lanes, `disabled` hears that some were shut."""

    def __init__(
        self,
        runtime: Runtime,
        settings: NotifierSettings,
        *,
        results: "asyncio.Queue[Result]",
        owner: str,
        lock: asyncio.Lock,
        held: Callable[[], Iterable[LaneRun]],
        disabled: Callable[[Sequence[Entry]], None],
    ) -> None:
        self._runtime = runtime
        self._hopeless_after = timedelta(milliseconds=settings.endpoint_disable_ms)
        self._results = results
        self._owner = owner
        self._lock = lock
        self._held = held
        self._disabled = disabled
        self._left_over: list[Result] = []
        self._looked_at = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            batch = await self._batch()
            moved = self._moved()
            if batch or moved:
                await self._keep(batch, moved)

    def _moved(self) -> list[LaneRun]:
        """From time to time, the lanes that got on: those that had nothing to push, too."""
        now = self._runtime.clock.elapsed()
        if now - self._looked_at < IDLE:
            return []
        self._looked_at = now
        return [lane for lane in self._held() if lane.progress.cursor > lane.written]

    async def _batch(self) -> list[Result]:
        waiting, self._left_over = self._left_over, []
        if not waiting:
            try:
                async with asyncio.timeout(IDLE):
                    waiting.append(await self._results.get())
            except TimeoutError:
                return []
            if self._results.qsize() < AT_ONCE:
                await asyncio.sleep(LINGER)
        while len(waiting) < AT_ONCE and not self._results.empty():
            waiting.append(self._results.get_nowait())
        batch: dict[tuple[str, int], Result] = {}
        for result in waiting:
            key = (result.record.endpoint_id, result.record.entry.number)
            if key in batch:
                # One statement can write a row once: a resend that ended at the same time comes next.
                self._left_over.append(result)
            else:
                batch[key] = result
        return list(batch.values())

    async def _keep(self, batch: Sequence[Result], moved: Iterable[LaneRun]) -> None:
        for result in batch:
            if result.is_new:
                result.lane.progress.end(result.record.entry.number)
        failures = 0
        while True:
            try:
                shut = await self._write(batch, moved)
                break
            except Retryable as error:
                # Never given up: a failed push that is forgotten would never be tried again.
                structlog.get_logger().warning("deliveries_wait", reason=str(error), results=len(batch))
                await asyncio.sleep(_BACKOFF.delay(failures).total_seconds())
                failures += 1
        for result in batch:
            result.lane.recorded(result)
        for state, count in Counter(result.record.state for result in batch).items():
            self._runtime.metrics.counter("baton_deliveries_total", outcome=state).inc(count)
        if shut:
            self._disabled(shut)

    async def _write(self, batch: Sequence[Result], moved: Iterable[LaneRun]) -> Sequence[Entry]:
        advances = _advances(batch, moved)
        runs = {result.lane.endpoint_id: result.lane for result in batch} | {lane.endpoint_id: lane for lane in moved}
        workspaces = {run.workspace_id for run in runs.values()}
        async with self._lock, self._runtime.batch(list(workspaces)) as tx:
            await deliveries.record(tx, [result.record for result in batch])
            hopeless = await deliveries.advance(tx, advances, owner=self._owner, hopeless_after=self._hopeless_after)
            gone = {result.record.endpoint_id for result in batch if result.is_gone}
            shut = await self._shut(tx, gone, "gone") if gone else []
            if failing := set(hopeless) - gone:
                shut += await self._shut(tx, failing, "failing")
        for advance in advances:
            runs[advance.endpoint_id].written = advance.cursor
        return shut

    async def _shut(
        self, tx: Transaction, endpoint_ids: Iterable[str], reason: Literal["gone", "failing"]
    ) -> list[Entry]:
        now = await tx.now()
        changed = await endpoints.switch(tx, list(endpoint_ids), "disabled", reason=reason)
        facts = [
            Fact(
                workspace_id=endpoint.workspace_id,
                event_id=self._runtime.ids.new("evt"),
                type=DISABLED,
                ticket_id=None,
                team=None,
                owner=None,
                at=now,
                data=msgspec.json.encode(
                    EndpointDisabled(
                        workspace_id=endpoint.workspace_id, endpoint_id=endpoint.id, url=endpoint.url, reason=reason
                    )
                ),
            )
            for endpoint in changed
        ]
        for endpoint in changed:
            structlog.get_logger().warning("endpoint_disabled", endpoint_id=endpoint.id, reason=reason)
        return await feed_store.append(tx, facts) if facts else []


def _advances(batch: Sequence[Result], moved: Iterable[LaneRun]) -> list[Advance]:
    lanes = {lane.endpoint_id: lane for lane in moved}
    failed: Counter[str] = Counter()
    taken: set[str] = set()
    for result in batch:
        endpoint_id = result.record.endpoint_id
        lanes[endpoint_id] = result.lane
        if result.record.state == "delivered":
            taken.add(endpoint_id)
        else:
            failed[endpoint_id] += 1
    return [
        Advance(
            endpoint_id=endpoint_id,
            cursor=lanes[endpoint_id].progress.cursor,
            ok=endpoint_id in taken,
            failed=failed[endpoint_id],
        )
        for endpoint_id in sorted(lanes)
    ]
