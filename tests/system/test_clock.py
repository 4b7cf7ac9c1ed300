"""Two processes on one database, one a day ahead and one a day behind: the database's clock decides, nothing breaks."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from shared.clock import SystemClock
from shared.sealing import new_key
from tests.support.callers import Api, connected, hired, until
from tests.support.forks import Forks
from tests.support.page import Page, connected_page, deliver, unique
from tests.support.postgres import Server
from tests.support.receiving import receiving
from tests.support.system import LOOSE
from tests.support.wrong_time import WrongSystem

DAY = timedelta(days=1)
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"

pytestmark = [pytest.mark.timeout(120), pytest.mark.slow]


@contextmanager
def started(home: Path, forks: Forks, settings: dict[str, str], off: timedelta) -> Iterator[WrongSystem]:
    """A system whose clock is off, for as long as the block runs; what it said is shown when the test fails."""
    system = WrongSystem(home, forks, settings=LOOSE | settings, off=off)
    try:
        yield system.start()
    finally:
        system.show()
        system.end()


@pytest.fixture(scope="module")
def systems(
    tmp_path_factory: pytest.TempPathFactory, server: Server, forks: Forks
) -> Iterator[tuple[WrongSystem, WrongSystem]]:
    """One ahead and one behind, with one workspace and its keys."""
    home = tmp_path_factory.mktemp("clock")
    with server.database() as dsn:
        settings = {"BATON_DATABASE_URL": dsn, "BATON_SEALING_KEYS": new_key(), "BATON_DATA_DIR": str(home)}
        with (
            started(home / "ahead", forks, settings, DAY) as ahead,
            started(home / "behind", forks, settings, -DAY) as behind,
        ):
            yield ahead, behind


@pytest.fixture
async def admins(systems: tuple[WrongSystem, WrongSystem]) -> AsyncIterator[tuple[Api, Api]]:
    """The admin at either."""
    ahead, behind = systems
    async with connected(ahead) as early, connected(behind) as late:
        yield Api(early, ahead.admin), Api(late, behind.admin)


@dataclass(frozen=True)
class Desk:
    """Two agents: Alice works through the process that is ahead, Bob through the other."""

    alice: Api
    bob: Api


@pytest.fixture
def desk(systems: tuple[WrongSystem, WrongSystem], admins: tuple[Api, Api]) -> Desk:
    """Both."""
    alice, bob = systems[0].agents
    return Desk(Api(admins[0].http, alice.key, agent=alice), Api(admins[1].http, bob.key, agent=bob))


@pytest.fixture
async def page(admins: tuple[Api, Api]) -> AsyncIterator[Page]:
    """A Page whose webhooks arrive at the process that is ahead."""
    async with connected_page(admins[0]) as page:
        yield page


async def test_one_holder_at_a_time_for_as_long_as_the_database_says(admins: tuple[Api, Api], page: Page, desk: Desk):
    await shorten_leases(page.admin)
    _, _, ticket = await page.asked()
    lease = f"/v1/tickets/{ticket['id']}/lease"
    first = await desk.alice.made(lease)
    assert 0 < first["expires_in_ms"] <= 1_500
    assert (await desk.bob.post(lease)).status_code == 423

    async def expired() -> Any:
        asked = await desk.bob.post(lease)
        return asked.json() if asked.status_code == 200 else None

    second = await until(expired)
    [lead] = await hired(page.admin, 1, role="lead")
    third = await lead.made(f"{lease}/takeover", {"mode": "force"})
    assert first["fence"] < second["fence"] < third["fence"]
    late = await desk.bob.reply(await page.quiet(ticket), "Mine was first", fence=second["fence"])
    assert (late.status_code, late.json()["code"]) == (409, "fenced-off")


async def test_one_answer_leaves_and_what_came_since_is_seen_by_all(admins: tuple[Api, Api], page: Page, desk: Desk):
    _, behind = admins
    author, item, ticket = await page.asked()
    await answered(desk.alice, ticket, "It left today")
    second = await desk.bob.reply(await page.quiet(ticket), "And I say")
    assert second.status_code in {409, 423}, second.text
    assert [one.text for one in page.received(item)] == ["It left today"]
    # A private message, which may be answered for a day, or by a person for a week.
    assert (await deliver(behind.http, page, page.direct(author, "Thanks, and when?"))).status_code == 200

    async def seen() -> bool:
        lines = [line for line in await behind.timeline(ticket["id"]) if line["kind"] == "message"]
        return [line["message"]["text"] for line in lines] == ["Where is my parcel?", "Thanks, and when?"]

    await until(seen)
    moved = await page.quiet(ticket)
    await answered(desk.alice, moved, "By noon")
    assert [one.text for one in page.received(str(author))] == ["By noon"]


async def test_an_answer_in_the_networks_own_app_is_found(admins: tuple[Api, Api], page: Page, desk: Desk):
    _, item, ticket = await page.asked()
    assert (await deliver(admins[1].http, page, page.native(item, "From the app"))).status_code == 200

    async def found() -> bool:
        return any(line["kind"] == "native" for line in await page.admin.timeline(ticket["id"]))

    await until(found)
    for caller in (desk.alice, desk.bob):
        stale = await caller.reply(ticket, "From Baton")
        assert (stale.status_code, stale.json()["code"]) == (409, "thread-moved")
    assert page.received(item) == []


async def test_timers_are_due_when_the_database_says(admins: tuple[Api, Api], page: Page):
    ahead, behind = admins
    _, _, ticket = await page.asked()
    path = f"/v1/tickets/{ticket['id']}"
    wakes = (SystemClock().now() + timedelta(seconds=1.5)).isoformat()
    snoozed = await ahead.post(f"{path}/snooze", {"until": wakes}, If_Match=f'"{ticket["version"]}"')
    assert (snoozed.status_code, (await behind.get(path))["state"]) == (200, "snoozed")

    async def awake() -> bool:
        return bool((await behind.get(path))["state"] == "open")

    await until(awake)


async def test_a_cursor_of_one_process_is_good_at_the_other(admins: tuple[Api, Api], page: Page):
    ahead, behind = admins
    _, _, ticket = await page.asked()
    await page.quiet(ticket)

    async def numbered() -> list[int] | None:
        found = await feed(ahead)
        is_there = any(event["data"].get("ticket", {}).get("id") == ticket["id"] for event in found)
        return [event["sequence"] for event in found] if is_there else None

    told = await until(numbered)
    assert told == sorted(set(told))
    half = told[len(told) // 2]
    assert [event["sequence"] for event in await feed(behind, after=half)][: len(told)] == [
        number for number in told if number > half
    ]


async def test_signatures_with_a_time_are_judged_by_the_clock_of_whoever_checks_them(admins: tuple[Api, Api]):
    for admin, off in zip(admins, (DAY, -DAY), strict=True):
        channel = await admin.made("/v1/channels", api_channel())
        path, now = channel["webhook_path"], SystemClock().now()
        answers = [await admin.http.post(path, **signed_at(time)) for time in (now, now + off)]
        assert [answer.status_code for answer in answers] == [401, 202]
        # And what we push carries our own time: a receiver that looks at it refuses, and is tried again.
        async with receiving() as receiver:
            endpoint = await admin.made("/v1/endpoints", {"url": receiver.url, "event_types": ["*"]})
            assert (await admin.post(f"/v1/endpoints/{endpoint['id']}/test")).status_code == 200
            await admin.call("DELETE", f"/v1/endpoints/{endpoint['id']}")
        push = next(push for push in receiver.pushes if push.body["type"] == "endpoint.test.v1")
        with pytest.raises(WebhookVerificationError):
            Webhook(endpoint["secret"]).verify(push.raw, push.headers)
        pushed = datetime.fromtimestamp(int(push.headers["webhook-timestamp"]), UTC)
        assert abs(pushed - now - off) < timedelta(minutes=1)


async def answered(caller: Api, ticket: dict[str, Any], text: str) -> None:
    """An answer that reaches the network."""
    accepted = await caller.reply(ticket, text)
    assert accepted.status_code == 202, accepted.text
    assert (await caller.settled(accepted.json()["id"]))["state"] == "sent"


def api_channel() -> dict[str, Any]:
    """One of the generic network."""
    name = f"shop-{unique()}"
    return {"network": "api", "name": name, "external_id": name, "purpose": "care", "credentials": {"secret": SECRET}}


def signed_at(at: datetime) -> dict[str, Any]:
    """A message whose sender's clock says this."""
    item = str(unique())
    body = json.dumps({"id": item, "thread": item, "text": "Hello?", "author": {"id": item}})
    stamp = {"webhook-id": item, "webhook-timestamp": str(int(at.timestamp()))}
    return {"content": body, "headers": stamp | {"webhook-signature": Webhook(SECRET).sign(item, at, body)}}


async def shorten_leases(admin: Api) -> None:
    """So that a test can wait for their end."""
    shown = await admin.http.get("/v1/workspace", headers=admin.headers())
    body = {"settings": {"lease_ttl": 1_500, "heartbeat": 500}}
    changed = await admin.call("PATCH", "/v1/workspace", body, If_Match=shown.headers["ETag"])
    assert changed.status_code == 200, changed.text


async def feed(admin: Api, after: int = 0) -> list[dict[str, Any]]:
    """Everything that was told, in the feed's order."""
    found: list[dict[str, Any]] = []
    while events := (await admin.get("/v1/changes", after=after, limit=200))["data"]:
        found += events
        after = events[-1]["sequence"]
    return found
