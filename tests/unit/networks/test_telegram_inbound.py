"""What Telegram's updates say happened: in private chats, in groups, and to a business account."""

from datetime import UTC, datetime

import pytest

from shared.events.messages import Attachment, Author, Post, Reaction
from shared.networks.port import Item, WebhookRequest
from shared.networks.registry import get
from tests.support.networks.sample import NOW, Json, encode
from tests.support.networks.telegram import (
    GROUP,
    telegram,
    telegram_business_message,
    telegram_callback,
    telegram_deletion,
    telegram_group_message,
    telegram_message,
    telegram_reaction,
    telegram_update,
)


def items(body: Json) -> tuple[Item, ...]:
    return get("telegram").parse(encode(body)).items


def one(body: Json) -> Item:
    (item,) = items(body)
    return item


def codes(body: Json) -> list[str]:
    parsed = get("telegram").parse(encode(body))
    assert not parsed.items
    return [part.code for part in (*parsed.ignored, *parsed.not_understood)]


def holding(**content: Json) -> Json:
    return telegram_message(1, text=None, **content)


# --- places


def test_a_message_in_a_private_chat_is_direct_and_named_by_chat_and_number() -> None:
    item = one(telegram_message(1))
    assert (item.kind, item.external_id, item.thread, item.permalink) == ("dm", "2002:9001", "2002", None)
    assert item.author == Author(external_id="2002", handle="ana", name="Ana Gómez")
    assert item.occurred_at == datetime(2025, 11, 22, 8, 26, 40, tzinfo=UTC)
    assert item.account_external_id == ""


def test_the_same_number_in_two_chats_is_two_messages() -> None:
    other = telegram_message(1, chat={"id": 2003, "type": "private"})
    assert one(telegram_message(1)).external_id != one(other).external_id


def test_what_is_said_in_a_group_is_public() -> None:
    item = one(telegram_group_message(1))
    assert (item.kind, item.external_id, item.thread) == ("comment", f"{GROUP}:9001", str(GROUP))
    assert item.permalink == "https://t.me/acme_users/9001"


def test_a_group_without_a_name_has_links_for_its_members() -> None:
    item = one(telegram_group_message(1, chat={"id": GROUP, "type": "supergroup"}))
    assert item.permalink == "https://t.me/c/1234567890/9001"


def test_a_group_of_a_new_type_is_public_all_the_same() -> None:
    assert one(telegram_group_message(1, chat={"id": GROUP, "type": "hypergroup"})).kind == "comment"


def test_a_topic_is_a_thread_of_its_own_and_its_opening_is_no_message_that_is_answered() -> None:
    opening = {"message_id": 45, "forum_topic_created": {"name": "Orders"}}
    item = one(telegram_group_message(1, message_thread_id=45, is_topic_message=True, reply_to_message=opening))
    assert (item.kind, item.thread) == ("comment", f"{GROUP}:45")


def test_an_answer_in_a_group_names_what_it_answers() -> None:
    item = one(telegram_group_message(2, reply_to_message={"message_id": 9001}))
    assert (item.kind, item.parent_external_id) == ("reply", f"{GROUP}:9001")


def test_a_comment_on_a_channel_post_names_the_post() -> None:
    post = {"message_id": 50, "is_automatic_forward": True, "sender_chat": {"id": -1002, "type": "channel"}}
    item = one(telegram_group_message(2, message_thread_id=50, reply_to_message=post))
    assert (item.kind, item.post) == ("comment", Post(external_id=f"{GROUP}:50"))


def test_who_speaks_as_the_group_speaks_for_the_brand() -> None:
    item = one(telegram_group_message(1, sender_chat={"id": GROUP, "title": "Acme users"}))
    assert (item.direction, item.origin) == ("out", "native")
    assert item.author == Author(external_id=str(GROUP), name="Acme users")


def test_who_speaks_as_a_channel_is_a_customer_known_by_the_channel() -> None:
    item = one(telegram_group_message(1, sender_chat={"id": -1009, "title": "Fans", "username": "fans"}))
    assert (item.direction, item.author) == ("in", Author(external_id="-1009", handle="fans", name="Fans"))


# --- a business account


def test_a_business_chat_is_not_the_persons_chat_with_the_bot() -> None:
    business, own = one(telegram_business_message(1)), one(telegram_message(1))
    assert business.external_id == "bc1:2002:9001"
    assert business.thread != own.thread
    assert (business.kind, business.direction) == ("dm", "in")


@pytest.mark.parametrize(
    ("more", "origin"),
    [({}, "native"), ({"sender_business_bot": {"id": 110201543, "is_bot": True}}, "bot")],
)
def test_what_the_business_account_writes_is_ours(more: Json, origin: str) -> None:
    item = one(telegram_business_message(1, **{"from": {"id": 7, "first_name": "Shop"}}, **more))
    assert (item.direction, item.origin, item.thread) == ("out", origin, "bc1:2002")


def test_a_thousand_deleted_messages_are_a_thousand_items() -> None:
    deleted = items(telegram_deletion(*range(1000)))
    assert {item.verb for item in deleted} == {"deleted"}
    assert len({item.external_id for item in deleted}) == 1000
    assert deleted[1].external_id == one(telegram_business_message(1)).external_id


# --- editions, buttons, reactions


