"""One member of a consumer group on Postgres: owns shards, reads them, commits with the batch's transaction."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from shared.db.pool import Database
from shared.db.scope import Scan
from shared.db.together import Rows
from shared.db.transaction import Transaction
from shared.errors import Retryable
from shared.log.background import persevering, woken
from shared.log.port import Fetched, Record, StaleMember, Subscription
from shared.log.postgres import groups
from shared.log.postgres.groups import Membership
from shared.log.postgres.pace import Pace
from shared.log.postgres.reading import Row, read
from shared.log.postgres.recent import Reader

_COMMITTED: Final = """
SELECT shard, position, ctid::text AS row FROM log.cursor WHERE consumer_group = $1 AND owner = $2 AND shard = ANY ($3)
"""
# `position >= w.start` keeps a batch from being committed over an earlier one that was not. A crash of the server ends
# all memberships: what was read before it may be lost, and its positions are others' by now. Rows are found where they
# lie, and by no index: beside a long snapshot that leads past everything that they ever were.
_COMMIT: Final = """
UPDATE log.cursor c SET position = greatest(c.position, w.stop)
FROM unnest($3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[]) AS w(shard, epoch, start, stop, row)
WHERE c.ctid = w.row::tid AND coalesce(c.consumer_group, '') = $1 AND c.owner = $2 AND c.shard = w.shard
    AND c.epoch = w.epoch AND c.position >= w.start
    AND EXISTS (SELECT FROM log.member m WHERE m.consumer_group = $1 AND m.member = $2)
RETURNING c.shard, c.ctid::text AS row
"""
_ROWS: Final = "array_agg(ARRAY[shard::text, row])"


LOOK_AROUND: Final = timedelta(seconds=10)
"""So long a member that has its share relies on the members being the same."""

UNASKED: Final = 8
"""After so many batches from memory, and a poll's time, the database is asked, whatever is at hand: others append."""


@dataclass(slots=True)
class Shard:
    """A shard that this member owns. `read`: the next position to fetch, None: ask what is committed."""

    topic: str
    partition: int
    epoch: int
    read: int | None
    done: int
    row: str
    """Where its cursor's row lies: only its owner rewrites it."""
    is_leaving: bool = False

    @property
    def is_idle(self) -> bool:
        """Nothing of it is in anybody's hands."""
        return self.read is None or self.read <= self.done


@dataclass(frozen=True, slots=True)
class Part:
    """What a batch took from one shard: positions from `start` up to, not including, `stop`."""

    shard: int
    epoch: int
    start: int
    stop: int


