"""Services as processes of their own on Kafka, two of each consumer, while the broker and one of each kind die."""

import asyncio
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.support.burst import Clerk, Round, burst, check
from tests.support.callers import Api, connected, hired
from tests.support.fleet import Fleet
from tests.support.forks import Forks
from tests.support.kafka import Broker
from tests.support.page import connected_page

SOAK = bool(os.environ.get("BATON_SOAK"))
BURST = 20_000 if SOAK else 1_500
PEOPLE = 400 if SOAK else 100
PATIENCE = 20
"""Seconds: far above what it takes, so that a busy machine fails no test."""

pytestmark = [pytest.mark.timeout(1800 if SOAK else 300), pytest.mark.slow, pytest.mark.usefixtures("kafka_is_here")]


class Mortals:
    """A fleet and its broker: the broker dies, and with it one consumer of each kind."""

    def __init__(self, fleet: Fleet, broker: Broker) -> None:
        self.fleet = fleet
        self.broker = broker
        self.recovered_after = 0.0
        """Seconds from the moment at which the broker listened again to the next message on a ticket."""
        # The other one of each stays, for it is the one that callers reach.
        self._victims = {process.service: process for process in fleet.processes if process.service != "ingest"}

    async def die(self) -> None:
        self.broker.kill()
        for process in self._victims.values():
            process.kill()

    async def revive(self) -> None:
        await asyncio.sleep(1)
        self.broker.spawn()
        for process in self._victims.values():
            process.spawn()
        await asyncio.to_thread(self.broker.wait_ready)
        back, before = time.monotonic(), await self._messages()
        while await self._messages() == before:  # noqa: ASYNC110 - nobody tells a test
            await asyncio.sleep(0.05)
        self.recovered_after = time.monotonic() - back
        for process in self._victims.values():
            await asyncio.to_thread(process.wait_ready)

    async def _messages(self) -> int:
        connection = await asyncpg.connect(self.fleet.env["BATON_DATABASE_URL"], timeout=10)
        try:
            return int(await connection.fetchval("SELECT count(*) FROM tickets.message"))
        finally:
            await connection.close(timeout=5)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path / "broker")
    try:
        yield broker.start()
    finally:
        broker.stop()


@pytest.fixture
def fleet(tmp_path: Path, forks: Forks, dsn: str, broker: Broker) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path / "fleet", forks, database_url=dsn, event_log=f"kafka://{broker.servers}", prefix="")
    try:
        yield fleet.start()
    finally:
        fleet.show()
        fleet.end()


async def test_a_burst_survives_the_broker_and_one_process_of_each_kind(fleet: Fleet, broker: Broker) -> None:
    chance = random.Random(7)
    async with connected(fleet) as http, connected_page(Api(http, fleet.admin)) as page:
        agents = await hired(page.admin, 2)
        clerks = [Clerk(agent, page, chance) for agent in agents]
        story = Round()
        mortals = Mortals(fleet, broker)
        await burst(mortals, page, clerks, story, chance, size=BURST, people=PEOPLE, replies=4)
        await check(page, clerks, story)
        assert await fleet.problems() == []
    print(f"{len(story.items)} messages; on the move again {mortals.recovered_after:.1f} s after the broker was back")  # noqa: T201
    assert mortals.recovered_after < PATIENCE
    assert set(fleet.end()) == {0}