def test_an_edit_is_known_by_its_time() -> None:
    item = one(telegram_update(1, "edited_message", edit_date=1763800100))
    assert (item.verb, item.version) == ("edited", "1763800100")
    assert item.occurred_at == datetime(2025, 11, 22, 8, 28, 20, tzinfo=UTC)


def test_a_pressed_button_says_what_it_stands_for() -> None:
    item = one(telegram_callback(1))
    assert (item.kind, item.text, item.thread) == ("dm", "track", "2002")
    assert (item.external_id, item.parent_external_id) == ("2002:callback-4382bfdwdsb323b2d9", "2002:9001")


def test_a_button_under_a_message_elsewhere_is_no_message() -> None:
    assert codes(telegram_callback(1, message=None)) == ["inline"]


def test_one_reaction_that_replaces_another_is_two() -> None:
    removed, added = items(telegram_reaction(1, old=("👍", "🎉"), new=("❤", "🎉")))
    author = Author(external_id="2002", name="Ana")
    assert removed.reaction == Reaction(action="remove", emoji="👍", author=author)
    assert added.reaction == Reaction(action="add", emoji="❤", author=author)
    assert (added.kind, added.external_id, added.author) == ("reaction", f"{GROUP}:9001", None)
    assert removed.version != added.version


# --- content


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            {"photo": [{"file_id": "small", "file_size": 1}, {"file_id": "large", "file_size": 9}]},
            Attachment(kind="image", url="urn:telegram:file:large", size=9),
        ),
        (
            {"animation": {"file_id": "a", "mime_type": "video/mp4"}, "document": {"file_id": "a"}},
            Attachment(kind="video", url="urn:telegram:file:a", mime="video/mp4"),
        ),
        ({"sticker": {"file_id": "s", "emoji": "🎉"}}, Attachment(kind="sticker", url="urn:telegram:file:s")),
        ({"video_note": {"file_id": "n"}}, Attachment(kind="video", url="urn:telegram:file:n")),
        ({"location": {"latitude": 52.5, "longitude": 13.4}}, Attachment(kind="location", url="geo:52.5,13.4")),
        (
            {"venue": {"location": {"latitude": 1, "longitude": 2}}, "location": {"latitude": 1, "longitude": 2}},
            Attachment(kind="location", url="geo:1,2"),
        ),
        ({"contact": {"phone_number": "+4930123"}}, Attachment(kind="contact", url="tel:+4930123")),
        ({"contact": {"phone_number": "javascript:x"}}, Attachment(kind="contact")),
        ({"poll": {"question": "Which?"}}, Attachment(kind="poll")),
        ({"document": {}}, Attachment(kind="file")),
    ],
)
def test_a_file_is_named_by_what_it_can_be_fetched_with(content: Json, expected: Attachment) -> None:
    assert one(holding(**content)).attachments == (expected,)


def test_a_caption_is_the_text_of_its_file() -> None:
    assert one(holding(photo=[{"file_id": "a"}], caption="See 📦")).text == "See 📦"
    assert one(holding(poll={"question": "Which?"})).text == "Which?"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (holding(new_chat_members=[{"id": 5}]), "service-message"),
        (holding(pinned_message={"message_id": 4}), "service-message"),
        (telegram_update(1, "channel_post"), "own-post"),
        (telegram_update(1, "edited_channel_post"), "own-post"),
        (telegram_group_message(1, is_automatic_forward=True), "own-post"),
        (telegram_reaction(1, old=("👍",), new=("👍",)), "unchanged"),
        (telegram_deletion(), "empty-update"),
        ({"update_id": 1, "my_chat_member": {}}, "membership"),
        ({"update_id": 1, "business_connection": {}}, "business-connection"),
        ({"update_id": 1, "message_reaction_count": {}}, "reaction-count"),
        ({"update_id": 1, "poll_answer": {}}, "poll"),
    ],
)
def test_what_is_known_and_no_message_is_ignored(body: Json, code: str) -> None:
    assert get("telegram").parse(encode(body)).state == "ignored"
    assert codes(body) == [code]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (holding(hologram={"id": 1}), "unknown-content"),
        ({"update_id": 1, "hologram": {}}, "unknown-update"),
        ({"update_id": 1, "message": []}, "malformed"),
        ({"update_id": 1, "message": {"chat": {}, "message_id": 1, "text": "x"}}, "no-id"),
        (telegram_message(1, **{"from": None}), "no-sender"),
        ({"message": telegram_message(1)["message"]}, "not-a-webhook"),
    ],
)
def test_what_is_not_known_is_kept_for_somebody_to_see(body: Json, code: str) -> None:
    assert get("telegram").parse(encode(body)).state == "not-understood"
    assert codes(body) == [code]


# --- deliveries


def test_an_update_is_known_by_its_number_whatever_its_bytes() -> None:
    first = WebhookRequest(method="POST", headers={}, body=encode(telegram_message(1)))
    again = WebhookRequest(method="POST", headers={}, body=encode(telegram_message(1)) + b" ")
    assert get("telegram").delivery_key(first) == get("telegram").delivery_key(again) == "701"


def test_a_secret_in_the_body_is_none() -> None:
    body = encode({**telegram_message(1), "secret_token": "old-secret"})
    request = WebhookRequest(method="POST", headers={}, body=body)
    assert not get("telegram").verify(request, telegram().account, now=NOW)


def test_the_acknowledgment_has_no_body_that_would_be_read_as_a_call() -> None:
    assert get("telegram").acknowledge().body == b""
