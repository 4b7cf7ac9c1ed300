"""SIGKILL in the middle of everything: what was acknowledged is there once, and nobody is answered twice."""

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.burst import Clerk, Round, burst, check
from tests.support.callers import Api, connected, until
from tests.support.database import PATIENCE, Outage
from tests.support.fire import HASTE
from tests.support.forks import Forks
from tests.support.page import connected_page
from tests.support.system import LOOSE, System

SOAK = bool(os.environ.get("BATON_SOAK"))
ROUNDS = 25 if SOAK else 3
BURST = 520


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, forks: Forks, event_log: str) -> Iterator[System]:
    """A system that is killed and started again on the same data."""
    system = System(tmp_path_factory.mktemp("kill"), forks, settings=LOOSE | HASTE, event_log=event_log)
    try:
        yield system.start()
    finally:
        system.end()


@pytest.fixture
def system(home: System) -> Iterator[System]:
    """The system, running; what it says during a test is shown when the test fails."""
    if home.process.poll() is not None:
        home.start()
    before = home.said_bytes
    yield home
    home.show(before)


@pytest.mark.timeout(3600 if SOAK else 360)
async def test_a_process_that_is_killed_in_a_burst_loses_and_doubles_nothing(system: System):
    chance = random.Random(ROUNDS)
    async with connected(system) as http, connected_page(Api(http, system.admin)) as page:
        clerks = [Clerk(Api(http, agent.key, agent=agent), page, chance) for agent in system.agents]
        story = Round()
        for _ in range(ROUNDS):
            await burst(system, page, clerks, story, chance, size=BURST)
        await check(page, clerks, story)
        assert await system.problems() == []


@pytest.mark.timeout(600 if SOAK else 240)
async def test_a_database_that_is_killed_in_a_burst_is_started_again_and_loses_and_doubles_nothing(system: System):
    chance = random.Random(ROUNDS)
    async with connected(system) as http, connected_page(Api(http, system.admin)) as page:
        clerks = [Clerk(Api(http, agent.key, agent=agent), page, chance) for agent in system.agents]
        story = Round()
        outage = Outage(system=system, dsn=system.database_url)
        await burst(outage, page, clerks, story, chance, size=BURST if SOAK else BURST // 3, people=40)
        await check(page, clerks, story)
        assert await system.problems() == []
    print(f"{len(story.items)} messages; moving {outage.recovered_after:.1f} s after the database was back")  # noqa: T201
    assert outage.recovered_after < PATIENCE
    assert system.process.poll() is None


# -- at one place -----------------------------------------------------------------------------------------------------


@pytest.mark.timeout(150)
async def test_a_reply_whose_sender_died_is_never_sent_again(system: System):
    async with connected(system) as http, connected_page(Api(http, system.admin)) as page:
        alice, bob = (Api(http, agent.key, agent=agent) for agent in system.agents)
        [(_, before, first), (_, after, second)] = [await page.asked() for _ in range(2)]
        claimed = await _dying_at("reply.claimed", system, alice, first)
        assert page.received(before) == []
        sent = await _dying_at("reply.sent", system, alice, second)
        assert len(page.received(after)) == 1
        await system.restart()
        # One was heard by nobody, which nobody can know; the other's echo tells.
        await until(lambda: _is(alice, claimed, "unknown"))
        await until(lambda: _is(alice, sent, "sent"))
        for ticket in (first, second):
            beside = await bob.reply(await page.quiet(ticket), "Hello?")
            assert beside.status_code in {409, 423}, beside.text
        await page.quiet(second, calm=0.5)
        assert [one.target for one in page.network.received] == [after]
        assert await system.problems() == []


async def _dying_at(step: str, system: System, caller: Api, ticket: dict[str, Any]) -> str:
    """The id of a reply that its sender dies with."""
    if system.process.poll() is None:
        system.kill()
    await system.restart(BATON_FAILPOINTS=f"{step}=kill")
    answer = await caller.reply(ticket, f"Dies at {step}")
    assert answer.status_code == 202, answer.text
    assert await system.died() == -9
    return str(answer.json()["id"])


async def _is(caller: Api, reply_id: str, state: str) -> bool:
    return bool((await caller.get(f"/v1/replies/{reply_id}"))["state"] == state)
