"""SIGKILL in the middle of everything: what was acknowledged is there once, and nobody is answered twice."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.support.callers import Api, at_once, connected, until
from tests.support.page import Page, connected_page, unique
from tests.support.system import System

SOAK = bool(os.environ.get("BATON_SOAK"))
ROUNDS = 25 if SOAK else 3
BURST = 520
FINAL = {"sent", "held", "failed", "unknown"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that is killed and started again on the same data."""
    system = System(tmp_path_factory.mktemp("kill"))
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


@dataclass
class Clerk:
    """An agent who answers what has no answer yet, and asks again with the same key when the line goes dead."""

    api: Api
    page: Page
    chance: random.Random
    accepted: list[str] = field(default_factory=list)
    fences: dict[str, list[int]] = field(default_factory=dict)

    async def work(self, done: asyncio.Event) -> None:
        """Until told to stop."""
        while not done.is_set():
            await self._one()
            await asyncio.sleep(0.02)

    async def _one(self) -> None:
        listed = await self._get("/v1/tickets", network="facebook", sort="updated", limit="50")
        waiting = [ticket for ticket in listed["data"] if ticket["waiting_since"]] if listed else []
        if not waiting:
            await asyncio.sleep(0.05)
            return
        ticket = self.chance.choice(waiting)
        lines = await self._get(f"/v1/tickets/{ticket['id']}/timeline", order="desc", limit="50")
        said = (
            [line["kind"] for line in lines["data"] if line["kind"] in {"message", "reply", "answer"}] if lines else []
        )
        if said[:1] != ["message"]:
            return
        seen = max(line["seq"] for line in lines["data"])
        body = {"text": f"{self.api.agent.name} says {unique()}", "seen_seq": seen}
        answer = await self._post(f"/v1/tickets/{ticket['id']}/replies", body)
        assert answer.status_code in {202, 409, 423}, answer.text
        if answer.status_code == 202:
            self.accepted.append(answer.json()["id"])
            self.fences.setdefault(ticket["customer"]["id"], []).append(answer.json()["fence"])

    async def _get(self, path: str, **query: str) -> Any:
        try:
            response = await self.api.http.get(path, params=query, headers=self.api.headers())
        except httpx.TransportError:
            await asyncio.sleep(0.1)
            return None
        return response.json() if response.status_code == 200 else None

    async def _post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        key = f"try-{unique()}"
        while True:
            try:
                answer = await self.api.post(path, body, Idempotency_Key=key)
            except httpx.TransportError:
                await asyncio.sleep(0.1)
                continue
            if answer.status_code != 503 and answer.json().get("code") != "request-in-progress":
                return answer


@dataclass
class Round:
    """What was sent and heard in one life of the process and the next."""

    items: dict[str, int] = field(default_factory=dict)
    """Provider ids of acknowledged messages, and who wrote each."""

    async def send(self, page: Page, author: int, *, direct: bool) -> None:
        """One webhook, until it is acknowledged."""
        item = f"m_{unique()}" if direct else f"{page.post}_{unique()}"
        body = (page.direct if direct else page.comment)(author, f"Message {item}", item=item)
        await page.say(body)
        self.items[item] = author


@pytest.mark.timeout(3600 if SOAK else 240)
async def test_a_process_that_is_killed_in_a_burst_loses_and_doubles_nothing(system: System):
    chance = random.Random(ROUNDS)
    async with connected(system) as http, connected_page(Api(http, system.admin)) as page:
        clerks = [Clerk(Api(http, agent.key, agent=agent), page, chance) for agent in system.agents]
        story = Round()
        for _ in range(ROUNDS):
            await burst(system, page, clerks, story, chance)
        await check(system, page, clerks, story)


