"""Everything that is pushed by this process: which endpoints are its own, and a lane for each of them."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog

from services.notifier.domain.endpoints import Endpoint
from services.notifier.domain.feed import Entry
from services.notifier.handlers.following import Hub
from services.notifier.handlers.lanes import LaneRun, Result, Workshop
from services.notifier.handlers.recording import Recorder
from services.notifier.settings import NotifierSettings
from services.notifier.store import deliveries, endpoints, lanes
from services.notifier.store.deliveries import Due
from services.notifier.store.lanes import Lane
from shared.errors import BatonError, Retryable
from shared.host import Runtime

_SAFELY: Final = 0.8
"""Of a lane's lifetime, by our own clock, is used: the database's may run a little faster."""

_QUEUE: Final = 5_000


class Deliverer:
    """Holds lanes, renews them, looks for retries and changes. `wake` makes it look at once."""

    def __init__(self, runtime: Runtime, settings: NotifierSettings, hub: Hub) -> None:
        self._runtime = runtime
        self._settings = settings
        self._id = runtime.ids.new("wrk")
        self._lifetime = timedelta(milliseconds=settings.lane_ttl_ms)
        self._good_until = 0.0
        self._hub = hub
        self._runs: dict[str, LaneRun] = {}
        self._retiring: dict[str, asyncio.Task[None]] = {}
        # Renewing and recording write the same rows: one after the other, they cannot wait for each other in a circle.
        self._lock = asyncio.Lock()
        self._stirred = asyncio.Event()
        self._results: asyncio.Queue[Result] = asyncio.Queue(_QUEUE)
        self._shop = Workshop(
            runtime=runtime, settings=settings, hub=hub, results=self._results, may_push=self._may_push
        )
        self._recorder = Recorder(
            runtime,
            settings,
            results=self._results,
            owner=self._id,
            lock=self._lock,
            held=self._runs.values,
            disabled=self._heard,
        )

    def wake(self) -> None:
        """An endpoint was made or changed, or something is due at once."""
        self._stirred.set()

    async def run(self) -> None:
        """Until the process leaves; then what is under way is finished, and the lanes are given up."""
        async with asyncio.TaskGroup() as group:
            recording = group.create_task(self._recorder.run())
            while not self._runtime.stopping.is_set():
                self._stirred.clear()
                try:
                    await self._refresh(group)
                except Retryable as error:
                    structlog.get_logger().warning("endpoints_wait", reason=str(error))
                await self._rest()
            await self._leave()
            recording.cancel()

    def _may_push(self) -> bool:
        return self._runtime.clock.elapsed() < self._good_until

    def _heard(self, entries: Sequence[Entry]) -> None:
        self._hub.offer(entries)
        self.wake()

    async def _refresh(self, group: asyncio.TaskGroup) -> None:
        started = self._runtime.clock.elapsed()
        async with self._lock, self._runtime.scan() as tx:
            held, share = await lanes.hold(tx, self._id, lifetime=self._lifetime)
            own = held[:share]
            loaded: dict[str, Endpoint] = {}
            taken: dict[str, set[int]] = {}
            due: list[Due] = []
            if own:
                await tx.admit({lane.workspace_id for lane in own})
                loaded = await endpoints.load(tx, [lane.endpoint_id for lane in own])
                taken = await deliveries.taken(
                    tx, [lane.endpoint_id for lane in own if lane.endpoint_id not in self._runs]
                )
                due = await deliveries.due(tx, self._room(own))
        self._good_until = started + self._lifetime.total_seconds() * _SAFELY
        self._stop_others(group, own, excess={lane.endpoint_id for lane in held[share:]})
        self._arrange(group, own, loaded, taken)
        self._hand_over(due)

    def _room(self, own: Sequence[Lane]) -> dict[str, int]:
        rooms = {lane.endpoint_id: run.room() if (run := self._runs.get(lane.endpoint_id)) else 1 for lane in own}
        return {endpoint_id: room for endpoint_id, room in rooms.items() if room}

    def _arrange(
        self,
        group: asyncio.TaskGroup,
        own: Sequence[Lane],
        loaded: dict[str, Endpoint],
        taken: dict[str, set[int]],
    ) -> None:
        """Starts lanes that are new, tells the others what changed."""
        for lane in own:
            endpoint = loaded.get(lane.endpoint_id)
            if endpoint is None or lane.endpoint_id in self._retiring:
                continue
            try:
                if run := self._runs.get(lane.endpoint_id):
                    run.configure(endpoint)
                else:
                    run = LaneRun(self._shop, lane, endpoint, taken=taken.get(lane.endpoint_id, ()))
                    self._runs[lane.endpoint_id] = run
                    group.create_task(self._guard(run))
            except (BatonError, ValueError):
                # A secret that cannot be opened stops its endpoint, and no other.
                structlog.get_logger().exception("endpoint_unusable", endpoint_id=lane.endpoint_id)

    def _hand_over(self, due: Sequence[Due]) -> None:
        by_endpoint: dict[str, list[Due]] = {}
        for each in due:
            by_endpoint.setdefault(each.endpoint_id, []).append(each)
        for endpoint_id, retries in by_endpoint.items():
            if run := self._runs.get(endpoint_id):
                run.retry(retries)

    def _stop_others(self, group: asyncio.TaskGroup, own: Sequence[Lane], *, excess: set[str]) -> None:
        """Ends lanes that are not ours any more, and gives those up that are beyond our share."""
        ours = {lane.endpoint_id for lane in own}
        for endpoint_id in (self._runs.keys() | excess) - ours - self._retiring.keys():
            run = self._runs.pop(endpoint_id, None)
            ending = self._end(endpoint_id, run, releases=endpoint_id in excess)
            self._retiring[endpoint_id] = group.create_task(ending)

    async def _end(self, endpoint_id: str, run: LaneRun | None, *, releases: bool) -> None:
        if run is not None:
            run.stop()
            await run.settled()
        if releases:
            with contextlib.suppress(Retryable):
                # If it fails, the next look finds the lane to be ours, and beyond our share, again.
                async with self._lock, self._runtime.scan() as tx:
                    await lanes.release(tx, self._id, [endpoint_id])
        del self._retiring[endpoint_id]

    async def _guard(self, run: LaneRun) -> None:
        try:
            await run.run()
        except Exception:  # noqa: BLE001 - one endpoint's trouble is not another's: it is begun again
            structlog.get_logger().exception("lane_failed", endpoint_id=run.endpoint_id)
            if self._runs.get(run.endpoint_id) is run:
                del self._runs[run.endpoint_id]

    async def _leave(self) -> None:
        for run in self._runs.values():
            run.stop()
        for run in tuple(self._runs.values()):
            await run.settled()
        # What they pushed is not settled before it is recorded, and the recorder ends behind us.
        for ending in tuple(self._retiring.values()):
            await ending
        async with self._lock, self._runtime.scan() as tx:
            await lanes.release(tx, self._id, list(self._runs))
            await lanes.leave(tx, self._id)

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._settings.lane_refresh_ms / 1000):
                await self._stirred.wait()
        except TimeoutError:
            return
