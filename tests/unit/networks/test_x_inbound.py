"""What X says happened: both shapes of its bodies, echoes, editions, and a handshake that signs what it is asked to."""

import json
from datetime import UTC, datetime

import pytest

from shared.events.messages import Attachment, Author, Post
from shared.networks.port import Account, Item, WebhookRequest
from shared.networks.registry import get
from tests.support.networks.sample import NOW, PAGE, Json, encode
from tests.support.networks.x import (
    x,
    x_event,
    x_includes,
    x_old_messages,
    x_old_post,
    x_post,
    x_signature,
)

OWN = {"id_str": PAGE, "name": "Acme", "screen_name": "acme"}


def one(body: Json) -> Item:
    (item,) = get("x").parse(encode(body)).items
    return item


def codes(body: Json) -> list[str]:
    parsed = get("x").parse(encode(body))
    assert not parsed.items
    return [part.code for part in (*parsed.ignored, *parsed.not_understood)]


def old(**more: Json) -> Json:
    return {"for_user_id": PAGE, "tweet_create_events": [x_old_post(1, **more)]}


def reply_event(**more: Json) -> Json:
    return x_event("post.reply.create", x_post(1, **more), includes=x_includes())


# --- posts


def test_both_apis_say_the_same_of_an_answer_to_our_post() -> None:
    before, now = one(old()), one(reply_event(text="@acme Where is my order 1? 📦"))
    assert (now.external_id, now.kind, now.thread, now.text) == (before.external_id, "reply", "77000001", before.text)
    assert now.occurred_at == before.occurred_at == datetime(2026, 11, 22, 11, 59, 50, tzinfo=UTC)
    assert now.author == Author(external_id="2002", handle="ana", name="Ana Gómez", followers=7, verified=False)
    assert now.post == before.post == Post(external_id="500", permalink="https://x.com/i/status/500")
    assert now.permalink == "https://x.com/i/status/77000001"


def test_an_id_as_text_wins_over_the_number_that_lost_digits() -> None:
    assert one(old(id=77000001.0, id_str="77000009")).external_id == "77000009"


@pytest.mark.parametrize("event", ["post.mention.create", "post.reply.create"])
def test_one_post_that_two_events_tell_of_is_one_item(event: str) -> None:
    body = x_event(event, x_post(1), includes=x_includes())
    assert one(body) == one(reply_event())


def test_an_answer_below_an_answer_belongs_to_the_conversation_and_names_its_parent() -> None:
    item = one(reply_event(referenced_tweets=[{"type": "replied_to", "id": "600"}]))
    assert (item.thread, item.parent_external_id, item.post) == ("500", "600", None)


def test_a_mention_in_somebody_elses_thread_is_no_answer_to_us() -> None:
    item = one(x_event("post.mention.create", x_post(1, in_reply_to_user_id="9", conversation_id="400")))
    assert (item.kind, item.thread, item.parent_external_id) == ("mention", "400", "500")
    item = one(old(in_reply_to_user_id_str="9"))
    assert (item.kind, item.thread, item.parent_external_id) == ("mention", "500", "500")


def test_a_quote_is_a_mention_that_names_what_it_quotes() -> None:
    item = one(x_event("post.quote.create", x_post(1, referenced_tweets=[{"type": "quoted", "id": "500"}])))
    assert (item.kind, item.parent_external_id) == ("mention", None)
    assert item.post == Post(external_id="500", permalink="https://x.com/i/status/500")
    quoting: Json = {"in_reply_to_status_id_str": None, "in_reply_to_user_id_str": None, "entities": {}}
    item = one(old(**quoting, quoted_status_id_str="500", quoted_status={"user": OWN}))
    assert (item.kind, item.post) == ("mention", Post(external_id="500", permalink="https://x.com/i/status/500"))


def test_our_own_answer_is_an_echo_with_the_words_that_we_sent() -> None:
    item = one(
        x_event(
            "post.create",
            x_post(
                2,
                author_id=PAGE,
                in_reply_to_user_id="2002",
                referenced_tweets=[{"type": "replied_to", "id": "77000001"}],
                text="@ana @bob See https://t.co/abc for A &amp; B",
                display_text_range=[10, 44],
                entities={"urls": [{"url": "https://t.co/abc", "expanded_url": "https://acme.example/a"}]},
            ),
        )
    )
    assert (item.direction, item.origin, item.kind, item.parent_external_id) == ("out", "native", "reply", "77000001")
    assert item.text == "See https://acme.example/a for A & B"


