"""Instagram from the webhook to the reply and its echo, through the running system."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.support.callers import Api, until
from tests.support.instagram import Profile, connected_profile
from tests.support.page import VERIFY, unique


@pytest.fixture
async def profile(admin: Api) -> AsyncIterator[Profile]:
    """A connected account of the test's own."""
    async with connected_profile(admin) as profile:
        yield profile


async def messages(admin: Api, ticket: dict[str, Any]) -> list[dict[str, Any]]:
    """What was said in a ticket, by customers or in the network's own app."""
    return [line["message"] for line in await admin.timeline(ticket["id"]) if "message" in line]


async def answered_once(profile: Profile, ticket: dict[str, Any], reply: dict[str, Any]) -> None:
    """The reply left once, and its echo was taken for nobody else's answer by the time of the customer's next word."""
    settled = await profile.admin.settled(reply["id"])
    [taken] = profile.network.received
    assert (settled["state"], settled["external_id"]) == ("sent", taken.external_id)

    async def echoed() -> bool:
        return len((await profile.admin.get("/v1/inbox", channel_id=profile.id))["data"]) == 2

    await until(echoed)
    [first] = await messages(profile.admin, ticket)
    item = str(unique())
    await profile.hears(item, profile.following(item, first))
    said = await messages(profile.admin, ticket)
    assert ([one["direction"] for one in said], said[-1]["external_id"]) == (["in", "in"], item)
    assert await profile.admin.get("/v1/collisions/counts", ticket=ticket["id"]) == []


async def test_the_handshake_answers_the_challenge(profile: Profile, http: httpx.AsyncClient):
    query = {"hub.mode": "subscribe", "hub.verify_token": VERIFY, "hub.challenge": "42"}
    greeted = await http.get(profile.path, params=query)
    assert (greeted.status_code, greeted.content) == (200, b"42")


async def test_a_comment_is_answered_once_under_it_and_its_echo_is_known(profile: Profile, admin: Api):
    item, ticket = await profile.comments("Where is my parcel?")
    reply = (await admin.reply(ticket, "On its way")).json()
    await answered_once(profile, ticket, reply)
    assert profile.network.bodies == [(f"/{item}/replies", {"message": "On its way"})]


async def test_a_direct_message_is_answered_once_though_its_echo_names_nothing_of_ours(profile: Profile, admin: Api):
    customer, ticket = await profile.writes("Hello?")
    reply = (await admin.reply(ticket, "Hello!")).json()
    await answered_once(profile, ticket, reply)
    [(path, body)] = profile.network.bodies
    assert (path, body["recipient"], body["messaging_type"]) == ("/me/messages", {"id": customer}, "RESPONSE")


async def test_a_person_alone_may_answer_after_a_day_and_nobody_after_a_week(profile: Profile, admin: Api, alice: Api):
    _, late = await profile.writes("Hello?", ago=timedelta(days=2))
    automatic = await admin.reply(late, "Sorry for the wait")
    assert (automatic.status_code, automatic.json()["code"]) == (422, "window-closed")
    accepted = await alice.reply(late, "Sorry for the wait")
    assert (await alice.settled(accepted.json()["id"]))["state"] == "sent"
    [(_, body)] = profile.network.bodies
    assert (body["messaging_type"], body["tag"]) == ("MESSAGE_TAG", "HUMAN_AGENT")
    _, lost = await profile.writes("Hello?", ago=timedelta(days=8))
    refused = await alice.reply(lost, "Sorry for the wait")
    assert (refused.status_code, refused.json()["code"]) == (422, "window-closed")


async def test_a_text_of_too_many_bytes_is_refused_before_it_waits(profile: Profile, admin: Api):
    _, ticket = await profile.writes("Hello?")
    refused = await admin.reply(ticket, "é" * 501)
    assert (refused.status_code, refused.json()["limit"]) == (422, 1000)
    assert profile.network.bodies == []


async def test_a_comment_on_a_live_video_is_answered_in_private(profile: Profile, admin: Api):
    item, ticket = await profile.comments("Is it in stock?", field="live_comments")
    refused = await admin.reply(ticket, "Yes", kind="public")
    assert refused.status_code == 422
    accepted = await admin.reply(ticket, "Yes")
    assert (await admin.settled(accepted.json()["id"]))["state"] == "sent"
    [(path, body)] = profile.network.bodies
    assert (path, body["recipient"]) == ("/me/messages", {"comment_id": item})
