"""One endpoint at work: its own place in the feed, its own window, so that a dead one slows no other."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import msgspec
import structlog

from services.notifier.adapters import webhook
from services.notifier.adapters.webhook import Attempt
from services.notifier.domain import circuit, feed, webhooks
from services.notifier.domain.circuit import Circuit
from services.notifier.domain.endpoints import Endpoint, secret_context
from services.notifier.domain.event_types import FEED_TYPES
from services.notifier.domain.feed import Entry, Filter
from services.notifier.domain.progress import Progress
from services.notifier.domain.webhooks import NO_ANSWER
from services.notifier.handlers.following import Follower, Hub, Told
from services.notifier.settings import NotifierSettings
from services.notifier.store.deliveries import Due, Record
from services.notifier.store.lanes import Lane
from shared import failpoints
from shared.errors import Retryable
from shared.host import Runtime

BUFFER: Final = 256
"""Entries that wait in memory for one endpoint; what comes on top is read again from the feed."""

_PATIENCE: Final = 0.2
"""Seconds after which a lane that may not push looks again whether it may."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, on its way to be recorded."""

    lane: "LaneRun"
    record: Record
    is_new: bool
    """The first attempt, which moves the endpoint's place in the feed."""
    is_gone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What all lanes of a process share."""

    runtime: Runtime
    settings: NotifierSettings
    hub: Hub
    results: "asyncio.Queue[Result]"
    may_push: Callable[[], bool]
    """Whether the lanes are certainly still ours, by our own clock."""


class LaneRun:
    """Pushes entries in order of the feed, several at a time, and retries when they are due."""

    def __init__(self, shop: Workshop, lane: Lane, endpoint: Endpoint, *, taken: Iterable[int]) -> None:
        self._shop = shop
        self._taken = set(taken)
        self._circuit = Circuit(
            circuit.Limits(
                at_once=shop.settings.endpoint_concurrency,
                open_after=shop.settings.endpoint_open_after,
                probe=shop.settings.endpoint_probe_ms / 1000,
            ),
            failures=lane.failures,
        )
        self._schedule = [wait / 1000 for wait in shop.settings.endpoint_retries_ms]
        self._retries: deque[Due] = deque()
        self._retrying: set[int] = set()
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._unrecorded = 0
        self._has_ended = False
        self._settled = asyncio.Event()
        self._version: tuple[int, bool] | None = None
        self.endpoint_id = lane.endpoint_id
        self.workspace_id = lane.workspace_id
        self.progress = Progress(lane.cursor)
        self.written = lane.cursor
        """The cursor as the database has it."""
        self.configure(endpoint)

    def configure(self, endpoint: Endpoint) -> None:
        """Takes what may have changed: the next push goes by it."""
        version = (endpoint.version, endpoint.previous_secret is not None)
        if version == self._version:
            return
        self._version = version
        ring, context = self._shop.runtime.keyring, secret_context(endpoint.id)
        sealed = [secret for secret in (endpoint.secret, endpoint.previous_secret) if secret is not None]
        self._keys = [webhooks.key_of(ring.open_text(secret, context=context)) for secret in sealed]
        self._url = endpoint.url
        self._filter = Filter(
            types=feed.chosen_types(endpoint.event_types, known=FEED_TYPES),
            teams=None if endpoint.teams is None else frozenset(endpoint.teams),
            endpoint=feed.address("endpoint", endpoint.id),
        )

    def room(self) -> int:
        """How many more retries it can keep in mind."""
        return max(0, self._shop.settings.endpoint_concurrency - len(self._retries))

    def retry(self, due: Iterable[Due]) -> None:
        """These are due again."""
        for each in due:
            if each.entry.number not in self._retrying:
                self._retrying.add(each.entry.number)
                self._retries.append(each)
        self._changed.set()

    def stop(self) -> None:
        """Begins no more pushes."""
        self._stopping.set()

    async def settled(self) -> None:
        """Returns once it has stopped and everything it pushed is recorded."""
        await self._settled.wait()

    def recorded(self, result: Result) -> None:
        """The attempt is committed."""
        self._retrying.discard(result.record.entry.number)
        self._unrecorded -= 1
        self._settle()

    async def run(self) -> None:
        """Until stopped; what is under way then is finished."""
        try:
            with self._shop.hub.following(self.workspace_id, after=self.progress.cursor, buffer=BUFFER) as follower:
                async with asyncio.TaskGroup() as group:
                    loops = [group.create_task(self._pull(follower, group)), group.create_task(self._repeat(group))]
                    await self._stopping.wait()
                    for loop in loops:
                        loop.cancel()
        finally:
            self._has_ended = True
            self._settle()

    def _settle(self) -> None:
        if self._has_ended and not self._unrecorded:
            self._settled.set()

    async def _pull(self, follower: Follower, group: asyncio.TaskGroup) -> None:
        while not follower.is_closed:
            try:
                items = await follower.take()
            except Retryable:
                await asyncio.sleep(_PATIENCE)
                continue
            for item in items:
                if isinstance(item, Told):
                    await self._offer(item, group)

    async def _offer(self, item: Told, group: asyncio.TaskGroup) -> None:
        entry = self._filter.shown(item.entry)
        if entry is None or entry.number in self._taken:
            self._taken.discard(item.entry.number)
            self.progress.skip(item.entry.number)
            return
        body = item.body if entry is item.entry else feed.body(entry)
        await self._admitted()
        self.progress.begin(entry.number)
        self._unrecorded += 1
        group.create_task(self._push(entry, body, attempts=0, is_new=True))

    async def _repeat(self, group: asyncio.TaskGroup) -> None:
        while True:
            while not self._retries:
                self._changed.clear()
                await self._changed.wait()
            await self._admitted()
            due = self._retries.popleft()
            self._unrecorded += 1
            # What it may not see, or not any more, it is not told however often that was tried before.
            entry = due.entry if self._filter.reaches(due.entry.team, due.entry.owner) else feed.farewell(due.entry)
            body = feed.body(entry)
            group.create_task(self._push(entry, body, attempts=due.attempts, is_new=False))

    async def _admitted(self) -> None:
        """Waits until one more may be pushed, and counts it."""
        while True:
            wait = self._circuit.wait(self._shop.runtime.clock.elapsed())
            if not self._shop.may_push():
                wait = max(wait or 0.0, _PATIENCE)
            if wait == 0:
                self._circuit.begin()
                return
            self._changed.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _push(self, entry: Entry, body: bytes, *, attempts: int, is_new: bool) -> None:
        try:
            result = await self._attempt(entry, body, attempts=attempts, is_new=is_new)
            await self._shop.results.put(result)
        except BaseException:
            # Nobody will record it, so nobody may wait for that.
            self._unrecorded -= 1
            raise

    async def _attempt(self, entry: Entry, body: bytes, *, attempts: int, is_new: bool) -> Result:
        failpoints.hit("delivery.claimed")
        clock = self._shop.runtime.clock
        at = clock.now()
        try:
            attempt = await webhook.push(
                self._shop.runtime.egress,
                self._url,
                message_id=entry.event_id,
                body=body,
                keys=self._keys,
                at=at,
                within=timedelta(milliseconds=self._shop.settings.endpoint_timeout_ms),
            )
        except asyncio.CancelledError:
            self._circuit.abandoned()
            raise
        except Exception:  # noqa: BLE001 - one endpoint's trouble is not another's
            structlog.get_logger().exception("push_failed", endpoint_id=self.endpoint_id, event_id=entry.event_id)
            attempt = Attempt(verdict=NO_ANSWER, milliseconds=0.0, error="internal error")
        failpoints.hit("delivery.sent")
        self._learn(attempt, clock.elapsed())
        record = self._record(entry, attempt, attempts=attempts + 1, log=attempt.log(at))
        return Result(lane=self, record=record, is_new=is_new, is_gone=attempt.verdict.is_gone)

    def _learn(self, attempt: Attempt, now: float) -> None:
        if attempt.verdict.is_delivered:
            self._circuit.succeeded()
        else:
            self._circuit.failed(now, pause=attempt.verdict.pause, chance=random.random())  # noqa: S311 - jitter
        if attempt.verdict.is_gone:
            self.stop()
        self._changed.set()

    def _record(self, entry: Entry, attempt: Attempt, *, attempts: int, log: Mapping[str, object]) -> Record:
        verdict = attempt.verdict
        wait = None
        if not verdict.is_delivered and not verdict.is_gone:
            wait = webhooks.next_wait(
                attempts,
                self._schedule,
                retry_after=verdict.retry_after,
                chance=random.random(),  # noqa: S311 - jitter
            )
        return Record(
            endpoint_id=self.endpoint_id,
            entry=entry,
            state="delivered" if verdict.is_delivered else "failed" if wait is None else "waiting",
            attempts=attempts,
            log=log,
            wait=wait,
        )
