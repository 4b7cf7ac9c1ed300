"""X and Telegram through the same door: handshake, secrets, one app for several accounts, and an answer of no words."""

from typing import Any

from tests.support.ingest import Door
from tests.support.networks.sample import PAGE, encode
from tests.support.networks.telegram import TOKEN, telegram_message
from tests.support.networks.x import x_event, x_old_post, x_post, x_signature

X = {"consumer_secret": "old-secret", "access_token": "user-token"}
BOT = {"secret_token": "old-secret", "bot_token": TOKEN}


async def post_to_x(door: Door, path: str, body: Any) -> int:
    """A delivery as X signs it."""
    content = encode(body)
    headers = {"x-twitter-webhooks-signature": x_signature(b"old-secret", content)}
    return (await door.http.post(path, content=content, headers=headers)).status_code


async def test_x_checks_the_webhook_with_a_token_and_gets_json(door: Door):
    path = (await door.connect(network="x", credentials=X))["webhook_path"]

    right = await door.http.get(path, params={"crc_token": "abc+/="})
    wrong = await door.http.get(path, params={"crc_token": '{"for_user_id":"1"}'})

    assert right.json() == {"response_token": x_signature(b"old-secret", b"abc+/=")}
    assert (right.status_code, right.headers["content-type"]) == (200, "application/json")
    assert wrong.status_code == 403


async def test_one_webhook_of_x_serves_every_connected_account_of_the_app(door: Door):
    first = await door.connect(network="x", credentials=X)
    second = await door.connect(network="x", external_id="2002002", credentials=X)
    to_second = x_event("post.reply.create", x_post(2, in_reply_to_user_id="2002002"))
    to_second["data"]["filter"]["user_id"] = "2002002"

    statuses = [
        await post_to_x(door, first["webhook_path"], body)
        for body in ({"for_user_id": PAGE, "tweet_create_events": [x_old_post(1)]}, to_second)
    ]
    await door.normalize()

    assert statuses == [200, 200]
    found = {event.data.message.external_id: event.data.message.channel_id for event in await door.events()}
    assert found == {"77000001": first["id"], "77000002": second["id"]}


async def test_an_account_of_x_that_is_not_connected_is_kept_and_said_to_be_so(door: Door):
    channel = await door.connect(network="x", credentials=X)

    answer = x_old_post(1, in_reply_to_user_id_str="9")
    await post_to_x(door, channel["webhook_path"], {"for_user_id": "9", "tweet_create_events": [answer]})
    await door.normalize()

    async with door.api() as client:
        [kept] = (await client.get("/v1/inbox")).json()["data"]
    assert (kept["state"], kept["reason"]["code"]) == ("not-understood", "account-not-connected")


async def test_a_bot_is_known_by_its_secret_and_answered_without_words(door: Door):
    path = (await door.connect(network="telegram", external_id="110201543", credentials=BOT))["webhook_path"]
    content = encode(telegram_message(1))

    answers = [
        await door.http.post(path, content=content, headers={"X-Telegram-Bot-Api-Secret-Token": secret})
        for secret in ("old-secret", "guess", "old-secret")
    ]
    await door.normalize()

    assert [answer.status_code for answer in answers] == [200, 401, 200]
    assert answers[0].content == b""
    [event] = await door.events()
    assert (event.data.message.external_id, event.data.message.kind) == ("2002:9001", "dm")
    assert [option.kind for option in event.data.message.reply_options] == ["private"]