def test_an_echo_keeps_words_that_x_did_not_put_there() -> None:
    item = one(
        x_event(
            "post.create",
            x_post(2, author_id=PAGE, text="Dear @ana thanks", display_text_range=[10, 16]),
        )
    )
    assert item.text == "Dear @ana thanks"


@pytest.mark.parametrize(
    ("text", "expected"), [("a &lt;b&gt; &amp; c", "a <b> & c"), ("&amp;lt;", "&lt;"), ("&quot;", "&quot;")]
)
def test_what_x_escapes_is_read_back_once(text: str, expected: str) -> None:
    assert one(reply_event(text=text)).text == expected


def test_long_posts_are_whole() -> None:
    assert one(reply_event(note_tweet={"text": "all of it"})).text == "all of it"
    assert one(old(extended_tweet={"full_text": "@acme all of it"})).text == "@acme all of it"


def test_an_edition_is_an_edit_of_the_first_one() -> None:
    item = one(reply_event(id="77000005", edit_history_tweet_ids=["77000001", "77000005"]))
    assert (item.verb, item.external_id, item.version) == ("edited", "77000001", "77000005")


def test_pictures_come_from_the_includes_and_from_entities() -> None:
    media = [{"media_key": "3_1", "type": "photo", "url": "https://pbs.twimg.com/a.jpg"}]
    body = x_event(
        "post.reply.create", x_post(1, attachments={"media_keys": ["3_1", "3_2"]}), includes={"media": media}
    )
    assert one(body).attachments == (
        Attachment(kind="image", url="https://pbs.twimg.com/a.jpg"),
        Attachment(kind="unknown"),
    )
    part = {"type": "animated_gif", "url": "https://t.co/x", "media_url_https": "https://pbs.twimg.com/b.jpg"}
    assert one(old(extended_entities={"media": [part]})).attachments == (
        Attachment(kind="video", url="https://pbs.twimg.com/b.jpg"),
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (old(retweeted_status={"id_str": "1"}), "repost"),
        (old(user=OWN, in_reply_to_status_id_str=None), "own-post"),
        (old(in_reply_to_user_id_str="9", entities={}), "not-for-us"),
        (x_event("post.create", x_post(1, author_id=PAGE, referenced_tweets=[])), "own-post"),
        (x_event("post.create", x_post(1, in_reply_to_user_id="9")), "not-for-us"),
        (x_event("post.repost.delete", {}), "repost"),
        (x_event("like.create", {}), "like"),
        (x_event("follow.follow", {}), "follow"),
        (x_event("dm.read", {}), "read"),
        (x_event("chat.conversation_join", {}), "chat-notice"),
        (x_event("oauth.revoke", {}), "revoked"),
        ({"for_user_id": PAGE, "favorite_events": [{"id": "1"}]}, "like"),
        ({"for_user_id": PAGE, "follow_events": [{"type": "unfollow"}]}, "follow"),
        ({"for_user_id": PAGE, "tweet_create_events": []}, "empty-event"),
    ],
)
def test_what_is_known_and_no_message_is_ignored(body: Json, code: str) -> None:
    assert get("x").parse(encode(body)).state == "ignored"
    assert codes(body) == [code]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (x_event("follower.gained", {}), "unknown-event"),
        (x_event("post.reply.create", []), "malformed"),
        ({"data": {**reply_event()["data"], "filter": {}}}, "no-account"),
        ({"for_user_id": PAGE, "bookmark_events": []}, "unknown-event"),
        ({"tweet_create_events": [x_old_post(1)]}, "no-account"),
        ({"for_user_id": PAGE, "direct_message_events": {}}, "malformed"),
        (old(id_str=None), "no-id"),
    ],
)
def test_what_is_not_known_is_kept_for_somebody_to_see(body: Json, code: str) -> None:
    assert get("x").parse(encode(body)).state == "not-understood"
    assert codes(body) == [code]


