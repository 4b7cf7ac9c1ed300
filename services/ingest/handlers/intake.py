"""The durable inbox behind the webhook path: batches of what queued meanwhile, in the order in which it came."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Final

import structlog

from services.ingest import NAME
from services.ingest.domain.deliveries import Arrival
from services.ingest.domain.pace import Pace
from services.ingest.settings import IngestSettings
from services.ingest.store import intake as store
from shared import failpoints
from shared.db.pool import Database
from shared.db.scope import Batch
from shared.errors import Retryable, Unavailable
from shared.ids import Ids
from shared.log.background import running, woken

_BUSY_SECONDS = 1
_AWAY_SECONDS = 5

MANY: Final = 32
"""Where so many wait, that is enough for a batch by itself, and for one beside another that is still on its way."""

WRITERS: Final = 2
PATIENCE: Final = 30.0
"""Seconds for the batch before: by then the server has given it up."""

Told = Callable[[Unavailable | None], None]
"""Hears once what became of a delivery: None when it is durable. Must neither block nor raise."""

_Waiting = tuple[Arrival, Told]
_Key = tuple[str, str]
"""Channel and delivery key: what the inbox holds once."""


class Intake:
    """Says when a delivery is durable, or that it is Unavailable, and then the network tries again."""

    def __init__(self, database: Database, ids: Ids, settings: IngestSettings) -> None:
        self._database = database
        self._clock = database.clock
        self._ids = ids
        self._most = settings.intake_batch
        self._most_waiting = settings.intake_queue
        self._most_bytes = settings.intake_queue_bytes
        self._queue: deque[_Waiting] = deque()
        self._bytes = 0
        self._is_running = False
        self._stirred = asyncio.Event()
        self._taking = asyncio.Lock()
        self._flying: set[_Key] = set()
        """What is on its way: a second of it, beside it, would wait for it in the database, and it for the second."""
        self._last: asyncio.Future[None] | None = None
        """Done when the batch that was taken last has landed."""
        self._pace = Pace()
        self.on_stored: list[Callable[[Counter[str]], None]] = []
        """Called after each commit with the number of deliveries by network; must not block."""

    def keep(self, arrival: Arrival, told: Told) -> None:
        """Calls `told` once the delivery is committed, or cannot be; Unavailable when too much waits already."""
        waiting = len(self._queue)
        if not self._is_running or waiting >= self._most_waiting or self._bytes + len(arrival.body) > self._most_bytes:
            raise Unavailable("too many deliveries wait to be stored", headers={"Retry-After": str(_BUSY_SECONDS)})
        self._queue.append((arrival, told))
        self._pace.came(self._clock.elapsed())
        self._bytes += len(arrival.body)
        if waiting in {0, MANY - 1}:
            self._stirred.set()

    async def run(self) -> None:
        """The writers. Whatever ends them, nobody waits for ever."""
        self._is_running = True
        try:
            async with running(*[self._write] * WRITERS):
                await asyncio.get_running_loop().create_future()
        finally:
            self._is_running = False
            _fail(self._queue, Retryable("the intake has stopped"))
            self._queue.clear()
            self._bytes = 0

    async def _write(self) -> None:
        while True:
            async with self._taking:
                taken = await self._next()
                began = self._clock.elapsed()
                before, self._last = self._last, asyncio.get_running_loop().create_future()
                landed, is_alone = self._last, before is None or before.done()
                flying = {_key(arrival) for arrival, _ in taken}
                self._flying |= flying
            try:
                await self._fly(taken, before)
            finally:
                self._flying -= flying
                landed.set_result(None)
                if len(taken) < MANY and is_alone:
                    self._pace.landed(began, self._clock.elapsed())
                self._stirred.set()

    async def _next(self) -> list[_Waiting]:
        while True:
            self._stirred.clear()
            wait = self._patience()
            if wait == 0 and (taken := self._take()):
                return taken
            if wait:
                await woken(self._stirred, within=timedelta(seconds=wait))
            else:
                await self._stirred.wait()

    def _patience(self) -> float | None:
        """Seconds until what waits should be taken; None: until something changes."""
        waiting = len(self._queue)
        if waiting >= MANY:
            return 0.0
        if not waiting or self._flying:
            return None
        return self._pace.patience(self._clock.elapsed())

    def _take(self) -> list[_Waiting]:
        """From the front as much as may fly together, and beside what flies already."""
        taken: list[_Waiting] = []
        while self._queue and len(taken) < self._most and _key(self._queue[0][0]) not in self._flying:
            taken.append(self._queue.popleft())
        self._bytes -= sum(len(arrival.body) for arrival, _ in taken)
        return taken

    async def _fly(self, taken: list[_Waiting], before: asyncio.Future[None] | None) -> None:
        try:
            failpoints.hit("inbox.before_store")
            await self._store([arrival for arrival, _ in taken], before)
            failpoints.hit("inbox.stored")
        except Retryable as error:
            structlog.get_logger().warning("inbox_away", deliveries=len(taken), reason=str(error))
            _fail(taken, error)
            return
        except BaseException as error:
            _fail(taken, error)
            raise
        for _, told in taken:
            told(None)
        networks = Counter(arrival.network for arrival, _ in taken)
        for notify in self.on_stored:
            notify(networks)

    async def _store(self, arrivals: Sequence[Arrival], before: asyncio.Future[None] | None) -> None:
        # Before anything is waited for: lists are in the order of ids.
        ids = [self._ids.new("inb") for _ in arrivals]
        workspaces = Batch(frozenset(arrival.workspace_id for arrival in arrivals))
        async with self._database.transaction(workspaces, schema=NAME) as tx:
            if before is None or before.done():
                store.store(tx, arrivals, ids)
                return
            store.keep(tx, arrivals, ids)
            await tx.flush()
            # Read in the order in which they came: in the queue behind those before them.
            await asyncio.wait((before,), timeout=PATIENCE)
            store.queue(tx, ids)


def _key(arrival: Arrival) -> _Key:
    return arrival.channel_id, arrival.delivery_key


def _fail(taken: Iterable[_Waiting], error: BaseException) -> None:
    for _, told in taken:
        refusal = Unavailable("the inbox is away", headers={"Retry-After": str(_AWAY_SECONDS)})
        refusal.__cause__ = error
        told(refusal)
