"""A writer and a reader of an event log that go on in the background while something happens to it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from shared.errors import Retryable
from shared.events.catalogue import MESSAGES
from shared.log.background import running
from shared.log.port import Record
from tests.support.logs import Process, append, commit, encoded, fetch
from tests.support.waiting import eventually

KEYS = 20
MOST = 100_000


class Writer:
    """Appends to twenty keys in turn until it is stopped."""

    def __init__(self, process: Process, pause: float) -> None:
        self._process = process
        self._pause = pause
        self._stop = asyncio.Event()
        self._ended = asyncio.Event()
        self.written: dict[str, list[int]] = defaultdict(list)

    @property
    def count(self) -> int:
        """Events so far."""
        return sum(map(len, self.written.values()))

    async def run(self) -> None:
        """At most MOST events."""
        for number in range(MOST):
            if self._stop.is_set():
                break
            key = f"key-{number % KEYS}"
            await append(self._process, encoded(key, number))
            self.written[key].append(number)
            await asyncio.sleep(self._pause)
        self._ended.set()

    async def stop(self) -> None:
        """After the event in hand, which may be there before it is counted here."""
        self._stop.set()
        await self._ended.wait()


@asynccontextmanager
async def writing(process: Process, *, pause: float = 0.02) -> AsyncIterator[Writer]:
    """A writer that runs beside the block."""
    writer = Writer(process, pause)
    async with asyncio.TaskGroup() as group:
        group.create_task(writer.run())
        yield writer
        await writer.stop()


class Reader:
    """Reads and commits; joins again when it has to."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.records: list[Record] = []
        self._seen: set[bytes] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Reader"]:
        """Beside the block."""
        async with running(self._run):
            yield self

    async def _run(self) -> None:
        while True:
            try:
                async with self._process.log.subscribe("g", [MESSAGES]) as subscription:
                    while True:
                        batch, records = await fetch(subscription, max_wait=timedelta(milliseconds=200))
                        try:
                            await commit(self._process, subscription, batch)
                        except Retryable:
                            subscription.rewind(batch)
                            continue
                        self.records += records
                        self._seen.update(record.value for record in records)
            except Retryable:
                await asyncio.sleep(0.1)

    async def has(self, count: int, *, within: float = 60) -> None:
        """Waits for so many different events."""
        await eventually(lambda: len(self._seen) >= count, within=within)

    def first_deliveries(self) -> dict[str, list[int]]:
        """By key, without what came a second time."""
        found: dict[str, dict[int, None]] = defaultdict(dict)
        for record in self.records:
            found[record.key].setdefault(int(record.value))
        return {key: list(numbers) for key, numbers in found.items()}