class PostgresSubscription(Subscription):
    """Fetches ahead of what is committed; every commit is fenced by owner and epoch."""

    def __init__(
        self, database: Database, membership: Membership, *, pace: Pace, wake: asyncio.Event, recent: Reader
    ) -> None:
        self._database = database
        self._me = membership
        self._pace = pace
        self._wake = wake
        self._recent = recent
        self._shards: dict[int, Shard] = {}
        self._balancing = asyncio.Lock()
        self._unbalanced = asyncio.Event()
        self._members: Mapping[str, Sequence[str]] = {}
        self._is_even = False
        """At the last look around we had our share: it need not be looked at again soon."""
        self._look_around_by = 0.0
        self._deadline = 0.0
        self._is_dry = False
        """The last look took all there was: until something wakes us, another one would find nothing."""
        self._look_by = 0.0
        self._unasked = 0
        """Batches since the database was asked."""

    # -- membership ---------------------------------------------------------------------------------------------

    async def join(self) -> None:
        """Becomes a member, with its part of the shards that are free."""
        async with self._database.transaction(Scan()) as tx:
            await groups.forget_dead(tx, self._me)
        await self.balance()

    async def keep_alive(self) -> None:
        """Heartbeats until cancelled."""
        await persevering(self._beat)

    async def _beat(self) -> None:
        await woken(self._unbalanced, within=self._pace.heartbeat)
        await self.balance()

    async def balance(self) -> None:
        """One heartbeat: renews the membership, gives surplus shards up and takes free ones."""
        async with self._balancing:
            before = self._database.clock.elapsed()
            async with self._database.transaction(Scan()) as tx:
                is_new, members = await groups.beat(tx, self._me, self._pace.member_ttl)
                if is_new:
                    # We begin, or were taken for dead, or the server has crashed: nothing that was read before holds.
                    self._shards.clear()
                    self._recent.starts.clear()
                    self._recent.forget()
                if is_new or not self._is_settled(members, now=before):
                    await self._look_around(tx, members, now=before)
            self._deadline = before + self._pace.member_ttl.total_seconds()

    async def _look_around(self, tx: Transaction, members: Mapping[str, Sequence[str]], *, now: float) -> None:
        cursors = await groups.load(tx, self._me)
        await groups.create(tx, self._me, cursors)
        held = {shard: state.epoch for shard, state in self._shards.items()}
        plan = groups.plan(self._me.member, members, cursors, held)
        idle = {shard for shard in plan.release if self._shards[shard].is_idle}
        for shard in idle:
            # From here on nothing may be fetched from it, whatever becomes of this transaction.
            self._shards[shard].is_leaving = True
        await groups.release(tx, self._me, idle)
        taken = await groups.take(tx, self._me, plan.take)
        owned = {cursor.shard: cursor.epoch for cursor in cursors if cursor.owner == self._me.member}

        def adopt() -> None:
            self._adopt(plan, idle, taken, owned)
            self._members, self._is_even = members, plan.is_even and not self._unbalanced.is_set()
            self._look_around_by = now + LOOK_AROUND.total_seconds()

        tx.after_commit(adopt)

    def _is_settled(self, members: Mapping[str, Sequence[str]], *, now: float) -> bool:
        """Nothing can have changed hands: the cursors of a group, which all its batches rewrite, need not be read."""
        return self._is_even and members == self._members and now < min(self._deadline, self._look_around_by)

    def _upset(self) -> None:
        """The shards have to be looked at, now."""
        self._is_even = False
        self._unbalanced.set()

    def _adopt(
        self, plan: groups.Plan, gone: set[int], taken: Mapping[int, groups.Taken], owned: Mapping[int, int]
    ) -> None:
        for shard, state in list(self._shards.items()):
            state.is_leaving = shard in plan.release
            if shard in gone or owned.get(shard) != state.epoch:
                del self._shards[shard]
                self._recent.leave(shard)
        for shard, its in taken.items():
            topic, partition = plan.topics[shard]
            self._shards[shard] = Shard(topic, partition, its.epoch, its.position, its.position, its.row)
        if taken:
            self._wake.set()

    async def leave(self) -> None:
        """Ends the membership, if the database can be told; else it ends by itself."""
        self._shards.clear()
        with suppress(Retryable, TimeoutError):
            async with asyncio.timeout(5), self._database.transaction(Scan()) as tx:
                await groups.leave(tx, self._me)

    # -- reading ------------------------------------------------------------------------------------------------

    async def fetch(self, *, max_records: int, max_wait: timedelta) -> Fetched:
        """The next records of the shards that this member owns."""
        elapsed = self._database.clock.elapsed
        until = elapsed() + max_wait.total_seconds()
        while True:
            rest = until - elapsed()
            if self._is_dry and rest > 0:
                await woken(self._wake, within=min(self._pace.poll, timedelta(seconds=rest)))
            self._wake.clear()
            if elapsed() > self._deadline:
                # It slept past its lease: what it owned may be somebody else's by now.
                await self.balance()
            batch = self._at_hand(max_records) or await self._read(max_records)
            if batch.records or elapsed() >= until:
                return batch

    def _at_hand(self, limit: int) -> Fetched | None:
        """What this process has appended itself; None when the database has to be asked."""
        if self._unasked >= UNASKED and self._database.clock.elapsed() >= self._look_by:
            return None
        shards = {shard: state for shard, state in self._shards.items() if not state.is_leaving}
        # The same for each, so that none keeps the others waiting.
        share = limit // max(len(shards), 1)
        if not share:
            return None
        rows: list[Row] = []
        for shard, state in shards.items():
            if state.read is None:
                return None
            found = self._recent.read(shard, state.read, share)
            if len(found) < share and self._has_more(shard, state.read + len(found)):
                return None
            rows += [
                Row(shard, position, event.key, event.headers, event.value)
                for position, event in enumerate(found, start=state.read)
            ]
            if len(found) == share:
                self._wake.set()
        if not rows:
            return None
        self._unasked += 1
        return _take(shards, rows)

    def _has_more(self, shard: int, position: int) -> bool:
        """Whether the database has, or may have, an event there that is not at hand."""
        end = self._recent.end(shard)
        return not self._is_dry if end is None else position < end

    async def _read(self, limit: int) -> Fetched:
        shards = {shard: state for shard, state in self._shards.items() if not state.is_leaving}
        self._is_dry = not shards
        self._look_by = self._database.clock.elapsed() + self._pace.poll.total_seconds()
        self._unasked = 0
        if not shards:
            return Fetched(records=(), claim=())
        await self._reload(shards)
        starts = {shard: state.read for shard, state in shards.items() if state.read is not None}
        share = min(limit, 4 * limit // len(shards) + 1)
        rows = await read(self._database, starts, share=share, limit=limit)
        # What was lost, given up or rewound meanwhile is not taken into hand.
        unchanged = {
            shard: state
            for shard, state in shards.items()
            if self._shards.get(shard) is state and not state.is_leaving and state.read == starts.get(shard)
        }
        self._is_dry = len(rows) < share and starts.keys() <= unchanged.keys()
        return _take(unchanged, rows)

    async def _reload(self, shards: Mapping[int, Shard]) -> None:
        unknown = [shard for shard, state in shards.items() if state.read is None]
        if unknown:
            for row in await self._database.look(_COMMITTED, self._me.group, self._me.member, unknown):
                state = shards[row["shard"]]
                state.read = state.done = row["position"]
                state.row = row["row"]
            if any(shards[shard].read is None for shard in unknown):
                # Somebody else's by now: until we have noticed, nothing is to be read there.
                self._upset()

    # -- committing ---------------------------------------------------------------------------------------------

    async def commit_with(self, tx: Transaction, batch: Fetched) -> None:
        """Moves the group's positions behind the batch, in the transaction that holds its effects."""
        parts = _parts(batch)
        if not parts:
            return

        written: list[Sequence[str]] = []

        def lost() -> Exception:
            self._upset()
            return StaleMember(f"{self._me.member} lost a shard of its batch in group {self._me.group}")

        tx.defer(
            _COMMIT,
            self._me.group,
            self._me.member,
            [part.shard for part in parts],
            [part.epoch for part in parts],
            [part.start for part in parts],
            [part.stop for part in parts],
            [self._row_of(part) for part in parts],
            rows=Rows(len(parts), lost),
            asked=_ROWS,
            told=written.extend,
        )
        tx.after_commit(lambda: self._settle(parts, {int(shard): row for shard, row in written}))

    def _row_of(self, part: Part) -> str:
        state = self._shards.get(part.shard)
        # Of a shard that is not ours any more the commit is refused, wherever its row lies.
        return state.row if state is not None else "(0,0)"

    def _settle(self, parts: tuple[Part, ...], rows: Mapping[int, str]) -> None:
        for part in parts:
            state = self._shards.get(part.shard)
            if state is not None and state.epoch == part.epoch:
                state.done = max(state.done, part.stop)
                state.row = rows[part.shard]
                if state.is_leaving and state.is_idle:
                    self._upset()

    async def commit_after(self, batch: Fetched) -> None:
        """Nothing: the positions are committed with the effects."""

    def rewind(self, batch: Fetched) -> None:
        """Reads the batch's shards again from what is committed, which may include the batch if COMMIT was unclear."""
        for part in _parts(batch):
            state = self._shards.get(part.shard)
            if state is not None and state.epoch == part.epoch:
                state.read = None
                self._is_dry = False
                if state.is_leaving:
                    self._upset()


def _take(shards: Mapping[int, Shard], rows: Sequence[Row]) -> Fetched:
    """Takes rows into hand: from here on the next fetch begins behind them."""
    records: list[Record] = []
    starts = {shard: state.read for shard, state in shards.items()}
    for row in rows:
        state = shards.get(row.shard)
        if state is not None:
            state.read = row.position + 1
            records.append(row.record(state.topic, state.partition))
    claim = tuple(
        Part(shard, state.epoch, start, state.read)
        for shard, state in shards.items()
        if (start := starts[shard]) is not None and state.read is not None and state.read > start
    )
    return Fetched(records=records, claim=claim)


def _parts(batch: Fetched) -> tuple[Part, ...]:
    if not isinstance(batch.claim, tuple):
        raise TypeError("the batch was fetched from another log")
    return batch.claim