async def burst(system: System, page: Page, clerks: list[Clerk], story: Round, chance: random.Random) -> None:
    """Hundreds of webhooks while agents answer; the process dies somewhere in the middle and comes back."""
    done = asyncio.Event()
    sent = len(story.items)
    authors = [unique() for _ in range(60)]
    gate = asyncio.Semaphore(40)

    async def one() -> None:
        async with gate:
            await story.send(page, chance.choice(authors), direct=chance.random() < 0.3)

    async def strike() -> None:
        dies_after = sent + chance.randrange(BURST // 5, BURST * 4 // 5)

        async def far_enough() -> bool:
            return len(story.items) >= dies_after

        await until(far_enough, within=60, every=0.005)
        system.kill()
        await system.restart()

    async with asyncio.TaskGroup() as group:
        working = [group.create_task(clerk.work(done)) for clerk in clerks]
        striking = group.create_task(strike())
        await at_once(one() for _ in range(BURST))
        await striking
        await asyncio.sleep(0.5)
        done.set()
        await asyncio.wait(working)


async def check(system: System, page: Page, clerks: list[Clerk], story: Round) -> None:
    """The audit, from outside."""
    admin = page.admin

    async def settled() -> bool:
        waiting = await admin.get("/v1/inbox", channel_id=page.id, state="pending", limit=1)
        return not waiting["data"]

    await until(settled, within=30)
    where: dict[str, list[str]] = {}
    tickets = await admin.every("/v1/tickets", network="facebook", state="any")
    per_customer = Counter(ticket["customer"]["id"] for ticket in tickets)

    async def everything() -> bool:
        where.clear()
        for ticket in await admin.every("/v1/tickets", network="facebook", state="any"):
            for line in await admin.timeline(ticket["id"]):
                message = line.get("message") or {}
                if line["kind"] in {"message", "native"} and message.get("channel_id") == page.id:
                    where.setdefault(message["external_id"], []).append(ticket["id"])
        return set(story.items) <= set(where)

    await until(everything, within=30, every=0.5)
    assert set(where) == set(story.items), "messages that nobody wrote, or echoes taken for messages"
    assert {item: ids for item, ids in where.items() if len(ids) > 1} == {}
    assert set(per_customer.values()) == {1}
    await answers(page, clerks)
    for clerk in clerks:
        for fences in clerk.fences.values():
            assert fences == sorted(fences)
    assert await system.problems() == []


async def answers(page: Page, clerks: list[Clerk]) -> None:
    """Every accepted reply has an end, which is what the network saw; no turn has two writers."""
    admin = page.admin
    accepted = [reply for clerk in clerks for reply in clerk.accepted]
    assert len(accepted) == len(set(accepted)) > ROUNDS
    ends = {shown["id"]: shown for shown in [await admin.settled(reply, within=100) for reply in accepted]}
    assert {shown["state"] for shown in ends.values()} <= FINAL
    received = Counter(one.text for one in page.network.received)
    assert [text for text, count in received.items() if count > 1] == []
    texts = {shown["text"]: shown for shown in ends.values()}
    assert set(received) <= set(texts), "the network got what nobody had been promised"
    for text, shown in texts.items():
        if shown["state"] != "unknown":
            assert (text in received) == (shown["state"] == "sent"), shown
    writers: dict[str, set[str]] = {}
    for text in received:
        for turn in texts[text]["turns"]:
            writers.setdefault(turn, set()).add(texts[text]["author"]["id"])
    assert {turn: who for turn, who in writers.items() if len(who) > 1} == {}


# -- at one place -----------------------------------------------------------------------------------------------------

STEPS = ("inbox.stored", "normalizer.before_commit", "consumer.before_commit")


@pytest.mark.timeout(150)
async def test_a_message_survives_a_death_at_every_step_of_its_way(system: System):
    async with connected(system) as http, connected_page(Api(http, system.admin)) as page:
        author, items = unique(), [f"{page.post}_{unique()}" for _ in range(3)]
        bodies = [page.comment(author, f"Message {item}", item=item) for item in items]
        system.kill()
        async with asyncio.TaskGroup() as group:
            for body in bodies:
                group.create_task(page.say(body))
            for step in STEPS:
                # What the last life left undone may end this one before it can say that it is ready.
                system.spawn(BATON_FAILPOINTS=f"{step}=kill")
                assert await system.died() == -9
            await system.restart()
        await until(lambda: _all_there(page, author, items), within=20)
        # The same bytes once more, as networks do that never heard the answer.
        await page.say(bodies[0])
        [ticket] = await page.tickets_of(author)
        await page.quiet(ticket, calm=0.3)
        assert await _all_there(page, author, items)
        assert await system.problems() == []


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
        await until(lambda: _is(alice, claimed, "unknown"), within=20)
        await until(lambda: _is(alice, sent, "sent"), within=20)
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


async def _all_there(page: Page, author: int, items: list[str]) -> bool:
    found = await page.tickets_of(author)
    assert len(found) <= 1
    if not found:
        return False
    lines = await page.admin.timeline(found[0]["id"])
    said = Counter(line["message"]["external_id"] for line in lines if line["kind"] == "message")
    assert set(said.values()) <= {1}
    return set(said) == set(items)
