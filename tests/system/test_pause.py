"""SIGSTOP beyond a deadline, and SIGCONT: what a sleeper held moves on, and its awakening changes nothing."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import httpx
import pytest

from tests.support.burst import Round, check
from tests.support.callers import Api, at_once, connected, hired, until
from tests.support.fire import HASTE
from tests.support.fleet import SETTINGS, Fleet, Process
from tests.support.forks import Forks
from tests.support.page import Page, connected_page, unique
from tests.support.postgres import Server

EVERYTHING = "ingest router tickets notifier"
PROCESSES = (EVERYTHING, EVERYTHING, "ingest")
SLEEPER, RELAY = 1, 2
"""The first one is whom everybody calls; the last one has no consumers, whose moves take longer than a relay's."""

SECONDS = 40
TRIES = 20
"""Tries, at most, until the sleeper has got something to do: half of everything is its."""

CROWD = 6

PLACES = {
    "postgres": {"consumer.before_commit": SLEEPER},
    "kafka": {"relay.before_send": RELAY, "relay.sent": RELAY, "consumer.committed": SLEEPER},
}
"""Where a timer runs, and who falls asleep there."""

on_postgres = pytest.mark.parametrize("event_log", ["postgres"], indirect=True)
"""Claims and leases are on no log."""

pytestmark = [pytest.mark.timeout(150), pytest.mark.slow]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, forks: Forks, server: Server, event_log: str) -> Iterator[Fleet]:
    """Processes that share all work, on one database."""
    path = tmp_path_factory.mktemp("pause")
    with server.database() as dsn:
        fleet = Fleet(
            path,
            forks,
            database_url=dsn,
            event_log=event_log,
            prefix=f"{path.name}-{unique()}-",
            services=PROCESSES,
            settings=SETTINGS | HASTE,
        )
        try:
            yield fleet.start()
        finally:
            fleet.end()


@pytest.fixture
def fleet(home: Fleet) -> Iterator[Fleet]:
    """All awake at the end, whatever became of the test."""
    yield home
    for process in home.processes:
        process.wake()
    home.show()


@pytest.fixture
def sleeper(fleet: Fleet) -> Process:
    """One that nobody calls."""
    return fleet.processes[SLEEPER]


@pytest.fixture
async def admin(fleet: Fleet) -> AsyncIterator[Api]:
    """By the process that stays awake."""
    async with connected(fleet) as http:
        yield Api(http, fleet.admin)


async def test_what_a_sleeper_was_about_to_do_is_done_without_it_and_once(fleet: Fleet, admin: Api, event_log: str):
    for place, number in PLACES[event_log.partition(":")[0]].items():
        began, sleeper = time.monotonic(), fleet.processes[number]
        async with asleep(sleeper, place, admin) as (page, story):
            await at_once(story.send(page, unique(), direct=False) for _ in range(CROWD))
            await check(page, [], story)
            sleeper.wake()
            await at_once(story.send(page, unique(), direct=False) for _ in range(CROWD))
            await check(page, [], story)
        print(f"{place}: {time.monotonic() - began:.1f} s")  # noqa: T201
    assert await fleet.problems() == []


@asynccontextmanager
async def asleep(sleeper: Process, place: str, admin: Api) -> AsyncIterator[tuple[Page, Round]]:
    """Channels get messages until the sleeper has got some of one, and has fallen asleep over them."""
    sleeper.arm(f"{place}=stop")
    async with AsyncExitStack() as stack:
        for _ in range(TRIES):
            page, story = await stack.enter_async_context(connected_page(admin)), Round()
            await at_once(story.send(page, unique(), direct=False) for _ in range(CROWD))
            await until(partial(_asleep_or_done, sleeper, page, story), within=SECONDS)
            if sleeper.is_asleep:
                yield page, story
                return
    raise AssertionError(f"it never came by {place}")


async def take_over(lead: Api, ticket: dict[str, Any]) -> None:
    """The sleeper may hold a row of the ticket in its hand for as long as the database lets it."""
    answer = await lead.patient(f"/v1/tickets/{ticket['id']}/lease/takeover", {"mode": "force"})
    assert answer.is_success, f"{answer.status_code}: {answer.text}"


@on_postgres
async def test_a_sender_that_sleeps_past_its_claim_sends_nothing_and_nobody_sends_for_it(
    fleet: Fleet, sleeper: Process, admin: Api
):
    [alice], [lead] = await hired(admin, 1), await hired(admin, 1, role="lead")
    for place, truth in (("reply.claimed", "failed"), ("reply.sent", "sent")):
        async with connected_page(admin) as page:
            asked, replies = await answered_asleep(sleeper, place, page, alice)
            for _, _, ticket in asked:
                await take_over(lead, ticket)
            await at_once(alice.settled(reply, within=SECONDS) for reply in replies)
            before = Counter(one.target for one in page.network.received)
            sleeper.wake()
            # What it says when it wakes is the truth about what was unknown.
            ends = await at_once(until(partial(_end, alice, reply), within=SECONDS) for reply in replies)
            assert Counter(one.target for one in page.network.received) == before
            assert before == Counter(item for (_, item, _), end in zip(asked, ends, strict=True) if end == "sent")
            assert truth in ends


