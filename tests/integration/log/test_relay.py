"""The relay keeps order and loses nothing, whatever the broker answers and whoever else relays."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import pytest

from shared import failpoints
from shared.db.appending import encode_headers
from shared.db.pool import Database
from shared.db.scope import Batch, Owner
from shared.errors import Retryable
from shared.log.background import running
from shared.log.relay import Outgoing, Relay, RelayPace
from tests.support.logs import WORKSPACE, encoded
from tests.support.postgres import backup, open_database
from tests.support.waiting import PATIENCE, answer, eventually

QUICK: Final = RelayPace(
    poll=timedelta(milliseconds=20), heartbeat=timedelta(milliseconds=60), ttl=timedelta(milliseconds=700), chunk=5
)

KEYS: Final = 60
"""So many keys have some in every shard."""
_BLOCKED = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@dataclass(slots=True)
class Broker:
    """What arrived, in its order; refuses, takes only parts, or hangs on demand."""

    arrived: list[tuple[str, int]] = field(default_factory=list)
    refusals: int = 0
    most: int = 1_000
    gate: asyncio.Event | None = None
    waiting: int = 0

    async def send(self, events: Sequence[Outgoing]) -> Sequence[Outgoing]:
        taken = events[: self.most]
        if self.gate:
            self.waiting += 1
            await self.gate.wait()
        self.arrived += [(event.key, int(event.value)) for event in taken]
        if self.refusals:
            self.refusals -= 1
            raise Retryable("no answer, although it arrived")
        return taken

    def first_deliveries(self) -> dict[str, list[int]]:
        """What a reader that drops what it has seen before is left with, by key."""
        found: dict[str, list[int]] = {}
        for key, number in dict.fromkeys(self.arrived):
            found.setdefault(key, []).append(number)
        return found


async def append(database: Database, *numbers: int, key: str = "k") -> None:
    async with database.transaction(Batch(WORKSPACE)) as tx:
        for number in numbers:
            tx.append(encoded(key, number))


async def append_everywhere(database: Database, number: int) -> None:
    """In every shard."""
    async with database.transaction(Batch(WORKSPACE)) as tx:
        for key in range(KEYS):
            tx.append(encoded(f"key-{key}", number))


async def emptied(database: Database) -> None:
    async def is_empty() -> bool:
        sql = "SELECT NOT EXISTS (SELECT FROM log.queue) AND NOT EXISTS (SELECT FROM log.event)"
        return bool(await database.pool.fetchval(sql))

    await answer(is_empty)


async def arrived(broker: Broker, count: int) -> None:
    await eventually(lambda: len(broker.arrived) >= count)


@asynccontextmanager
async def relaying(database: Database, broker: Broker, pace: RelayPace = QUICK) -> AsyncIterator[Relay]:
    relay = Relay(database, broker, pace=pace)
    database.on_append.append(relay.notify)
    try:
        async with running(relay.run):
            yield relay
    finally:
        database.on_append.remove(relay.notify)


async def test_what_is_acknowledged_is_deleted_and_the_rest_goes_on(database: Database) -> None:
    broker = Broker(most=2)
    async with relaying(database, broker):
        for key in "abc":
            await append(database, *range(20), key=key)
        await emptied(database)
    assert broker.arrived == list(dict.fromkeys(broker.arrived))
    assert broker.first_deliveries() == {key: list(range(20)) for key in "abc"}


async def test_events_without_an_answer_are_sent_again_in_order(database: Database) -> None:
    broker = Broker(refusals=3)
    async with relaying(database, broker):
        await append(database, *range(12))
        await emptied(database)
    assert broker.first_deliveries() == {"k": list(range(12))}


async def test_a_shard_that_hangs_does_not_hold_up_the_others(database: Database) -> None:
    hanging = Broker(gate=asyncio.Event())
    usual = Broker()

    class Both:
        async def send(self, events: Sequence[Outgoing]) -> Sequence[Outgoing]:
            return await (hanging if events[0].key == "slow" else usual).send(events)

    slow, quick = database.topology.shard("baton.messages.v1", "slow"), "quick"
    while database.topology.shard("baton.messages.v1", quick) == slow:
        quick += "x"
    relay = Relay(database, Both(), pace=QUICK)
    async with running(relay.run):
        await append(database, 1, key="slow")
        await eventually(lambda: hanging.waiting == 1)
        await append(database, *range(20), key=quick)
        await eventually(lambda: len(usual.arrived) == 20)
        assert hanging.gate is not None
        hanging.gate.set()
        await emptied(database)
    assert hanging.arrived == [("slow", 1)]


async def test_relays_share_the_shards_and_take_over_from_one_that_left(database: Database, dsn: str) -> None:
    first, second = Broker(), Broker()
    keys = [f"key-{n}" for n in range(30)]
    async with open_database(dsn) as other, relaying(database, first):
        async with relaying(other, second):
            number = 0
            async with asyncio.timeout(PATIENCE):
                while number < 20 or not (first.arrived and second.arrived):
                    for key in keys:
                        await append(database, number, key=key)
                    number += 1
            await emptied(database)
        counts = len(second.arrived)
        for key in keys:
            await append(database, number, key=key)
        await emptied(database)
    assert len(second.arrived) == counts
    assert len(set(first.arrived) | set(second.arrived)) == len(first.arrived) + len(second.arrived)


async def test_what_was_acknowledged_is_deleted_before_its_shard_changes_hands(database: Database, dsn: str) -> None:
    """So that a relay that joins does not send it again."""
    old, new = Broker(), Broker()
    lasting = RelayPace(ttl=timedelta(minutes=1), chunk=1_000)
    async with open_database(dsn) as other, asyncio.TaskGroup() as group:
        stays, joins = Relay(database, old, pace=lasting), Relay(other, new, pace=lasting)
        await stays.share()
        await append_everywhere(database, 1)
        await stays.step(group)
        await arrived(old, KEYS)
        await joins.share()
        await stays.share()
        async with other.transaction(Owner()) as holder:
            await holder.execute("SELECT FROM log.queue FOR UPDATE")
            deleting = group.create_task(stays.step(group))
            await answer(lambda: other.pool.fetchval(_BLOCKED))
            await joins.share()
            await joins.step(group)
        await deleting
        await joins.share()
        await append_everywhere(database, 2)
        await stays.step(group)
        await joins.step(group)
        await eventually(lambda: len(old.arrived) + len(new.arrived) >= 2 * KEYS)
    assert new.arrived
    assert sorted(old.arrived + new.arrived) == sorted((f"key-{n}", number) for n in range(KEYS) for number in (1, 2))


async def test_a_relay_that_slept_past_its_lease_loses_nothing_and_swaps_nothing(database: Database, dsn: str) -> None:
    """What it had in hand arrives late, a second time, and never before what precedes it."""
    broker = Broker()
    asleep = Broker(arrived=broker.arrived, gate=asyncio.Event())
    forgetful = RelayPace(poll=QUICK.poll, heartbeat=timedelta(hours=1), ttl=QUICK.ttl, chunk=3)
    async with open_database(dsn) as other, relaying(database, asleep, forgetful):
        await append(database, *range(9))
        await eventually(lambda: asleep.waiting == 1)
        async with relaying(other, broker):
            await emptied(database)
            await append(database, *range(9, 15))
            await emptied(database)
            assert asleep.gate is not None
            asleep.gate.set()
            await eventually(lambda: len(broker.arrived) > 15)
            # Awake, it owns nothing and sends nothing more.
            await append(database, 15)
            await emptied(database)
    assert broker.first_deliveries() == {"k": list(range(16))}
    assert [number for _, number in broker.arrived].count(15) == 1
    assert len(broker.arrived) == 16 + 3


async def test_what_a_long_transaction_keeps_in_the_index_is_not_read_again(database: Database) -> None:
    broker = Broker()
    async with backup(database, "log.queue"), relaying(database, broker) as relay:
        shard = database.topology.shard("baton.messages.v1", "k")
        for start in range(0, 300, 10):
            await append(database, *range(start, start + 10))
            await arrived(broker, start + 10)
        await append(database, 300)
        await arrived(broker, 301)
        await eventually(lambda: relay._horizons[shard].after > 250)
        await append(database, 301)
        await arrived(broker, 302)
    assert broker.first_deliveries() == {"k": list(range(302))}


async def test_ids_that_a_crashed_server_gives_again_are_relayed(database: Database) -> None:
    broker = Broker()
    async with relaying(database, broker) as relay:
        shard = database.topology.shard("baton.messages.v1", "k")
        number = 0
        while not (shard in relay._horizons and relay._horizons[shard].after):
            await append(database, number)
            number += 1
            await arrived(broker, number)
            await emptied(database)
        async with database.transaction(Owner()) as tx:
            # As after a recovery that lost the end of the log: the first id is given once more.
            await tx.execute("TRUNCATE log.life")
            await tx.execute(
                "INSERT INTO log.event (id, shard, topic, key, workspace_id, headers, value) OVERRIDING SYSTEM VALUE "
                "VALUES (1, $1, $2, 'k', 'w1', $3, '77')",
                shard,
                "baton.messages.v1",
                encode_headers(()),
            )
            await tx.execute("INSERT INTO log.queue (shard, event_id) VALUES ($1, 1)", shard)
        await emptied(database)
    assert broker.arrived[-1] == ("k", 77)


@pytest.mark.parametrize("place", ["relay.before_send", "relay.sent", "relay.deleted"])
async def test_a_relay_that_dies_anywhere_is_followed_by_one_that_sends_the_rest(
    database: Database, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker()
    with monkeypatch.context() as armed:
        armed.setitem(failpoints._ARMED, place, "raise")
        await append(database, *range(8))
        with pytest.raises(BaseExceptionGroup):
            async with relaying(database, broker), asyncio.timeout(30):
                await asyncio.Event().wait()
    async with relaying(database, broker):
        await append(database, *range(8, 12))
        await emptied(database)
    assert broker.first_deliveries() == {"k": list(range(12))}


async def test_a_relay_hears_what_another_process_appended(database: Database, dsn: str) -> None:
    """By the notification: the poll would take an hour."""
    broker = Broker()
    deaf_polls = RelayPace(poll=timedelta(hours=1), heartbeat=QUICK.heartbeat, ttl=QUICK.ttl)
    async with open_database(dsn) as other, relaying(database, broker, deaf_polls) as relay:
        await eventually(lambda: relay._owns_all)
        await asyncio.sleep(0.2)
        neighbour = Relay(other, Broker(), pace=deaf_polls)
        async with running(neighbour._signal.run):
            other.on_append.append(neighbour.notify)
            await append(other, 1)
            await eventually(lambda: broker.arrived == [("k", 1)])
