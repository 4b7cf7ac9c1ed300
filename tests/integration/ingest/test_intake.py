"""Deliveries are stored in the order in which they came, also where two batches are on their way at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from services.ingest.domain.deliveries import Arrival
from services.ingest.handlers.intake import MANY, Intake
from services.ingest.settings import IngestSettings
from services.ingest.store import intake as store
from shared.db.pool import Database
from shared.db.scope import Batch, Owner
from shared.db.transaction import Transaction
from shared.errors import Unavailable
from shared.log.background import running
from tests.support.waiting import answer, eventually

_BLOCKED = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
_UNDER_WAY = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND state = 'idle in transaction' AND query LIKE '%ingest.inbox%'
"""


def arrival(key: str) -> Arrival:
    return Arrival(
        workspace_id="w1", channel_id="chn_1", network="api", shard=1, delivery_key=key, headers={}, body=key.encode()
    )


REST = [f"n{number:02}" for number in range(MANY)]


class Desk:
    """An intake, and what it said of each delivery, in that order."""

    def __init__(self, database: Database) -> None:
        self.intake = Intake(database, database.ids, IngestSettings.load())
        self.said: list[tuple[str, Unavailable | None]] = []
        self.database = database

    def keep(self, *keys: str) -> None:
        for key in keys:
            self.intake.keep(arrival(key), lambda error, key=key: self.said.append((key, error)))

    async def rows(self, sql: str) -> list[str]:
        async with self.database.transaction(Owner()) as tx:
            return [row[0] for row in await tx.fetch(sql)]

    async def stored(self) -> list[str]:
        return await self.rows("SELECT delivery_key FROM ingest.inbox ORDER BY id")

    async def queued(self) -> list[str]:
        return await self.rows(
            "SELECT i.delivery_key FROM ingest.pending p JOIN ingest.inbox i ON i.id = p.inbox_id ORDER BY p.number"
        )

    @asynccontextmanager
    async def first_held_up(self) -> AsyncIterator[None]:
        """While somebody else is about to store the first delivery, and then does not."""
        async with self.database.transaction(Batch(frozenset({"w1"})), schema="ingest") as tx:
            store.store(tx, [arrival("first")], ["inb_other"])
            await tx.flush()
            self.keep("first")
            await answer(lambda: self.rows(_BLOCKED))
            yield
            await tx.rollback()
            tx.begin()

    @asynccontextmanager
    async def both_flying(self) -> AsyncIterator[None]:
        """While the first delivery is held up, and as many as a second batch needs are on their way behind it."""

        async def two() -> bool:
            # The other one's, and the second batch's.
            return len(await self.rows(_UNDER_WAY)) == 2

        async with self.first_held_up():
            self.keep(*REST)
            await answer(two)
            yield


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    desk = Desk(database)
    async with running(desk.intake.run):
        await asyncio.sleep(0)
        yield desk


async def test_a_second_batch_is_on_its_way_and_does_not_overtake_the_first(desk: Desk) -> None:
    async with desk.both_flying():
        assert (desk.said, await desk.stored()) == ([], [])
    await eventually(lambda: len(desk.said) == 1 + MANY)
    assert desk.said == [(key, None) for key in ("first", *REST)]
    assert await desk.stored() == await desk.queued() == ["first", *REST]


async def test_what_becomes_of_the_first_batch_does_not_touch_the_second(desk: Desk) -> None:
    async with desk.both_flying():
        await desk.rows(f"SELECT pg_terminate_backend(pid) FROM ({_BLOCKED}) blocked")
        await eventually(lambda: len(desk.said) == 1 + MANY)
    (key, error), *others = desk.said
    assert key == "first"
    assert isinstance(error, Unavailable)
    assert others == [(key, None) for key in REST]
    assert await desk.stored() == await desk.queued() == REST


async def test_a_few_wait_for_the_batch_that_is_on_its_way(desk: Desk) -> None:
    async with desk.first_held_up():
        desk.keep(*REST[1:])
        await asyncio.sleep(0.05)
        assert len(await desk.rows(_UNDER_WAY)) == 1
    await eventually(lambda: len(desk.said) == MANY)
    assert await desk.stored() == ["first", *REST[1:]]


async def test_the_same_delivery_waits_for_the_one_that_is_on_its_way(desk: Desk) -> None:
    async with desk.first_held_up():
        desk.keep("first", *REST)
        await asyncio.sleep(0.05)
        assert len(await desk.rows(_UNDER_WAY)) == 1
    await eventually(lambda: len(desk.said) == 2 + MANY)
    assert desk.said == [(key, None) for key in ("first", "first", *REST)]
    assert await desk.stored() == ["first", *REST]


async def test_ids_and_places_tell_the_order_also_where_the_first_batch_waits_for_a_connection(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = asyncio.Event()
    begun: list[asyncio.Event] = [free]

    @asynccontextmanager
    async def transaction(*scope: Any, **how: Any) -> AsyncIterator[Transaction]:
        if begun:
            await begun.pop().wait()
        async with Database.transaction(desk.database, *scope, **how) as tx:
            yield tx

    monkeypatch.setattr(desk.intake, "_database", SimpleNamespace(transaction=transaction))
    desk.keep("first")
    await eventually(lambda: not begun)
    desk.keep(*REST)
    await answer(lambda: desk.rows(_UNDER_WAY))
    free.set()
    await eventually(lambda: len(desk.said) == 1 + MANY)
    assert await desk.stored() == await desk.queued() == ["first", *REST]


async def test_deliveries_that_come_closely_are_stored_together_though_none_waits_for_another(desk: Desk) -> None:
    batches: list[int] = []
    desk.intake.on_stored.append(lambda networks: batches.append(networks.total()))
    count = 100
    for number in range(count):
        desk.keep(f"n{number}")
        await asyncio.sleep(0.003)
    await eventually(lambda: len(desk.said) == count)
    assert sum(batches) == count
    assert len(batches) < count / 2
