"""What comes in is kept once, or refused so that the network tries again; nothing in between."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from shared.db.pool import Database
from tests.support import ingest
from tests.support.ingest import Door, page, raw, signed
from tests.support.networks.api import NEW, OLD, api_message
from tests.support.networks.facebook import facebook_comment, facebook_message
from tests.support.postgres import open_database
from tests.support.wire import wired


@pytest.fixture(params=[False, True], ids=["asgi", "socket"])
def socket(request: pytest.FixtureRequest) -> bool:
    """Deliveries that come the ordinary way, and those that hooks are asked about: one promise for both."""
    return request.param


@pytest.fixture
async def door(database: Database, *, socket: bool) -> AsyncIterator[Door]:
    """Ingest, open either way."""
    async with ingest.open_door(database, socket=socket) as opened:
        yield opened


async def kept(door: Door) -> int:
    """How many deliveries the inbox holds."""
    return (await door.rows("SELECT count(*) FROM ingest.inbox"))[0][0]


async def test_the_same_webhook_fifty_times_is_one_delivery_and_one_message_per_workspace(door: Door):
    paths = [(await door.connect(workspace))["webhook_path"] for workspace in ("w1", "w2")]
    body = page(facebook_comment(1))

    async with asyncio.TaskGroup() as group:
        answers = [group.create_task(door.post(path, body)) for _ in range(50) for path in paths]
    await door.normalize()

    assert {answer.result().status_code for answer in answers} == {200}
    assert await kept(door) == 2
    assert sorted(event.workspace_id for event in await door.events()) == ["w1", "w2"]
    async with door.api("w1") as one, door.api("w2") as two:
        [mine], [theirs] = [(await client.get("/v1/inbox")).json()["data"] for client in (one, two)]
        crossed = [await one.get(f"/v1/inbox/{theirs['id']}"), await two.get(f"/v1/inbox/{mine['id']}")]
    assert [answer.status_code for answer in crossed] == [404, 404]


async def test_a_delivery_is_durable_before_it_is_answered(door: Door):
    path = (await door.connect())["webhook_path"]

    answer = await door.post(path, page(facebook_comment(1)))

    row = (await door.rows("SELECT * FROM ingest.inbox"))[0]
    assert (answer.status_code, answer.content) == (200, b"EVENT_RECEIVED")
    assert row["body"] == raw(page(facebook_comment(1)))
    assert (row["state"], row["workspace_id"]) == ("pending", "w1")


async def test_deliveries_that_are_stored_together_keep_their_own_bytes(door: Door):
    channels = [await door.connect(workspace) for workspace in ("w1", "w2")]
    bodies = [b"", b"\n\x00, ", "🙏".encode(), *(b"x" * size for size in range(1, 4_000, 333))]

    async with asyncio.TaskGroup() as group:
        for channel in channels:
            for body in bodies:
                group.create_task(door.post(channel["webhook_path"], body))

    rows = await door.rows(
        "SELECT i.workspace_id, i.body, p.size FROM ingest.inbox i JOIN ingest.pending p ON p.inbox_id = i.id"
    )
    assert sorted(tuple(row) for row in rows) == sorted(
        (workspace, body, len(body)) for workspace in ("w1", "w2") for body in bodies
    )


async def test_a_usual_delivery_to_a_known_channel_never_becomes_an_asgi_request(database: Database):
    async with ingest.open_door(database, socket=True) as door:
        path = (await door.connect())["webhook_path"]
        await door.post(path, page(facebook_comment(1)))
        door.app._mounts.clear()

        answer = await door.post(path, page(facebook_comment(2)))
        counted = door.runtime.metrics.exposition()[0].decode()

        assert (answer.status_code, answer.content) == (200, b"EVENT_RECEIVED")
        assert answer.headers.keys() >= {"date", "content-type", "x-content-type-options"}
        assert await kept(door) == 2
        assert 'baton_webhooks_total{network="facebook",outcome="stored"} 2.0' in counted


async def test_a_wrong_signature_is_refused_counted_and_not_kept(door: Door):
    channel = await door.connect()

    answer = await door.post(channel["webhook_path"], page(facebook_comment(1)), secret="wrong")
    await door.parts.refusals.flush()

    async with door.api() as client:
        health = (await client.get(f"/v1/channels/{channel['id']}/health")).json()
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert await kept(door) == 0
    assert health["signature_failures"] == 1


async def test_changed_bytes_do_not_fit_their_signature(door: Door):
    path = (await door.connect())["webhook_path"]
    content = raw(page(facebook_comment(1)))

    answer = await door.http.post(path, content=content + b" ", headers=signed(content))

    assert answer.status_code == 401


async def test_after_a_rotation_both_secrets_open_the_door_and_a_third_does_not(door: Door):
    channel = await door.connect()
    async with door.api() as client:
        await client.patch(
            f"/v1/channels/{channel['id']}",
            json={"credentials": {"app_secret": "new-secret"}},
            headers={"If-Match": '"1"'},
        )

    answers = [
        (await door.post(channel["webhook_path"], page(facebook_comment(number)), secret=secret)).status_code
        for number, secret in enumerate(["new-secret", ingest.SECRET, "third"])
    ]

    assert answers == [200, 200, 401]


async def test_a_body_beyond_the_limit_is_refused_while_it_is_read(database: Database, socket):
    async with ingest.open_door(database, socket=socket, kernel={"webhook_body_limit": 1000}) as door:
        path = (await door.connect())["webhook_path"]
        read = 0

        async def flood():
            nonlocal read
            for _ in range(1000):
                read += 500
                yield b"x" * 500

        announced = await door.http.post(path, content=b"x" * 1001)
        flooded = await door.http.post(path, content=flood())

        assert (announced.status_code, flooded.status_code) == (413, 413)
        assert await kept(door) == 0


async def test_json_that_is_too_deep_is_kept_and_said_to_be_so(door: Door):
    path = (await door.connect())["webhook_path"]

    answer = await door.post(path, b'{"object":"page","entry":' + b"[" * 50_000 + b"]" * 50_000 + b"}")
    await door.normalize()

    row = (await door.rows("SELECT state, reason_code FROM ingest.inbox"))[0]
    assert answer.status_code == 200
    assert tuple(row) == ("not-understood", "too-deep")


@pytest.mark.parametrize(
    "path",
    [
        "/webhooks/facebook/chn_00000000000000000000000000000000",
        "/webhooks/facebook/nonsense",
        "/webhooks/telepathy/chn_00000000000000000000000000000000",
        "/webhooks/facebook",
        "/webhooks/facebook/a/b",
        "/v1/messages",
        "/v1/messages/more",
    ],
)
async def test_what_is_no_channel_is_not_found(door: Door, path):
    answer = await door.post(path, page(facebook_comment(1)))

    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_a_channel_answers_only_under_its_own_network_and_not_once_it_is_deleted(door: Door):
    channel = await door.connect()

    other = await door.post(f"/webhooks/api/{channel['id']}", page(facebook_comment(1)))
    async with door.api() as client:
        await client.delete(f"/v1/channels/{channel['id']}", headers={"If-Match": '"1"'})
    deleted = await door.post(channel["webhook_path"], page(facebook_comment(1)))

    assert (other.status_code, deleted.status_code) == (404, 404)


async def test_the_networks_handshake_is_answered_through_its_adapter(door: Door):
    path = (await door.connect())["webhook_path"]
    asked = {"hub.mode": "subscribe", "hub.verify_token": "open-sesame", "hub.challenge": "1158201444"}

    right = await door.http.get(path, params=asked)
    wrong = await door.http.get(path, params=asked | {"hub.verify_token": "guess"})

    assert (right.status_code, right.text) == (200, "1158201444")
    assert right.headers["content-type"].startswith("text/plain")
    assert wrong.status_code == 403


async def test_other_methods_are_told_what_the_path_takes(door: Door):
    channel = await door.connect(network="api", external_id="shop", credentials={"secret": OLD})

    answer = await door.http.get(channel["webhook_path"])

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("names_channel_by", ["header", "parameter", "path"])
async def test_the_generic_channel_takes_standard_webhooks(door: Door, names_channel_by):
    channel = await door.connect(network="api", external_id="shop", credentials={"secret": OLD})
    place = {
        "header": ("/v1/messages", {"Baton-Channel": channel["id"]}),
        "parameter": (f"/v1/messages?channel_id={channel['id']}", {}),
        "path": (channel["webhook_path"], {}),
    }[names_channel_by]
    content = raw(api_message(1))

    answers = [await _generic(door, *place, content=content, delivery=delivery) for delivery in ("a", "a", "b")]
    await door.normalize()

    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert await kept(door) == 2
    assert [event.data.message.text for event in await door.events()] == ["Is this in stock? 1 📦"]


async def test_the_generic_channel_refuses_another_secret(door: Door):
    channel = await door.connect(network="api", external_id="shop", credentials={"secret": OLD})

    answer = await _generic(
        door, "/v1/messages", {"Baton-Channel": channel["id"]}, content=b"{}", delivery="a", secret=NEW
    )

    assert answer.status_code == 401


async def _generic(
    door: Door, path: str, headers: dict[str, str], *, content: bytes, delivery: str, secret: str = OLD
) -> httpx.Response:
    now = door.runtime.clock.now()
    headers = headers | {
        "webhook-id": delivery,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(delivery, now, content.decode()),
    }
    return await door.http.post(path, content=content, headers=headers)


async def test_while_the_intake_is_not_running_networks_are_told_to_come_back(database: Database, socket):
    async with ingest.open_door(database, socket=socket, loops=False) as door:
        path = (await door.connect())["webhook_path"]

        answer = await door.post(path, page(facebook_comment(1)))

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_a_full_queue_refuses_what_is_not_durable_and_keeps_what_is(database: Database, socket):
    async with ingest.open_door(database, socket=socket, intake_queue=3, intake_batch=1) as door:
        path = (await door.connect())["webhook_path"]
        await door.post(path, page(facebook_comment(0)))

        async with asyncio.TaskGroup() as group:
            answers = [group.create_task(door.post(path, page(facebook_message(number)))) for number in range(30)]

        statuses = [answer.result().status_code for answer in answers]
        assert set(statuses) == {200, 503}
        assert await kept(door) == statuses.count(200) + 1


async def test_with_the_database_away_deliveries_are_refused_and_taken_again_when_it_is_back(dsn: str, socket):
    async with (
        wired(dsn) as (through, wire),
        open_database(through) as database,
        ingest.open_door(database, socket=socket) as door,
    ):
        path = (await door.connect())["webhook_path"]
        await door.post(path, page(facebook_comment(0)))

        wire.cut()
        away = await door.post(path, page(facebook_comment(1)))
        wire.mend()
        back = await door.post(path, page(facebook_comment(1)))

        assert (away.status_code, away.headers["retry-after"], away.json()["code"]) == (503, "5", "unavailable")
        assert back.status_code == 200
        assert await kept(door) == 2


async def test_with_the_database_away_nobody_can_say_whether_a_channel_exists(dsn: str, socket):
    async with (
        wired(dsn) as (through, wire),
        open_database(through) as database,
        ingest.open_door(database, socket=socket) as door,
    ):
        wire.cut()

        answer = await door.post("/webhooks/facebook/chn_00000000000000000000000000000000", page(facebook_comment(1)))
        counted = door.runtime.metrics.exposition()[0].decode()

    assert answer.status_code == 503
    assert 'baton_webhooks_total{network="facebook",outcome="unavailable"} 1.0' in counted
