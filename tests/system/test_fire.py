"""SIGKILL at every failpoint, on both logs, in the middle of work: nothing is lost, doubled or answered twice."""

import os
import random
import time
from collections.abc import Iterator

import pytest

from tests.support.burst import Clerk, Round, burst, check
from tests.support.callers import Api, connected, hired, until
from tests.support.fire import CASES, HASTE
from tests.support.forks import Fork, Forks
from tests.support.page import connected_page
from tests.support.receiving import Receiver, receiving
from tests.support.system import LOOSE, System

SOAK = bool(os.environ.get("BATON_SOAK"))
ROUNDS = 7 if SOAK else 1
"""Seven times all places on both logs are two hundred deaths."""

SIZE, PEOPLE = 16, 4
SECONDS = 60
"""For one death and what follows: far above what it takes, so that a busy machine fails no test."""


class Dying:
    """A system that dies at one place and starts again on the same data."""

    def __init__(self, system: System, failpoint: str) -> None:
        self._system = system
        self._failpoint = failpoint

    async def die(self) -> None:
        """By its own hand, when it next comes by."""
        process, before = self._system.process, self._system.said_bytes
        assert isinstance(process, Fork)
        process.arm(f"{self._failpoint}=kill")
        assert await self._system.died(within=SECONDS) == -9
        assert f"failpoint {self._failpoint}: kill" in self._system.said(before)

    async def revive(self) -> None:
        """On the same port."""
        await self._system.restart()


class Endpoint:
    """What a webhook endpoint was pushed, beside what there was to tell."""

    def __init__(self, admin: Api, receiver: Receiver) -> None:
        self._admin = admin
        self._receiver = receiver
        self._head = 0

    async def connect(self) -> None:
        """Subscribes to everything, from now on."""
        await self._admin.made("/v1/endpoints", {"url": self._receiver.url, "event_types": ["*"]})
        self._head = await self._read(self._head)

    async def check(self) -> None:
        """Everything that happened since the last look was pushed; what came twice came under one id."""
        before = self._head
        self._head = await self._read(before)
        wanted = set(range(before + 1, self._head + 1))

        async def are_there() -> bool:
            return wanted <= set(self._receiver.sequences)

        await until(are_there, within=SECONDS)
        ids = {(push.body["sequence"], push.headers["webhook-id"]) for push in self._receiver.pushes}
        assert len(ids) == len({number for number, _ in ids}) == len({webhook_id for _, webhook_id in ids})

    async def _read(self, after: int) -> int:
        while True:
            page = await self._admin.get("/v1/changes", after=after, limit=500)
            if not page["data"]:
                return after
            after = page["data"][-1]["sequence"]


@pytest.fixture
def system(
    tmp_path_factory: pytest.TempPathFactory, forks: Forks, event_log: str, request: pytest.FixtureRequest
) -> Iterator[System]:
    home = System(tmp_path_factory.mktemp("fire"), forks, settings=LOOSE | HASTE, event_log=event_log)
    try:
        yield home.start()
    finally:
        home.show()
        home.end()


@pytest.mark.slow
@pytest.mark.timeout(3600 if SOAK else 300)
async def test_a_process_that_is_killed_at_any_failpoint_loses_doubles_and_swaps_nothing(
    system: System, event_log: str
):
    log = event_log.partition(":")[0]
    chance = random.Random(11)
    places = [name for name, logs in CASES.items() if log in logs] * ROUNDS
    chance.shuffle(places)
    async with connected(system) as http, connected_page(Api(http, system.admin)) as page, receiving() as receiver:
        agents = [Api(http, agent.key, agent=agent) for agent in system.agents]
        [lead] = await hired(page.admin, 1, role="lead")
        clerks = [*(Clerk(agent, page, chance) for agent in agents), Clerk(lead, page, chance, takes_over=True)]
        endpoint, story = Endpoint(page.admin, receiver), Round()
        await endpoint.connect()
        for place in places:
            began = time.monotonic()
            dying = Dying(system, place)
            await burst(dying, page, clerks, story, chance, size=SIZE, people=PEOPLE)
            died = time.monotonic()
            await check(page, clerks, story)
            await endpoint.check()
            print(f"{place}: {died - began:.1f} s, audit {time.monotonic() - died:.1f} s")  # noqa: T201
        assert len(page.network.received) > len(places) / 2, "hardly anything was answered"
        assert await system.problems() == []
