"""The promises of the design with fifty at once, from the webhook to the network and back."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from shared.log.background import running
from tests.support.callers import Api, at_once, hired, other_workspace, until
from tests.support.page import REFUSED, SECRET, THROTTLED, Facebook, Page, connected_page, deliver, unique
from tests.support.system import System

CROWD = 50
MANY = 100
REFUSALS = {"lease-held", "turn-taken", "thread-moved"}


class Twofold(Facebook):
    """A Page that two workspaces have connected: whatever it tells the first, it tells the other as well."""

    def __init__(self) -> None:
        super().__init__(secret=SECRET, account=str(unique()))
        self.said: asyncio.Queue[bytes] = asyncio.Queue()

    def sign(self, body: bytes) -> dict[str, str]:
        """As the network, and the other workspace will hear of it."""
        self.said.put_nowait(body)
        return super().sign(body)

    async def tell(self, http: httpx.AsyncClient, path: str) -> None:
        """Tells the other workspace, until cancelled."""
        while True:
            body = await self.said.get()
            try:
                answer = await http.post(path, content=body, headers=super().sign(body))
                assert answer.status_code == 200, answer.text
            finally:
                self.said.task_done()


@pytest.fixture
async def page(system: System, http: httpx.AsyncClient, admin: Api) -> AsyncIterator[Page]:
    """A Page that another workspace has, too, at the same time and with the same ids: neither notices the other."""
    network = Twofold()
    stranger = await other_workspace(system, http)
    async with connected_page(stranger, network=Facebook(secret=SECRET, account=network.account)) as theirs:
        async with running(lambda: network.tell(http, theirs.path)), connected_page(admin, network=network) as ours:
            yield ours
            await network.said.join()
        await until(lambda: _is_normalized(stranger))
        await _is_undisturbed(stranger)
        assert theirs.network.received == []


async def _is_normalized(caller: Api) -> bool:
    return not (await caller.get("/v1/inbox", state="pending", limit=1))["data"]


async def _is_undisturbed(caller: Api) -> None:
    """Every message is there once, and what the first workspace's agents did is seen only as the network shows it."""
    assert (await caller.get("/v1/collisions"))["data"] == []
    tickets = await caller.every("/v1/tickets", state="any")
    assert tickets
    for ticket in tickets:
        lines = await caller.timeline(ticket["id"])
        said = Counter(line["message"]["external_id"] for line in lines if line["kind"] == "message")
        assert set(said.values()) <= {1}
        assert {line["kind"] for line in lines} & {"reply", "answer", "lease"} == set()
        assert await caller.get(f"/v1/tickets/{ticket['id']}/drafts") == []


async def texts_kept(callers: list[Api], ticket_id: str) -> list[str]:
    """The texts of everybody's drafts."""
    found = await at_once(caller.get(f"/v1/tickets/{ticket_id}/drafts") for caller in callers)
    return sorted(draft["text"] for drafts in found for draft in drafts)


async def test_the_same_webhook_fifty_times_at_once_is_one_message(page: Page, http: httpx.AsyncClient, admin: Api):
    author, item = unique(), f"{page.post}_{unique()}"
    body = page.comment(author, "Where is it?", item=item)
    answers = await at_once(deliver(http, page, body) for _ in range(CROWD))
    assert {answer.status_code for answer in answers} == {200}
    ticket = await page.quiet(await page.ticket_of(author))
    lines = await admin.timeline(ticket["id"])
    assert [line["message"]["external_id"] for line in lines if line["kind"] == "message"] == [item]
    assert len((await admin.get("/v1/inbox", channel_id=page.id))["data"]) == 1


async def test_fifty_first_messages_of_one_stranger_are_one_ticket(page: Page, http: httpx.AsyncClient, admin: Api):
    author, items = unique(), [f"{page.post}_{unique()}" for _ in range(CROWD)]
    bodies = [page.comment(author, f"Photo {number}", item=item) for number, item in enumerate(items)]
    answers = await at_once(deliver(http, page, body) for body in bodies)
    assert {answer.status_code for answer in answers} == {200}

    async def said() -> Counter[str]:
        found = await page.tickets_of(author)
        assert len(found) <= 1
        lines = [line for ticket in found for line in await admin.timeline(ticket["id"])]
        return Counter(line["message"]["external_id"] for line in lines if line["kind"] == "message")

    async def all_said() -> bool:
        return (await said()).total() >= CROWD

    await until(all_said)
    assert await said() == Counter(items)


