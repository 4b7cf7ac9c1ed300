"""The relay: carries the events that transactions appended to a broker, in order per key, and deletes what it took."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, Self

import structlog
from asyncpg import Record

from shared import failpoints
from shared.db.appending import Appended, decode_headers
from shared.db.horizon import LIFE, Horizon
from shared.db.life import Life
from shared.db.pool import Database
from shared.db.scope import Scan
from shared.db.shares import Shares
from shared.errors import Retryable
from shared.events.envelope import Headers
from shared.log.background import persevering, running, woken
from shared.log.signal import Signal
from shared.retry import Backoff

SHARES: Final = Shares(shards="log.shard", members="log.relay")

# By shard and in id order: whoever writes an event of a key holds the row that orders the key, so ids of one key grow
# in the order of their commits. Both halves see the same rows, so what is deleted is left out by name. Rows are looked
# for one by one (LATERAL, LIMIT 1): a plan that was made when the queue was empty would read all of it when it is long.
_STEP: Final = f"""
WITH taken AS (
    DELETE FROM log.queue WHERE ctid = ANY (ARRAY(
        SELECT q.ctid FROM unnest($4::int[], $5::bigint[]) AS d(shard, id)
        CROSS JOIN LATERAL (SELECT ctid FROM log.queue WHERE shard = d.shard AND event_id = d.id LIMIT 1) q
    ))
), gone AS (
    DELETE FROM log.event WHERE id = ANY ($5)
), mine AS MATERIALIZED (
    SELECT id FROM log.shard WHERE owner = $1 AND id <> ALL ($2::int[])
), waiting AS (
    SELECT s.id AS shard, e.id, e.topic, e.key, e.headers, e.value, e.created_at
    FROM mine s
    CROSS JOIN LATERAL (
        SELECT q.event_id FROM log.queue q
        WHERE q.shard = s.id AND q.event_id <> ALL ($5)
          AND q.event_id > CASE WHEN {LIFE} = $7 THEN coalesce(($6::bigint[])[s.id], 0) ELSE 0 END
        ORDER BY q.event_id LIMIT $3
    ) next
    CROSS JOIN LATERAL (SELECT * FROM log.event WHERE id = next.event_id LIMIT 1) e
)
SELECT waiting.*, ARRAY(SELECT id FROM mine) AS looked_at, {LIFE} AS life,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest,
    CASE WHEN cardinality($5) > 0 THEN pg_current_xact_id()::text::bigint END AS number
FROM (SELECT) AS look LEFT JOIN waiting ON true
ORDER BY waiting.id
"""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event on its way to the broker."""

    shard: int
    id: int
    topic: str
    key: str
    headers: Headers
    value: bytes
    appended_at: datetime