@on_postgres
async def test_what_slept_between_its_last_look_and_the_socket_leaves_late_and_nobody_answered_meanwhile(
    fleet: Fleet, sleeper: Process, admin: Api
):
    [alice], [lead] = await hired(admin, 1), await hired(admin, 1, role="lead")
    async with connected_page(admin) as page:
        asked, replies = await answered_asleep(sleeper, "reply.checked", page, alice)
        ends = await at_once(alice.settled(reply, within=SECONDS) for reply in replies)
        late = [number for number, end in enumerate(ends) if end["state"] == "unknown"]
        for number in late:
            await take_over(lead, asked[number][2])
            refused = await lead.reply(await page.quiet(asked[number][2]), "Instead")
            assert refused.status_code == 409, refused.text
        sleeper.wake()
        ends = await at_once(until(partial(_end, alice, reply), within=SECONDS) for reply in replies)
        assert Counter(one.target for one in page.network.received) == Counter(
            item for (_, item, _), end in zip(asked, ends, strict=True) if end == "sent"
        )
        assert "sent" in {ends[number] for number in late}


@on_postgres
async def test_an_agent_whose_process_sleeps_past_the_lease_wakes_to_a_refusal(sleeper: Process, admin: Api):
    workspace = await admin.get("/v1/workspace")
    short = {"settings": {"heartbeat": 300, "lease_ttl": 1_000}}
    amended = await admin.call("PATCH", "/v1/workspace", short, If_Match=f'"{workspace["version"]}"')
    assert amended.status_code == 200, amended.text
    alice, bob = await hired(admin, 2)
    async with (
        connected_page(admin) as page,
        httpx.AsyncClient(base_url=sleeper.url, timeout=2 * SECONDS, trust_env=False) as http,
    ):
        _, item, ticket = await page.asked()
        there = Api(http, alice.key)
        lease = await there.made(f"/v1/tickets/{ticket['id']}/lease")
        sleeper.sleep()
        async with asyncio.TaskGroup() as group:
            late = group.create_task(there.reply(ticket, "From a dream", fence=lease["fence"]))
            taken = await until(partial(_lease, bob, ticket), within=SECONDS)
            assert taken["fence"] > lease["fence"]
            answer = await bob.reply(await page.quiet(ticket), "Awake", fence=taken["fence"])
            assert (await bob.settled(answer.json()["id"]))["state"] == "sent"
            sleeper.wake()
        assert (late.result().status_code, late.result().json()["code"]) == (409, "fenced-off")
        await page.quiet(ticket, calm=0.5)
        assert [one.text for one in page.received(item)] == ["Awake"]


Asked = tuple[int, str, dict[str, Any]]


async def answered_asleep(sleeper: Process, place: str, page: Page, writer: Api) -> tuple[list[Asked], list[str]]:
    """Questions, and replies to them until the sleeper has fallen asleep over some."""
    sleeper.arm(f"{place}=stop")
    asked: list[Asked] = []
    replies: list[str] = []
    for _ in range(TRIES):
        crowd = await at_once(page.asked() for _ in range(CROWD))
        now = [(await writer.reply(ticket, f"Answer {unique()}")).json()["id"] for _, _, ticket in crowd]
        asked, replies = asked + crowd, replies + now
        await until(partial(_asleep_or_settled, sleeper, writer, now), within=SECONDS)
        if sleeper.is_asleep:
            return asked, replies
    raise AssertionError(f"it never came by {place}")


async def _asleep_or_settled(process: Process, writer: Api, replies: list[str]) -> bool:
    ends = [(await writer.get(f"/v1/replies/{reply}"))["state"] for reply in replies]
    return process.is_asleep or not {"queued", "sending"} & set(ends)


async def _asleep_or_done(process: Process, page: Page, story: Round) -> bool:
    return process.is_asleep or all(await at_once(map(page.tickets_of, story.items.values())))


async def _end(caller: Api, reply_id: str) -> str | None:
    state = (await caller.get(f"/v1/replies/{reply_id}"))["state"]
    return state if state in {"sent", "failed", "held"} else None


async def _lease(caller: Api, ticket: dict[str, Any]) -> dict[str, Any] | None:
    answer = await caller.post(f"/v1/tickets/{ticket['id']}/lease")
    return answer.json() if answer.status_code == 200 else None