async def test_of_fifty_who_want_the_lease_one_gets_it(page: Page, admin: Api):
    crowd = await hired(admin, CROWD)
    _, _, ticket = await page.asked()
    answers = await at_once(caller.post(f"/v1/tickets/{ticket['id']}/lease") for caller in crowd)
    assert Counter(answer.status_code for answer in answers) == {200: 1, 423: CROWD - 1}
    winner = next(answer.json()["holder"]["id"] for answer in answers if answer.status_code == 200)
    assert {answer.json()["holder"]["id"] for answer in answers if answer.status_code == 423} == {winner}


async def test_of_fifty_who_answer_at_once_the_customer_hears_one_and_no_text_is_lost(page: Page, admin: Api):
    crowd = await hired(admin, CROWD)
    _, item, ticket = await page.asked()
    texts = [f"Answer number {number}" for number in range(CROWD)]
    answers = await at_once(caller.reply(ticket, text) for caller, text in zip(crowd, texts, strict=True))
    accepted = [answer.json()["id"] for answer in answers if answer.status_code == 202]
    assert len(accepted) == 1
    assert {answer.json()["code"] for answer in answers if answer.status_code != 202} <= REFUSALS
    assert (await admin.settled(accepted[0]))["state"] == "sent"
    # Whoever reads the thread and answers anyway is still refused: the turn is somebody else's.
    current = await page.quiet(ticket)
    losers = [caller for caller, answer in zip(crowd, answers, strict=True) if answer.status_code != 202]
    again = await at_once(caller.reply(current, f"Again {number}") for number, caller in enumerate(losers))
    assert {answer.status_code for answer in again} <= {409, 423}
    [taken] = page.received(item)
    kept = [text for text in await texts_kept(crowd, ticket["id"]) if not text.startswith("Again")]
    assert sorted([*kept, taken.text]) == sorted(texts)
    counts = await admin.get("/v1/collisions/counts", ticket=ticket["id"])
    assert {entry["outcome"] for entry in counts} == {"prevented"}


async def test_a_reply_that_waits_does_not_leave_after_a_takeover(page: Page, alice: Api, admin: Api, bob: Api):
    _, item, ticket = await page.asked()
    [supervisor] = await hired(admin, 1, role="lead")
    page.network.refuse += [THROTTLED] * MANY
    first = (await alice.reply(ticket, "I am on it")).json()
    await until(lambda: _throttled(page))
    taken = await supervisor.post(f"/v1/tickets/{ticket['id']}/lease/takeover", {"mode": "force"})
    assert taken.status_code == 200, taken.text
    assert taken.json()["fence"] > first["fence"]
    held = await alice.settled(first["id"])
    assert (held["state"], held["reason"]) == ("held", "takeover")
    assert await texts_kept([alice], ticket["id"]) == ["I am on it"]
    page.network.refuse.clear()
    current = await page.quiet(ticket)
    second = (await supervisor.reply(current, "I took over", fence=taken.json()["fence"])).json()
    assert (await supervisor.settled(second["id"]))["state"] == "sent"
    assert [one.text for one in page.received(item)] == ["I took over"]
    late = await alice.reply(await page.quiet(ticket), "And I", fence=first["fence"])
    assert (late.status_code, late.json()["code"]) == (409, "fenced-off")


async def test_an_answer_in_the_networks_own_app_stops_what_waits(page: Page, alice: Api, admin: Api):
    _, item, ticket = await page.asked()
    lease = await alice.made(f"/v1/tickets/{ticket['id']}/lease")
    page.network.refuse += [THROTTLED] * MANY
    waiting = (await alice.reply(ticket, "From Baton", fence=lease["fence"])).json()
    await until(lambda: _throttled(page))
    await page.say(page.native(item, "From the app"))
    held = await alice.settled(waiting["id"])
    assert (held["state"], held["reason"]) == ("held", "turn-taken")
    assert page.received(item) == []
    assert await texts_kept([alice], ticket["id"]) == ["From Baton"]
    lines = await admin.timeline(ticket["id"])
    assert [line["message"]["text"] for line in lines if line["kind"] == "native"] == ["From the app"]
    assert (await admin.get(f"/v1/tickets/{ticket['id']}"))["lease"] is None
    late = await alice.reply(ticket, "From Baton, again")
    assert (late.status_code, late.json()["code"]) == (409, "thread-moved")


