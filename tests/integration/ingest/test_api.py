"""Channels and the inbox through the API: secrets go in and never out, and nobody sees a neighbour's."""

import base64
import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from shared.db.pool import Database
from shared.telemetry import logs
from tests.support import ingest
from tests.support.ingest import CREDENTIALS, Door, page
from tests.support.networks.api import OLD
from tests.support.networks.facebook import facebook_comment, facebook_message
from tests.support.networks.sample import PAGE

CANARY = "canary-7f3a"


async def test_a_channel_is_connected_with_a_path_for_its_webhooks_and_without_its_secrets(door: Door):
    channel = await door.connect(name="Acme")

    async with door.api() as client:
        answer = await client.get(f"/v1/channels/{channel['id']}")

    assert answer.json() == channel
    assert answer.headers["etag"] == '"1"'
    assert channel["webhook_path"] == f"/webhooks/facebook/{channel['id']}"
    assert (channel["name"], channel["purpose"], channel["state"]) == ("Acme", "brand", "active")
    assert channel["credentials"] == {
        "app_secret": True,
        "app_secret_previous": False,
        "verify_token": True,
        "access_token": True,
    }


async def test_each_change_of_a_channel_is_announced_without_credentials(door: Door):
    channel = await door.connect()
    async with door.api() as client:
        await client.patch(f"/v1/channels/{channel['id']}", json={"name": "New"}, headers={"If-Match": '"1"'})
        await client.delete(f"/v1/channels/{channel['id']}", headers={"If-Match": '"2"'})

    events = await door.events("channel.")

    assert [(event.data.name, event.data.state) for event in events] == [
        ("Page", "active"),
        ("New", "active"),
        ("New", "deleted"),
    ]
    assert {event.key for event in events} == {f"w1:{channel['id']}:"}


async def test_credentials_are_merged_and_a_rotated_secret_stays_as_the_previous_one(door: Door):
    channel = await door.connect()
    async with door.api() as client:
        changed = await client.patch(
            f"/v1/channels/{channel['id']}",
            json={"credentials": {"app_secret": "new"}},
            headers={"If-Match": '"1"'},
        )
        closed = await client.patch(
            f"/v1/channels/{channel['id']}",
            json={"credentials": {"app_secret_previous": None}},
            headers={"If-Match": '"2"'},
        )

    assert changed.json()["credentials"] == dict.fromkeys(channel["credentials"], True)
    assert closed.json()["credentials"] == channel["credentials"]
    assert closed.headers["etag"] == '"3"'


