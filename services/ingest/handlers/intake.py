"""The durable inbox behind the webhook path: one writer takes all that queued while its last batch was in flight."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import structlog

from services.ingest import NAME
from services.ingest.domain.deliveries import Arrival
from services.ingest.settings import IngestSettings
from services.ingest.store import intake as store
from shared import failpoints
from shared.db.pool import Database
from shared.db.transaction import Batch
from shared.errors import Retryable, Unavailable
from shared.ids import Ids

_BUSY_SECONDS = 1
_AWAY_SECONDS = 5

TOGETHER: Final = 3
MANY: Final = 32
BEAT: Final = 0.004
"""Seconds of rest after a batch of more than a few deliveries and less than many: each commit costs as much as twenty
deliveries, and many need no rest to come together."""

Told = Callable[[Unavailable | None], None]
"""Hears once what became of a delivery: None when it is durable. Must neither block nor raise."""

_Waiting = tuple[Arrival, Told]


class Intake:
    """Says when a delivery is durable, or that it is Unavailable, and then the network tries again."""

    def __init__(self, database: Database, ids: Ids, settings: IngestSettings) -> None:
        self._database = database
        self._ids = ids
        self._most = settings.intake_batch
        self._most_waiting = settings.intake_queue
        self._most_bytes = settings.intake_queue_bytes
        self._queue: deque[_Waiting] = deque()
        self._bytes = 0
        self._is_running = False
        self._wake = asyncio.Event()
        self.on_stored: list[Callable[[Counter[str]], None]] = []
        """Called after each commit with the number of deliveries by network; must not block."""

    def keep(self, arrival: Arrival, told: Told) -> None:
        """Calls `told` once the delivery is committed, or cannot be; Unavailable when too much waits already."""
        waiting = len(self._queue)
        if not self._is_running or waiting >= self._most_waiting or self._bytes + len(arrival.body) > self._most_bytes:
            raise Unavailable("too many deliveries wait to be stored", headers={"Retry-After": str(_BUSY_SECONDS)})
        self._queue.append((arrival, told))
        self._bytes += len(arrival.body)
        if waiting == 0:
            self._wake.set()

    async def run(self) -> None:
        """The writer. Whatever ends it, nobody waits for ever."""
        self._is_running = True
        try:
            while True:
                if not self._queue:
                    self._wake.clear()
                    await self._wake.wait()
                taken = self._take()
                await self._write(taken)
                if TOGETHER <= len(taken) < MANY:
                    await asyncio.sleep(BEAT)
        finally:
            self._is_running = False
            _fail(self._queue, Retryable("the intake has stopped"))
            self._queue.clear()
            self._bytes = 0

    def _take(self) -> list[_Waiting]:
        if len(self._queue) <= self._most:
            taken = list(self._queue)
            self._queue.clear()
            self._bytes = 0
            return taken
        taken = [self._queue.popleft() for _ in range(self._most)]
        self._bytes -= sum(len(arrival.body) for arrival, _ in taken)
        return taken

    async def _write(self, taken: list[_Waiting]) -> None:
        try:
            failpoints.hit("inbox.before_store")
            await self._store([arrival for arrival, _ in taken])
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

    async def _store(self, arrivals: Sequence[Arrival]) -> None:
        workspaces = Batch(frozenset(arrival.workspace_id for arrival in arrivals))
        async with self._database.transaction(workspaces, schema=NAME) as tx:
            store.store(tx, arrivals, [self._ids.new("inb") for _ in arrivals])


def _fail(taken: Iterable[_Waiting], error: BaseException) -> None:
    for _, told in taken:
        refusal = Unavailable("the inbox is away", headers={"Retry-After": str(_AWAY_SECONDS)})
        refusal.__cause__ = error
        told(refusal)