async def test_what_the_network_never_answers_is_unknown_until_its_echo_says_sent(page: Page, alice: Api, bob: Api):
    _, item, ticket = await page.asked()
    page.network.drop_answer = 1
    page.network.echo = False
    reply = (await alice.reply(ticket, "Did it arrive?")).json()
    shown = await alice.settled(reply["id"])
    assert (shown["state"], shown["external_id"]) == ("unknown", None)
    assert shown["ask_after"]
    current = await page.quiet(ticket)
    # It holds its turn: neither a colleague nor its own writer answers beside it.
    for caller in (bob, alice):
        refused = await caller.reply(current, "Hello?")
        assert refused.status_code in {409, 423}, refused.text
    early = await alice.post(f"/v1/replies/{reply['id']}/outcome", {"outcome": "failed"})
    assert early.status_code == 409, early.text
    [taken] = page.received(item)
    echo = page.native(item, taken.text)
    echo["entry"][0]["changes"][0]["value"]["comment_id"] = taken.external_id
    await page.say(echo)

    async def sent() -> dict[str, Any] | None:
        found: dict[str, Any] = await alice.get(f"/v1/replies/{reply['id']}")
        return found if found["state"] == "sent" else None

    assert (await until(sent))["external_id"] == taken.external_id
    lines = await alice.timeline(ticket["id"])
    assert [line["kind"] for line in lines if line["kind"] in {"answer", "native", "message"}] == ["message", "answer"]
    assert len(page.received(item)) == 1


async def test_a_reply_that_the_network_refuses_becomes_a_draft_and_gives_its_turn_back(
    page: Page, alice: Api, admin: Api
):
    _, item, ticket = await page.asked()
    page.network.refuse.append(REFUSED)
    reply = (await alice.reply(ticket, "Not taken")).json()
    assert (await alice.settled(reply["id"]))["state"] == "failed"
    assert await texts_kept([alice], ticket["id"]) == ["Not taken"]
    again = await alice.reply(await page.quiet(ticket), "Taken")
    assert again.status_code == 202, again.text
    assert (await alice.settled(again.json()["id"]))["state"] == "sent"
    assert [one.text for one in page.received(item)] == ["Taken"]


async def test_delivering_and_replaying_everything_again_sends_nothing_again(
    page: Page, alice: Api, admin: Api, http: httpx.AsyncClient
):
    author, item = unique(), f"{page.post}_{unique()}"
    body = page.comment(author, "Where is it?", item=item)
    await page.say(body)
    ticket = await page.quiet(await page.ticket_of(author))
    reply = (await alice.reply(ticket, "On its way")).json()
    assert (await alice.settled(reply["id"]))["state"] == "sent"
    before = await page.quiet(ticket, calm=0.3)
    assert {(await deliver(http, page, body)).status_code for _ in range(5)} == {200}
    replayed = await admin.made("/v1/inbox/replay", {"channel_id": page.id})
    assert replayed["count"] == 2

    async def settled() -> bool:
        return not (await admin.get("/v1/inbox", channel_id=page.id, state="pending"))["data"]

    await until(settled)
    after = await page.quiet(before, calm=0.3)
    assert (after["version"], after["last_seq"]) == (before["version"], before["last_seq"])
    assert len(page.received(item)) == 1


async def test_agents_and_customers_at_once_leave_every_turn_with_one_writer(page: Page, admin: Api):
    crowd = await hired(admin, 10)
    asked = await at_once(page.asked(f"Question {number}") for number in range(4))
    accepted: list[str] = []

    async def work(caller: Api) -> None:
        for _, _, ticket in asked * 3:
            current = await caller.get(f"/v1/tickets/{ticket['id']}")
            answer = await caller.reply(current, f"Answer {unique()}")
            assert answer.status_code in {202, 409, 423}, answer.text
            if answer.status_code == 202:
                accepted.append(answer.json()["id"])

    async def insist(author: int, item: str) -> None:
        for number in range(3):
            await page.say(page.comment(author, f"Hello? {number}", parent=item))
            await asyncio.sleep(0.05)

    await at_once([*(work(caller) for caller in crowd), *(insist(author, item) for author, item, _ in asked)])
    ends = [await admin.settled(reply_id) for reply_id in accepted]
    sent = [shown for shown in ends if shown["state"] == "sent"]
    writers: dict[str, set[str]] = {}
    for shown in sent:
        for turn in shown["turns"]:
            writers.setdefault(turn, set()).add(shown["author"]["id"])
    assert {turn: who for turn, who in writers.items() if len(who) > 1} == {}
    assert sorted(one.text for one in page.network.received) == sorted(shown["text"] for shown in sent)


async def _throttled(page: Page) -> bool:
    """Whether the network has sent a reply away."""
    return len(page.network.refuse) < MANY
