"""Normalizing again: what reads the same changes nothing, what reads otherwise is said to be corrected."""

from dataclasses import replace

import pytest

from shared.db.pool import Database
from shared.networks.port import Parsed, Skipped
from tests.support import ingest
from tests.support.ingest import Changeable, Door, page
from tests.support.networks.facebook import facebook_comment, facebook_message, facebook_message_edit

STRANGE = Parsed(not_understood=(Skipped(code="unknown-field", detail="poke"),))


async def replay(door: Door, workspace: str = "w1", **wanted: object) -> dict:
    """Asks for a replay and works it off; the answer."""
    async with door.api(workspace) as client:
        answer = await client.post("/v1/inbox/replay", json=wanted)
    assert answer.status_code == 202, answer.text
    await door.normalize()
    return answer.json()


async def deliver(door: Door, path: str, *bodies: object) -> None:
    """Delivers and normalizes."""
    for body in bodies:
        await door.post(path, body)
    await door.normalize()


async def inbox(door: Door) -> list[dict]:
    """The inbox as operators see it, oldest first."""
    async with door.api() as client:
        return (await client.get("/v1/inbox")).json()["data"][::-1]


async def test_replaying_everything_any_number_of_times_changes_nothing(door: Door):
    path = (await door.connect())["webhook_path"]
    await deliver(
        door,
        path,
        page(facebook_comment(1), facebook_message(1)),
        page(facebook_message_edit(1)),
        page(facebook_message(1, is_deleted=True)),
        b"not json",
        page(),
    )
    events, before = await door.events(), await inbox(door)

    counts = [(await replay(door))["count"] for _ in range(3)]

    after = await inbox(door)
    assert counts == [5, 5, 5]
    assert await door.events() == events
    assert [entry["state"] for entry in after] == [entry["state"] for entry in before]
    assert [entry["events"] for entry in after] == [entry["events"] for entry in before]
    assert {entry["replays"] for entry in after} == {3}


async def test_what_was_not_understood_becomes_a_message_once_the_parser_knows_it(database: Database):
    network = Changeable()
    understands, network.read = network.read, lambda _: STRANGE
    async with ingest.open_door(database, networks={"facebook": network}) as door:
        path = (await door.connect())["webhook_path"]
        await deliver(door, path, page(facebook_comment(1)))
        before = (await inbox(door))[0]
        network.read = understands

        await replay(door, states=["not-understood"])
        await replay(door)

        after = (await inbox(door))[0]
        events = await door.events()

    assert (before["state"], before["reason"]["code"], before["events"]) == ("not-understood", "unknown-field", [])
    assert (after["state"], after["reason"]) == ("normalized", None)
    assert [event.type for event in events] == ["message.received.v1"]
    assert events[0].data.message.replayed
    assert after["events"] == [
        {"id": events[0].id, "type": "message.received.v1", "message_id": events[0].data.message.id}
    ]


async def test_another_reading_is_a_correction_with_the_same_message_and_key(database: Database):
    network = Changeable()
    reads = network.read

    def garbled(raw: bytes) -> Parsed:
        parsed = reads(raw)
        return replace(parsed, items=tuple(replace(item, text="???") for item in parsed.items))

    network.read = garbled
    async with ingest.open_door(database, networks={"facebook": network}) as door:
        path = (await door.connect())["webhook_path"]
        await deliver(door, path, page(facebook_comment(1)))
        network.read = reads

        await replay(door)
        await replay(door)

        received, corrected = await door.events()

    assert [received.type, corrected.type] == ["message.received.v1", "message.corrected.v1"]
    assert corrected.key == received.key
    assert corrected.data.message.id == received.data.message.id
    assert (received.data.message.text, corrected.data.message.text) == ("???", "Where is my order 1? 📦")


async def test_a_replay_is_narrowed_by_channel_state_time_and_id(door: Door):
    first = await door.connect()
    second = await door.connect(external_id="2002002")
    await deliver(door, first["webhook_path"], page(facebook_comment(1)), b"not json", page())
    await deliver(door, second["webhook_path"], page())
    entries = await inbox(door)

    counts = [
        (await replay(door, **wanted))["count"]
        for wanted in (
            {"channel_id": first["id"]},
            {"states": ["ignored", "not-understood"]},
            {"ids": [entries[0]["id"]]},
            {"from": entries[1]["received_at"], "to": entries[3]["received_at"]},
            {"from": "2100-01-01T00:00:00Z"},
        )
    ]

    assert counts == [3, 3, 1, 2, 0]


async def test_a_long_replay_tells_how_to_go_on(door: Door, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("services.ingest.handlers.inbox.REPLAY_LIMIT", 2)
    path = (await door.connect())["webhook_path"]
    await deliver(door, path, *(page(facebook_message(number)) for number in range(5)))

    first = await replay(door)
    second = await replay(door, cursor=first["next_cursor"])
    third = await replay(door, cursor=second["next_cursor"])

    assert [first["count"], second["count"], third["count"]] == [2, 2, 1]
    assert third["next_cursor"] is None
    assert {entry["replays"] for entry in await inbox(door)} == {1}


async def test_what_waits_already_is_not_put_back_twice(door: Door):
    path = (await door.connect())["webhook_path"]
    await deliver(door, path, page(facebook_comment(1)))

    async with door.api() as client:
        counts = [(await client.post("/v1/inbox/replay", json={})).json()["count"] for _ in range(2)]

    assert counts == [1, 0]
    assert len(await door.rows("SELECT * FROM ingest.pending")) == 1


async def test_a_replay_wants_times_with_an_offset_and_a_channel_that_exists(door: Door):
    async with door.api() as client:
        naive = await client.post("/v1/inbox/replay", json={"from": "2026-01-01T00:00:00"})
        nowhere = await client.post("/v1/inbox/replay", json={"channel_id": "chn_none"})
        strange = await client.post("/v1/inbox/replay", json={"states": ["pending"]})

    assert (naive.status_code, naive.json()["errors"][0]["pointer"]) == (422, "#/from")
    assert nowhere.status_code == 404
    assert strange.status_code == 422