async def test_new_credentials_bring_an_unauthorized_channel_back(door: Door):
    channel = await door.connect()
    await door.rows("UPDATE platform.channel SET state = 'unauthorized', state_reason = 'expired'")

    async with door.api() as client:
        renamed = await client.patch(f"/v1/channels/{channel['id']}", json={"name": "N"}, headers={"If-Match": '"1"'})
        renewed = await client.patch(
            f"/v1/channels/{channel['id']}",
            json={"credentials": {"access_token": "fresh"}},
            headers={"If-Match": '"2"'},
        )

    assert (renamed.json()["state"], renamed.json()["state_reason"]) == ("unauthorized", "expired")
    assert (renewed.json()["state"], renewed.json()["state_reason"]) == ("active", None)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"network": "telepathy"}, "#/network"),
        ({"credentials": {}}, "#/credentials/app_secret"),
        ({"credentials": CREDENTIALS | {"app_secret": ""}}, "#/credentials/app_secret"),
        ({"credentials": CREDENTIALS | {"pass/word": "x"}}, "#/credentials/pass~1word"),
        ({"api_base_url": "http://169.254.169.254/latest"}, "#/api_base_url"),
        ({"api_base_url": "https://127.0.0.1/graph"}, "#/api_base_url"),
        (
            {"network": "api", "credentials": {"secret": OLD, "reply_url": "http://127.0.0.1/"}},
            "#/credentials/reply_url",
        ),
        ({"external_id": "with space"}, "#/external_id"),
        ({"purpose": "fun"}, "#/purpose"),
        ({"surprise": 1}, "#/surprise"),
    ],
)
async def test_a_channel_that_could_not_work_is_refused_with_the_place_that_is_wrong(door: Door, changes, pointer):
    body = {"network": "facebook", "name": "P", "external_id": PAGE, "credentials": CREDENTIALS} | changes

    async with door.api() as client:
        answer = await client.post("/v1/channels", json=body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert await door.rows("SELECT * FROM platform.channel") == []


async def test_where_private_addresses_are_allowed_a_simulator_may_stand_in_for_the_network(database: Database):
    async with ingest.open_door(database, kernel={"allow_private_egress": True}) as door:
        channel = await door.connect(api_base_url="http://127.0.0.1:9000")
        async with door.api() as client:
            reset = await client.patch(
                f"/v1/channels/{channel['id']}", json={"api_base_url": None}, headers={"If-Match": '"1"'}
            )

    assert channel["api_base_url"] == "http://127.0.0.1:9000"
    assert reset.json()["api_base_url"] is None


async def test_an_account_is_connected_once_per_workspace_until_it_is_disconnected(door: Door):
    first = await door.connect()
    await door.connect("w2")
    body = {"network": "facebook", "name": "Page", "external_id": PAGE, "credentials": CREDENTIALS}

    async with door.api() as client:
        second = await client.post("/v1/channels", json=body)
        await client.delete(f"/v1/channels/{first['id']}", headers={"If-Match": '"1"'})
        third = await client.post("/v1/channels", json=body)

    assert (second.status_code, second.json()["code"]) == (409, "channel-connected")
    assert third.status_code == 201


async def test_a_disconnected_channel_keeps_no_secret_and_shows_no_more(door: Door):
    channel = await door.connect()
    sealed = (await door.rows("SELECT credentials FROM platform.channel"))[0][0]

    async with door.api() as client:
        gone = await client.delete(f"/v1/channels/{channel['id']}", headers={"If-Match": '"1"'})
        after = await client.get(f"/v1/channels/{channel['id']}")
        listed = await client.get("/v1/channels")

    row = (await door.rows("SELECT state, credentials FROM platform.channel"))[0]
    assert (gone.status_code, after.status_code, listed.json()["data"]) == (204, 404, [])
    assert row["state"] == "deleted"
    assert len(row["credentials"]) < len(sealed)


async def test_changes_want_the_version_that_was_read(door: Door):
    channel = await door.connect()
    path = f"/v1/channels/{channel['id']}"

    async with door.api() as client:
        blind = await client.patch(path, json={"name": "N"})
        stale = await client.patch(path, json={"name": "N"}, headers={"If-Match": '"7"'})
        gone = await client.delete(path, headers={"If-Match": '"7"'})

    assert [answer.status_code for answer in (blind, stale, gone)] == [428, 412, 412]
    assert stale.json()["current_version"] == 1


async def test_lists_come_in_pages(door: Door):
    names = [(await door.connect(external_id=str(number)))["id"] for number in range(3)]

    async with door.api() as client:
        first = (await client.get("/v1/channels?limit=2")).json()
        second = (await client.get(f"/v1/channels?limit=2&cursor={first['next_cursor']}")).json()

    assert [channel["id"] for channel in first["data"] + second["data"]] == names
    assert second["next_cursor"] is None


async def test_health_tells_what_came_what_waits_and_what_was_refused(door: Door):
    channel = await door.connect()
    path = channel["webhook_path"]
    await door.post(path, page(facebook_comment(1)))
    await door.post(path, b"not json")
    await door.normalize()
    await door.post(path, page(facebook_comment(2)))
    await door.post(path, page(facebook_comment(3)), secret="wrong")
    await door.post(path, page(facebook_comment(3)), secret="wrong")
    await door.parts.refusals.flush()

    async with door.api() as client:
        health = (await client.get(f"/v1/channels/{channel['id']}/health")).json()

    assert health["deliveries"] == {"pending": 1, "normalized": 1, "ignored": 0, "not-understood": 1}
    assert health["signature_failures"] == 2
    assert health["last_delivery_at"] == health["oldest_pending_at"]


async def test_the_inbox_shows_each_delivery_with_its_state_reason_and_events(door: Door):
    channel = await door.connect()
    for body in (page(facebook_comment(1), facebook_message(2)), b"not json"):
        await door.post(channel["webhook_path"], body)
    await door.normalize()
    await door.post(channel["webhook_path"], page())

    async with door.api() as client:
        waiting, strange, normal = (await client.get("/v1/inbox")).json()["data"]
        by_state = (await client.get("/v1/inbox?state=not-understood")).json()["data"]
        by_channel = (await client.get(f"/v1/inbox?channel_id={channel['id']}&state=pending")).json()["data"]
        nowhere = await client.get("/v1/inbox?channel_id=chn_none")

    assert (waiting["state"], waiting["reason"], waiting["normalized_at"]) == ("pending", None, None)
    assert (strange["state"], strange["reason"]["code"], strange["events"]) == ("not-understood", "not-json", [])
    assert [event["type"] for event in normal["events"]] == ["message.received.v1"] * 2
    assert (by_state, by_channel) == ([strange], [waiting])
    assert nowhere.status_code == 404


async def test_the_inbox_comes_in_pages_newest_first(door: Door):
    path = (await door.connect())["webhook_path"]
    for number in range(5):
        await door.post(path, page(facebook_comment(number)))
    await door.normalize(normalizer_batch=3)

    async with door.api() as client:
        first = (await client.get("/v1/inbox?limit=3")).json()
        second = (await client.get(f"/v1/inbox?limit=3&cursor={first['next_cursor']}")).json()

    ids = [entry["id"] for entry in first["data"] + second["data"]]
    assert len(ids) == 5
    assert ids == sorted(ids, reverse=True)
    assert second["next_cursor"] is None


async def test_a_delivery_is_shown_byte_for_byte_and_without_what_authenticates_it(door: Door):
    path = (await door.connect())["webhook_path"]
    await door.post(path, page(facebook_comment(1)))
    await door.post(path, b"\xff\xfe\x00")

    async with door.api() as client:
        binary, text = [
            (await client.get(f"/v1/inbox/{entry['id']}")).json()
            for entry in (await client.get("/v1/inbox")).json()["data"]
        ]
        nothing = await client.get("/v1/inbox/inb_none")

    assert (text["body_encoding"], text["body"]) == ("text", ingest.raw(page(facebook_comment(1))).decode())
    assert (binary["body_encoding"], base64.b64decode(binary["body"])) == ("base64", b"\xff\xfe\x00")
    assert text["headers"]["content-type"] == "application/json"
    assert not any("signature" in name for name in text["headers"])
    assert nothing.status_code == 404


async def test_one_workspace_cannot_see_or_touch_anothers(door: Door):
    channel = await door.connect("w1")
    await door.post(channel["webhook_path"], page(facebook_comment(1)))
    await door.normalize()
    async with door.api("w1") as client:
        entry = (await client.get("/v1/inbox")).json()["data"][0]

    async with door.api("w2") as client:
        inbox = (await client.get("/v1/inbox")).json()["data"]
        statuses = [
            (await client.get(f"/v1/inbox/{entry['id']}")).status_code,
            (await client.get(f"/v1/inbox?channel_id={channel['id']}")).status_code,
            (await client.get(f"/v1/channels/{channel['id']}")).status_code,
            (await client.get(f"/v1/channels/{channel['id']}/health")).status_code,
            (await client.delete(f"/v1/channels/{channel['id']}", headers={"If-Match": '"1"'})).status_code,
            (
                await client.patch(f"/v1/channels/{channel['id']}", json={"name": "x"}, headers={"If-Match": '"1"'})
            ).status_code,
        ]
        replayed = (await client.post("/v1/inbox/replay", json={"ids": [entry["id"]]})).json()["count"]

    assert (inbox, replayed) == ([], 0)
    assert statuses == [404] * 6


@pytest.mark.parametrize(
    ("role", "method", "path"),
    [
        ("agent", "GET", "/v1/inbox"),
        ("lead", "POST", "/v1/inbox/replay"),
        ("lead", "POST", "/v1/channels"),
        ("bot", "GET", "/v1/channels"),
    ],
)
async def test_roles_without_the_scope_are_refused(door: Door, role, method, path):
    body = {"network": "facebook", "name": "P", "external_id": PAGE, "credentials": CREDENTIALS}

    async with door.api(role=role) as client:
        answer = await client.request(method, path, json={} if path.endswith("replay") else body)

    assert answer.status_code == 403


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Everything that is logged, down to the least severe."""
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    stream = io.StringIO()
    logs.configure(level="debug", form="json", stream=stream)
    yield stream
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


async def test_secrets_are_in_no_answer_no_log_line_and_no_event(door: Door, lines: io.StringIO):
    secret = {name: f"{CANARY}-{name}" for name in CREDENTIALS}
    answers = []
    async with door.api() as client:
        answers.append(
            await client.post(
                "/v1/channels",
                json={"network": "facebook", "name": "P", "external_id": PAGE, "credentials": secret},
                headers={"Idempotency-Key": "once"},
            )
        )
        path = answers[0].json()["webhook_path"]
        one = f"/v1/channels/{answers[0].json()['id']}"
        answers.append(
            await client.patch(one, json={"credentials": {"app_secret": f"{CANARY}-two"}}, headers={"If-Match": '"1"'})
        )
        answers.append(
            await client.patch(one, json={"credentials": {CANARY: f"{CANARY}-bad"}}, headers={"If-Match": '"2"'})
        )
        answers.append(
            await client.patch(one, json={"credentials": {"app_secret": [CANARY]}}, headers={"If-Match": '"2"'})
        )
        answers += [await client.get(one), await client.get("/v1/channels"), await client.get(f"{one}/health")]
    answers.append(await door.post(path, page(facebook_comment(1)), secret=f"{CANARY}-app_secret"))
    answers.append(await door.post(path, page(facebook_comment(2)), secret="wrong"))
    await door.normalize()
    tables = ["platform.channel", "ingest.inbox", "ingest.event", "ingest.item", "ingest.idempotency", "log.event"]
    stored = [str([dict(row) for row in await door.rows(f"SELECT * FROM {table}")]) for table in tables]

    said = [answer.text for answer in answers if answer is not answers[2]]
    assert [answer.status_code for answer in answers] == [201, 200, 422, 422, 200, 200, 200, 200, 401]
    assert not [text for text in (*said, *stored, lines.getvalue()) if CANARY in text]
    assert f"{CANARY}-bad" not in answers[2].text
