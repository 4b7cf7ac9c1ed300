"""Following the feed: one reader per process hands every new entry to all who follow, in order and without gaps."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

from services.notifier.domain import feed
from services.notifier.domain.feed import Entry
from services.notifier.settings import NotifierSettings
from services.notifier.store import feed as store
from shared.errors import Rejected, Retryable
from shared.events import envelope
from shared.events.catalogue import PRESENCE
from shared.events.deliveries import PresenceChanged
from shared.host import Runtime
from shared.log.background import persevering
from shared.log.port import Gap


class Told:
    """An entry on its way to many: its bytes are made once."""

    __slots__ = ("_body", "entry")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self._body: bytes | None = None

    @property
    def body(self) -> bytes:
        """The JSON that everybody gets."""
        if self._body is None:
            self._body = feed.body(self.entry)
        return self._body


class Follower:
    """One reader of one workspace's feed: pages from the database until it has caught up, then what comes live."""

    def __init__(self, hub: "Hub", workspace_id: str, *, after: int, buffer: int, presence: bool) -> None:
        self._hub = hub
        self._buffer = buffer
        self._waiting: deque[Told | PresenceChanged] = deque()
        self._stirred = asyncio.Event()
        self._is_live = False
        self.workspace_id = workspace_id
        self.cursor = after
        """Everything up to this number was taken."""
        self.wants_presence = presence
        self.is_closed = False
        self.fell_behind = False
        """So much came at once that it left the live feed; what it missed is read from the database again."""

    async def take(self) -> Sequence[Told | PresenceChanged]:
        """What comes next; waits for it. Empty once the process leaves. A cancelled call has taken nothing."""
        while not self.is_closed:
            if self._waiting:
                return self._taken()
            if self._is_live:
                self._stirred.clear()
                await self._stirred.wait()
                continue
            page = await self._hub.page(self.workspace_id, self.cursor)
            if page:
                self.cursor = page[-1].number
                return [Told(entry) for entry in page]
            self._is_live = self._hub.join(self)
        return ()

    def put(self, items: Sequence[Told]) -> None:
        """New entries, in order; those it has read already are left out."""
        fresh = [item for item in items if item.entry.number > self.cursor]
        if len(self._waiting) + len(fresh) > self._buffer:
            self.fell_behind = True
            self._is_live = False
            self._waiting.clear()
            self._hub.part(self)
        else:
            self._waiting.extend(fresh)
        self._stirred.set()

    def put_presence(self, change: PresenceChanged) -> None:
        """Advisory: left out where there is no room."""
        if len(self._waiting) < self._buffer:
            self._waiting.append(change)
            self._stirred.set()

    def close(self) -> None:
        """Whoever takes gets nothing more."""
        self.is_closed = True
        self._stirred.set()

    def _taken(self) -> list[Told | PresenceChanged]:
        items = list(self._waiting)
        self._waiting.clear()
        self.cursor = max((item.entry.number for item in items if isinstance(item, Told)), default=self.cursor)
        return items


