"""What is written for those who follow is what they are told: on the stream, and at an endpoint of theirs."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from tests.support.callers import Api, Told, until
from tests.support.contract import declared
from tests.support.page import Page
from tests.support.receiving import receiving
from tests.support.system import System


@pytest.fixture
async def http(system: System) -> AsyncIterator[httpx.AsyncClient]:
    """Connections on which every answer must be one that the document declares."""
    async with declared(system) as http:
        yield http


# -- stream -----------------------------------------------------------------------------------------------------------


async def gathered(told: Any, *, until_type: str, ticket: str) -> list[Told]:
    """What the stream tells, up to an event of a ticket."""
    found: list[Told] = []
    async with asyncio.timeout(30):
        async for one in told:
            found.append(one)
            if one.type.startswith(until_type) and one.is_about(ticket):
                return found
    raise AssertionError("the stream ended")


async def test_the_stream_tells_of_tickets_leases_replies_and_presence(page: Page, alice: Api, bob: Api):
    async with bob.stream() as told:
        assert (await anext(told)).type == "ready"
        _, _, ticket = await page.asked()
        path = f"/v1/tickets/{ticket['id']}"
        await alice.call("PUT", f"{path}/presence", {"level": "composing", "session": "s1"})
        await alice.made(f"{path}/lease")
        await alice.reply(ticket, "Hello!")
        found = await gathered(told, until_type="reply.settled", ticket=ticket["id"])
    mine = [one for one in found if one.is_about(ticket["id"])]
    types = [one.type for one in mine]
    assert types[0] == "ticket.created.v1"
    assert {"assignment.accepted.v1", "lease.acquired.v1", "reply.queued.v1", "reply.settled.v1"} <= set(types)
    assert any(one.type == "presence.changed.v1" for one in found)
    numbers = [one.id for one in found if one.id is not None]
    assert numbers == sorted(set(numbers))


async def test_a_stream_that_is_resumed_has_no_gap(page: Page, alice: Api, bob: Api):
    async with bob.stream() as told:
        start = (await anext(told)).id
        _, _, first = await page.asked()
        seen = await gathered(told, until_type="ticket.created", ticket=first["id"])
    last = next(one.id for one in reversed(seen) if one.id is not None)
    _, _, second = await page.asked()
    async with bob.stream(last=last) as told:
        seen += await gathered(told, until_type="ticket.created", ticket=second["id"])
    changes = await bob.get("/v1/changes", after=start, limit=1000)
    expected = [one["sequence"] for one in changes["data"]]
    numbers = [one.id for one in seen if one.id is not None and one.type != "ready"]
    assert numbers == expected[: len(numbers)]
    assert len(numbers) == len(set(numbers))


# -- webhooks ---------------------------------------------------------------------------------------------------------


async def test_an_endpoint_gets_signed_events_in_the_order_of_the_stream(page: Page, admin: Api, alice: Api):
    async with receiving() as receiver:
        made = await admin.post("/v1/endpoints", {"url": receiver.url, "event_types": ["ticket.*", "reply.settled.v1"]})
        assert made.status_code == 201, made.text
        assert {"id", "secret"} <= made.json().keys()
        _, _, ticket = await page.asked()
        reply = (await alice.reply(ticket, "Hello")).json()
        await alice.settled(reply["id"])

        def settled() -> list[dict[str, Any]]:
            return [body for body in bodies() if body["data"]["ticket"]["id"] == ticket["id"]]

        def bodies() -> list[dict[str, Any]]:
            return [Webhook(made.json()["secret"]).verify(one.raw, one.headers) for one in receiver.pushes]

        async def all_there() -> bool:
            return any(body["type"] == "reply.settled.v1" for body in settled())

        await until(all_there)
        types = [body["type"] for body in settled()]
        assert types[0] == "ticket.created.v1"
        assert types.count("reply.settled.v1") == 1
        assert {body["type"].partition(".")[0] for body in bodies()} <= {"ticket", "reply"}
        assert [one.headers["webhook-id"] for one in receiver.pushes] == [body["id"] for body in bodies()]
        changes = await admin.get("/v1/changes", after=settled()[0]["sequence"] - 1, limit=1000)
        listed = {one["sequence"]: one for one in changes["data"]}
        assert all(listed[body["sequence"]] == body for body in settled())
        shown = await admin.every(f"/v1/endpoints/{made.json()['id']}/deliveries")
        assert {one["state"] for one in shown} == {"delivered"}
        assert made.json()["secret"] not in json.dumps(await admin.get(f"/v1/endpoints/{made.json()['id']}"))