def test_a_deletion_says_whose_post_it_was() -> None:
    ours = one(x_event("post.delete", {"id": "5", "author_id": PAGE}))
    theirs = one(
        {"for_user_id": PAGE, "tweet_delete_events": [{"status": {"id": "6", "user_id": 2002}, "timestamp_ms": 1}]}
    )
    assert (ours.verb, ours.external_id, ours.direction) == ("deleted", "5", "out")
    assert (theirs.verb, theirs.external_id, theirs.direction) == ("deleted", "6", "in")


# --- accounts


def test_one_app_delivers_for_several_accounts_and_each_item_says_whose_it_is() -> None:
    assert one({**old(in_reply_to_user_id_str="77"), "for_user_id": "77"}).account_external_id == "77"
    event = reply_event()
    event["data"]["filter"]["user_id"] = 78
    assert one(event).account_external_id == "78"


# --- direct messages


def test_a_direct_message_reads_the_same_in_both_shapes() -> None:
    body = x_old_messages(3)
    item = one(body)
    assert (item.kind, item.direction, item.external_id, item.thread) == ("dm", "in", "88000003", "3003")
    assert item.author == Author(external_id="3003", handle="cem", name="Cem Öz", verified=True)
    assert item.occurred_at == datetime(2025, 11, 22, 8, 26, 40, 123000, tzinfo=UTC)
    assert one(x_event("dm.received", {key: body[key] for key in ("direct_message_events", "users")})) == item


def test_our_own_direct_message_belongs_to_the_customers_thread() -> None:
    item = one(x_old_messages(3, sender=PAGE, recipient="3003"))
    assert (item.direction, item.thread, item.author) == ("out", "3003", Author(external_id=PAGE))


def test_a_direct_message_in_the_form_of_look_ups_is_read_too() -> None:
    flat = {"id": "9", "text": "Hi", "sender_id": PAGE, "dm_conversation_id": f"{PAGE}-3003"}
    item = one(x_event("dm.sent", flat))
    assert (item.direction, item.thread, item.text) == ("out", "3003", "Hi")


def test_an_encrypted_message_shows_though_nobody_can_read_it() -> None:
    shell = {"id": "c-1", "sender_id": "3003", "conversation_id": f"3003:{PAGE}", "created_at_msec": "1763800000123"}
    item = one(x_event("chat.received", shell))
    assert (item.kind, item.thread, item.text) == ("dm", "3003", None)
    assert item.attachments == (Attachment(kind="encrypted"),)


def test_one_bad_message_does_not_take_the_others_with_it() -> None:
    body = x_old_messages(1, 2)
    events = [body["direct_message_events"][0], 7, body["direct_message_events"][1]]
    parsed = get("x").parse(encode(x_event("dm.received", {"direct_message_events": events})))
    assert [item.external_id for item in parsed.items] == ["88000001", "88000002"]
    assert [part.code for part in parsed.not_understood] == ["malformed"]


# --- who is calling


def test_no_answer_to_a_token_signs_a_body() -> None:
    network, account = get("x"), x().account
    forged = encode(old())
    assert network.handshake(_token(forged.decode()), account) == network.handshake(_token(""), account)
    answer = network.handshake(_token("harmless"), account)
    assert answer is not None
    signature = json.loads(answer.body)["response_token"]
    posted = WebhookRequest(method="POST", headers={"x-twitter-webhooks-signature": signature}, body=b"harmless")
    assert signature == x_signature(b"old-secret", b"harmless")
    assert not network.verify(posted, account, now=NOW)


def test_after_a_rotation_the_new_secret_answers_the_token() -> None:
    answer = get("x").handshake(_token("t"), x().rotated)
    assert answer is not None
    assert json.loads(answer.body) == {"response_token": x_signature(b"new-secret", b"t")}


def test_without_a_secret_no_token_is_answered() -> None:
    answer = get("x").handshake(_token("t"), Account(channel_id="chn", external_id=PAGE))
    assert answer is not None
    assert answer.status == 403


def test_an_event_is_known_by_its_name_and_a_list_by_its_bytes() -> None:
    first = WebhookRequest(method="POST", headers={}, body=encode(reply_event()))
    again = WebhookRequest(method="POST", headers={}, body=encode(reply_event(lang="en")))
    assert get("x").delivery_key(first) == get("x").delivery_key(again) == "-6850472171600526495"


def _token(token: str) -> WebhookRequest:
    return WebhookRequest(method="GET", headers={}, query={"crc_token": token})