class _Room:
    """The followers of one workspace, and up to which number they were given everything."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.followers: set[Follower] = set()

    def push(self, entries: Sequence[Entry]) -> bool:
        """Hands on what is new; False if something before it is missing, which must be read first."""
        fresh = [entry for entry in entries if entry.number > self.last]
        if not fresh:
            return True
        if fresh[0].number != self.last + 1:
            return False
        self.last = fresh[-1].number
        items = [Told(entry) for entry in fresh]
        for follower in tuple(self.followers):
            follower.put(items)
        return True


class Hub:
    """All followers of a process. `offer` is the fast way for what this process committed; reading is the truth."""

    def __init__(self, runtime: Runtime, settings: NotifierSettings) -> None:
        self._runtime = runtime
        self._page = settings.feed_page
        self._poll = settings.feed_poll_ms / 1000
        self._rooms: dict[str, _Room] = {}
        self._stale: set[str] = set()
        self._stirred = asyncio.Event()
        self._followers: set[Follower] = set()

    @contextmanager
    def following(self, workspace_id: str, *, after: int, buffer: int, presence: bool = False) -> Iterator[Follower]:
        """A follower from behind `after`."""
        follower = Follower(self, workspace_id, after=after, buffer=buffer, presence=presence)
        self._followers.add(follower)
        if self._runtime.stopping.is_set():
            follower.close()
        try:
            yield follower
        finally:
            self._followers.discard(follower)
            self.part(follower)

    def offer(self, entries: Sequence[Entry]) -> None:
        """Entries that were just committed here."""
        for workspace_id, group in groupby(entries, key=lambda entry: entry.workspace_id):
            room = self._rooms.get(workspace_id)
            if room is not None and not room.push(list(group)):
                # Another process numbered what comes before: it is committed, or these could not be.
                self._stale.add(workspace_id)
                self._stirred.set()

    async def page(self, workspace_id: str, after: int) -> list[Entry]:
        """A page from the database."""
        async with self._runtime.batch([workspace_id]) as tx:
            return await store.read(tx, {workspace_id: after}, limit=self._page)

    def join(self, follower: Follower) -> bool:
        """Takes a follower into the live feed, if it has read as far as the others have."""
        room = self._rooms.get(follower.workspace_id)
        if room is None:
            room = self._rooms[follower.workspace_id] = _Room(follower.cursor)
        if room.last > follower.cursor:
            return False
        room.followers.add(follower)
        return True

    def part(self, follower: Follower) -> None:
        """The follower leaves the live feed."""
        room = self._rooms.get(follower.workspace_id)
        if room is None:
            return
        room.followers.discard(follower)
        if not room.followers:
            del self._rooms[follower.workspace_id]
            self._stale.discard(follower.workspace_id)

    async def run(self) -> None:
        """Reads for all followers until the process leaves; then they are closed."""
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._read())
            # A log that is away delays presence; it does not stop the feed.
            hearing = group.create_task(persevering(self._hear_presence))
            await self._runtime.stopping.wait()
            for follower in tuple(self._followers):
                follower.close()
            reading.cancel()
            hearing.cancel()

    async def _read(self) -> None:
        while True:
            self._stirred.clear()
            wanted = {name for name in self._stale if name in self._rooms} or set(self._rooms)
            self._stale.clear()
            is_more = bool(wanted) and await self._read_once(wanted)
            if is_more:
                continue
            try:
                async with asyncio.timeout(self._poll):
                    await self._stirred.wait()
            except TimeoutError:
                continue

    async def _read_once(self, workspaces: Iterable[str]) -> bool:
        try:
            async with self._runtime.batch(list(workspaces)) as tx:
                last = await store.last(tx, list(workspaces))
                behind = {
                    name: room.last for name in last if (room := self._rooms.get(name)) and room.last < last[name]
                }
                entries = await store.read(tx, behind, limit=self._page) if behind else []
        except Retryable:
            await asyncio.sleep(self._poll)
            return False
        counts: dict[str, int] = {}
        for name, group in groupby(entries, key=lambda entry: entry.workspace_id):
            page = list(group)
            counts[name] = len(page)
            if room := self._rooms.get(name):
                room.push(page)
        return any(count >= self._page for count in counts.values())

    async def _hear_presence(self) -> None:
        async with self._runtime.log.tail([PRESENCE]) as records:
            async for record in records:
                if isinstance(record, Gap):
                    continue
                workspace = envelope.header(record.headers, "ce_workspaceid")
                room = self._rooms.get(workspace or "")
                listeners = [follower for follower in room.followers if follower.wants_presence] if room else []
                if not listeners:
                    continue
                with contextlib.suppress(Rejected):
                    change = envelope.decode(record.headers, record.value).data
                    if isinstance(change, PresenceChanged):
                        for follower in listeners:
                            follower.put_presence(change)


async def batches(follower: Follower, *, silence: float) -> AsyncIterator[Sequence[Told | PresenceChanged] | None]:
    """What a follower takes, and None after each `silence` seconds without anything."""
    while not follower.is_closed:
        try:
            async with asyncio.timeout(silence):
                taken = await follower.take()
        except TimeoutError:
            yield None
            continue
        if taken:
            yield taken