class Outlet(Protocol):
    """The broker, as the relay needs it."""

    async def send(self, events: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """Sends events of one shard; returns those that the broker has acknowledged, at least the first of each key.

        Raises Retryable when it is unknown what arrived. An event is sent only when every earlier one of its key has
        been acknowledged or goes with it, in one piece.
        """
        ...


_HEARTBEAT: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayPace:
    """Defaults are for production; tests shorten them."""

    poll: timedelta = timedelta(milliseconds=100)
    """Between two looks when nothing woke the relay."""
    heartbeat: timedelta = _HEARTBEAT
    ttl: timedelta = timedelta(seconds=4)
    """After this long without a heartbeat, by the database's clock, a relay's shards are free."""
    chunk: int = 250
    """Events of one shard that are sent together."""

    @classmethod
    def of(cls, lease: timedelta) -> Self:
        """With heartbeats that a short lease survives, too."""
        return cls(ttl=lease, heartbeat=min(_HEARTBEAT, lease / 4))


_AGAIN: Final = Backoff(base=timedelta(milliseconds=50), cap=timedelta(seconds=1))


class Relay:
    """One relay of many. Each shard has one owner, and at most one piece of it is on its way at a time.

    Dying after the broker's acknowledgment and before the delete means that events are sent again, by the same id; a
    relay that slept past its lease does not send, and what it had already sent was the oldest of its shard: so readers
    may see an event late a second time, but never a later event of a key before an earlier one.
    """

    def __init__(self, database: Database, outlet: Outlet, *, pace: RelayPace | None = None) -> None:
        self._database = database
        self._outlet = outlet
        self._pace = pace or RelayPace()
        self._name = database.ids.new("relay")
        self._appended = asyncio.Event()
        self._signal = Signal(database, self._name, heard=self._appended.set)
        self._deadline = 0.0
        self._owns_all = False
        self._surplus = 0
        self._sending: dict[int, asyncio.Task[None]] = {}
        self._acknowledged: list[Outgoing] = []
        self._failures: dict[int, int] = {}
        self._horizons: dict[int, Horizon] = {}
        self._life = Life(database)

    def notify(self, _: Appended) -> None:
        """Something was appended in this process."""
        self._appended.set()
        if not self._owns_all:
            self._signal.tell()

    async def run(self) -> None:
        """Relays until cancelled; waits while the database or the broker is away."""
        try:
            async with running(self._signal.run, lambda: persevering(self._beat)), asyncio.TaskGroup() as group:
                await persevering(lambda: self._turn(group))
        finally:
            await self._leave()

    # -- membership ---------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        await self.share()
        await asyncio.sleep(self._pace.heartbeat.total_seconds())

    async def share(self) -> None:
        """One heartbeat: takes what is free; what is too much is given back between two pieces."""
        before = self._database.clock.elapsed()
        async with self._database.transaction(Scan()) as tx:
            share = await SHARES.beat(tx, self._name, ttl=self._pace.ttl)
            self._surplus = max(0, share.owned - share.fair)
            taken = 0
            if share.owned < share.fair:
                taken = await SHARES.take(tx, self._name, share.fair - share.owned)
        self._owns_all = share.owned + taken == share.all
        self._deadline = before + self._pace.ttl.total_seconds()
        if taken or self._surplus:
            self._appended.set()

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(2):
                await self._database.look(_STEP, self._name, [], 0, *_places(self._acknowledged), [], None)
                async with self._database.transaction(Scan()) as tx:
                    await SHARES.leave(tx, self._name)
        except (Retryable, TimeoutError):
            # The lease ends by itself, and what was acknowledged is sent again.
            return

    # -- carrying -----------------------------------------------------------------------------------------------

    async def _turn(self, group: asyncio.TaskGroup) -> None:
        # Cleared before looking: what is appended or acknowledged meanwhile wakes us again.
        self._appended.clear()
        await self.step(group)
        await woken(self._appended, within=self._pace.poll)

    async def step(self, group: asyncio.TaskGroup) -> None:
        """Deletes what was acknowledged, reads what is next and starts sending it."""
        # Taken together: a shard that finishes while we look is looked at in the next step, after its delete.
        done, busy = list(self._acknowledged), list(self._sending)
        # Nothing new while there is a surplus: when what is on its way has arrived and is deleted, it can change hands.
        surplus = self._surplus
        free = 0 if surplus else self._pace.chunk
        # Not waiting for the disk: what a crash takes back is sent again, by the same ids.
        rows = await self._database.look(_STEP, self._name, busy, free, *_places(done), self._after(), self._life.name)
        del self._acknowledged[: len(done)]
        pieces: dict[int, list[Outgoing]] = {}
        for shard, number, topic, key, headers, value, created_at, *_ in rows if rows[0]["id"] is not None else ():
            event = Outgoing(shard, number, topic, key, decode_headers(headers), value, created_at)
            pieces.setdefault(shard, []).append(event)
        await self._learn(rows[0], pieces, most=free)
        if done:
            failpoints.hit("relay.deleted")
        if surplus and not busy:
            await self._give(surplus)
        if not pieces or self._database.clock.elapsed() > self._deadline:
            return
        failpoints.hit("relay.before_send")
        for shard, piece in pieces.items():
            self._sending[shard] = group.create_task(self._send(shard, piece))

    def _after(self) -> list[int]:
        """Where to look from, by shard, whose ids count from one."""
        last = max(self._horizons, default=0)
        return [self._horizons[shard].after if shard in self._horizons else 0 for shard in range(1, last + 1)]

    async def _learn(self, look: Record, pieces: Mapping[int, Sequence[Outgoing]], *, most: int) -> None:
        if await self._life.is_new(look["life"]):
            # This look began from the front.
            self._horizons.clear()
            return
        for shard in look["looked_at"]:
            found = pieces.get(shard, ())
            self._horizons.setdefault(shard, Horizon()).looked(
                oldest=look["oldest"],
                number=look["number"],
                greatest=found[-1].id if found else 0,
                left=found[0].id if found else None,
                is_complete=len(found) < most,
            )

    async def _give(self, surplus: int) -> None:
        async with self._database.transaction(Scan()) as tx:
            await SHARES.give(tx, self._name, surplus)
        self._surplus = 0
        self._owns_all = False
        self._appended.set()

    async def _send(self, shard: int, piece: Sequence[Outgoing]) -> None:
        try:
            acknowledged = await self._outlet.send(piece)
            failpoints.hit("relay.sent")
            self._acknowledged += acknowledged
            self._failures.pop(shard, None)
        except Retryable as error:
            failures = self._failures[shard] = self._failures.get(shard, 0) + 1
            structlog.get_logger().warning("relay_waits", shard=shard, events=len(piece), reason=str(error))
            await asyncio.sleep(_AGAIN.delay(failures).total_seconds())
        finally:
            del self._sending[shard]
            self._appended.set()


def _places(events: Sequence[Outgoing]) -> tuple[list[int], list[int]]:
    return [event.shard for event in events], [event.id for event in events]
