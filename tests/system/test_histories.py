"""What sixteen clients saw of leases and tickets, across a death of the process, could have happened one by one."""

import asyncio
import os
import random
import time
from collections.abc import Iterator

import pytest

from tests.support.callers import Api, at_once, connected, until
from tests.support.crowd import DURATIONS, Client, Story, ask_again, gather_crowd, open_stories, rushing
from tests.support.forks import Forks
from tests.support.page import Page, connected_page
from tests.support.system import System

SOAK = bool(os.environ.get("BATON_SOAK"))
SEEDS = 20 if SOAK else 1
TICKETS = 3
HEARD = 1500 if SOAK else 220
"""Answers before the death, and after it."""

HAPPENS = {
    ("acquire", "granted"),
    ("acquire", "held"),
    ("amend", "done"),
    ("amend", "stale"),
    ("beat", "fenced-off"),
    ("crash", "crashed"),
    ("read", "held"),
    ("take over", "granted"),
}
"""What a history without which would show nothing."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> Iterator[System]:
    """A system that is killed and started again; the log, on which no lease depends, is the cheaper one."""
    system = System(tmp_path_factory.mktemp("histories"), forks)
    try:
        yield system.start()
    finally:
        system.end()


@pytest.fixture
def system(home: System) -> Iterator[System]:
    """The system; what it says during a test is shown when the test fails."""
    before = home.said_bytes
    yield home
    home.show(before)


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.timeout(300 if SOAK else 120)
async def test_what_sixteen_clients_saw_across_a_death_could_have_happened_one_by_one(system: System, seed: int):
    chance = random.Random(seed)
    async with connected(system) as http, connected_page(Api(http, system.admin)) as page:
        await hurry(page.admin)
        clients, stories = await gather_crowd(system, page.admin, chance), await open_stories(page, TICKETS)
        async with rushing(clients, stories):
            await heard(clients, HEARD)
            await at_once(ask_again(page, story) for story in stories)
            await asyncio.sleep(chance.random() / 2)
            killed = time.monotonic()
            await system.die()
            await system.revive()
            for story in stories:
                story.crashed(killed, time.monotonic())
            await heard(clients, 2 * HEARD)
        for story in stories:
            await page.quiet(await page.admin.get(f"/v1/tickets/{story.id}"))
            assert await clients[0].once(http, story, "read")
            story.check()
        assert what_happened(stories) >= HAPPENS
        assert {target: writers for target, writers in who_answered(page).items() if len(writers) > 1} == {}


async def hurry(admin: Api) -> None:
    """Leases of the workspace end soon."""
    shown = await admin.call("GET", "/v1/workspace")
    changed = await admin.call("PATCH", "/v1/workspace", {"settings": DURATIONS}, If_Match=shown.headers["ETag"])
    assert changed.status_code == 200, changed.text


async def heard(clients: list[Client], count: int) -> None:
    """Until all of them together have heard so many answers."""

    async def enough() -> bool:
        return sum(client.heard for client in clients) >= count

    await until(enough, within=120 if SOAK else 60)


def what_happened(stories: list[Story]) -> set[tuple[str, str]]:
    """Verbs and verdicts of everything that was answered."""
    operations = [one for story in stories for one in (*story.of_lease, *story.of_ticket)]
    return {(one.call.verb, one.result.verdict) for one in operations if one.result is not None}


def who_answered(page: Page) -> dict[str, set[str]]:
    """By the comment that was answered: who wrote what reached the network."""
    found: dict[str, set[str]] = {}
    for one in page.network.received:
        found.setdefault(one.target, set()).add(one.text.split()[0])
    return found
