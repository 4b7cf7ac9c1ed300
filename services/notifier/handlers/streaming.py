"""The live stream of one client: what it may see and wants to see, resumed exactly where it was."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from services.notifier.adapters import sse
from services.notifier.domain import feed
from services.notifier.domain.feed import Filter
from services.notifier.handlers.following import Follower, Hub, Told, batches
from services.notifier.settings import NotifierSettings
from services.notifier.store import feed as store
from shared.errors import RateLimited, Retryable, Unauthorized, Unavailable
from shared.events.deliveries import PresenceChanged
from shared.host import Runtime

PRESENCE_TYPE: Final = "presence.changed.v1"
CLIENTS_PER_KEY: Final = 50

RECHECK_SECONDS: Final = 30.0
"""A key that was revoked loses its streams so soon."""

Recheck = Callable[[], Coroutine[Any, Any, object]]
"""Raises Unauthorized once the client's key is no longer good."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a stream begins; `lost` says why it could not resume where the client wanted."""

    cursor: int
    lost: str | None = None


def start(after: int | None, *, first: int, last: int) -> Start:
    """From behind `after`, if that is still kept; else from now on, and the client is told to look anew."""
    if after is None:
        return Start(last)
    if after > last:
        return Start(last, "ahead")
    if after < first - 1:
        return Start(last, "expired")
    return Start(after)


class Streams:
    """All live streams of a process."""

    def __init__(self, runtime: Runtime, settings: NotifierSettings, hub: Hub) -> None:
        self._runtime = runtime
        self._settings = settings
        self._hub = hub
        self._clients: dict[str, int] = {}

    async def open(
        self, workspace_id: str, *, key_id: str, after: int | None, chosen: Filter, recheck: Recheck
    ) -> sse.EventStream:
        """A stream from behind `after`, or from now on."""
        self._admit(key_id)
        async with self._runtime.transaction(workspace_id) as tx:
            first, last = await store.bounds(tx, workspace_id)
        begin = start(after, first=first, last=last)
        chunks = self._chunks(workspace_id, key_id=key_id, begin=begin, chosen=chosen, recheck=recheck)
        return sse.EventStream(chunks, patience=self._settings.stream_send_ms / 1000)

    def _admit(self, key_id: str) -> None:
        if self._runtime.stopping.is_set():
            raise Unavailable("the process is leaving: connect again", headers={"Retry-After": "1"})
        if sum(self._clients.values()) >= self._settings.stream_clients:
            raise Unavailable("too many streams are open here", headers={"Retry-After": "5"})
        if self._clients.get(key_id, 0) >= CLIENTS_PER_KEY:
            raise RateLimited(f"one key may open {CLIENTS_PER_KEY} streams", headers={"Retry-After": "5"})

    async def _chunks(
        self, workspace_id: str, *, key_id: str, begin: Start, chosen: Filter, recheck: Recheck
    ) -> AsyncIterator[bytes]:
        following = self._hub.following(
            workspace_id, after=begin.cursor, buffer=self._settings.stream_buffer, presence=True
        )
        with self._counted(key_id), following as follower:
            yield sse.retry(self._settings.stream_retry_ms)
            if begin.lost:
                yield sse.notice("resync", {"reason": begin.lost, "sequence": begin.cursor})
            yield sse.notice("ready", {"sequence": begin.cursor}, number=begin.cursor)
            try:
                async for chunk in self._live(follower, chosen, recheck):
                    yield chunk
            except (Retryable, Unauthorized):
                # The client comes back, and is answered then: by another process, or with a refusal.
                return

    async def _live(self, follower: Follower, chosen: Filter, recheck: Recheck) -> AsyncIterator[bytes]:
        clock = self._runtime.clock
        checked, sent = clock.elapsed(), follower.cursor
        async for items in batches(follower, silence=self._settings.stream_heartbeat_ms / 1000):
            if follower.fell_behind:
                yield sse.notice("resync", {"reason": "slow", "sequence": sent})
                return
            if clock.elapsed() - checked > RECHECK_SECONDS:
                await recheck()
                checked = clock.elapsed()
            chunk = sse.heartbeat(follower.cursor) if items is None else _render(items, chosen)
            sent = follower.cursor
            if chunk:
                yield chunk

    @contextmanager
    def _counted(self, key_id: str) -> Iterator[None]:
        gauge = self._runtime.metrics.gauge("baton_stream_clients")
        self._clients[key_id] = self._clients.get(key_id, 0) + 1
        gauge.inc()
        try:
            yield
        finally:
            gauge.dec()
            self._clients[key_id] -= 1
            if not self._clients[key_id]:
                del self._clients[key_id]


def _render(items: Sequence[Told | PresenceChanged], chosen: Filter) -> bytes:
    parts: list[bytes] = []
    for item in items:
        if isinstance(item, Told):
            shown = chosen.shown(item.entry)
            if shown is not None:
                body = item.body if shown is item.entry else feed.body(shown)
                parts.append(sse.event(shown.type, body, number=shown.number))
        elif chosen.passes(type_name=PRESENCE_TYPE, team=item.team, owner=item.owner):
            parts.append(sse.notice(PRESENCE_TYPE, item))
    return b"".join(parts)
