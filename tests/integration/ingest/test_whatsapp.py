"""A phone number of WhatsApp, from its connection to the log."""

import pytest

from shared import ids
from tests.support.ingest import Door
from tests.support.networks.whatsapp import BSUID, NUMBER, change, delivery, message, revoke, status, text


@pytest.fixture
async def path(door: Door) -> str:
    channel = await door.connect(network="whatsapp", name="Care", external_id=NUMBER)
    return str(channel["webhook_path"])


async def settle(door: Door, path: str, *bodies: object) -> list[tuple[str, str | None]]:
    for body in bodies:
        assert (await door.post(path, body)).status_code == 200
        await door.normalize()
    return [tuple(row) for row in await door.rows("SELECT state, reason_code FROM ingest.inbox ORDER BY id")]


async def test_the_challenge_of_a_subscription_is_answered(door: Door, path: str) -> None:
    query = {"hub.mode": "subscribe", "hub.verify_token": "open-sesame", "hub.challenge": "1158"}
    answer = await door.http.get(path, params=query)
    assert (answer.status_code, answer.text) == (200, "1158")


async def test_a_message_can_be_answered_privately_for_a_day(door: Door, path: str) -> None:
    assert await settle(door, path, delivery([text(1)])) == [("normalized", None)]
    [event] = await door.events()
    received = event.data.message
    assert received.conversation_id == ids.digest("cnv", received.channel_id, BSUID)
    assert [(option.kind, option.until is not None) for option in received.reply_options] == [("private", True)]


async def test_a_message_that_was_taken_back_is_deleted(door: Door, path: str) -> None:
    await settle(door, path, delivery([text(1)]), delivery([revoke("wamid.1")]))
    assert [event.type for event in await door.events()] == ["message.received.v1", "message.deleted.v1"]


async def test_many_statuses_of_one_reply_are_one_echo(door: Door, path: str) -> None:
    bodies = [delivery([status(state, timestamp=str(1763800200 + at))]) for at, state in enumerate(("read", "sent"))]
    states = await settle(door, path, *bodies)
    assert states == [("normalized", None), ("ignored", "duplicate")]
    [event] = await door.events()
    echo = event.data.message
    assert (echo.direction, echo.external_id, echo.correlation_id) == ("out", "wamid.9", "rpl_1")


async def test_a_failed_status_is_told_in_the_conversation_of_its_customer(door: Door, path: str) -> None:
    await settle(door, path, delivery([text(1)]), delivery([status("failed", errors=[{"code": 131026}])]))
    received, lost = await door.events()
    assert (lost.type, lost.data.reason) == ("message.undelivered.v1", "code 131026: no reason given")
    assert lost.key == received.key


async def test_each_number_of_a_delivery_finds_its_own_channel(door: Door, path: str) -> None:
    other = await door.connect(network="whatsapp", name="Sales", external_id="2")
    there = change("messages", number="2", messages=[message("wamid.2", text={"body": "Hi"})])
    strange = change("messages", number="3", messages=[message("wamid.3", text={"body": "Hi"})])
    states = await settle(door, path, delivery([text(1), there]), delivery([strange]))
    assert states == [("normalized", None), ("not-understood", "account-not-connected")]
    assert [event.data.message.channel_id == other["id"] for event in await door.events()] == [False, True]
