"""What Messenger's events become, case by case."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.events.messages import Attachment, Author, Reaction
from shared.networks import registry
from shared.networks.port import Item, Parsed
from tests.support.networks.facebook import (
    facebook_entry,
    facebook_message,
    facebook_message_edit,
    facebook_messaging,
)
from tests.support.networks.sample import PAGE, encode

CUSTOMER = Author(external_id="3003")
US = Author(external_id=PAGE)


def _parse(*entries: Any) -> Parsed:
    return registry.get("facebook").parse(encode({"object": "page", "entry": list(entries)}))


def _item(*entries: Any) -> Item:
    parsed = _parse(*entries)
    assert parsed.state == "normalized", parsed
    (item,) = parsed.items
    return item


def _code(*entries: Any) -> str:
    parsed = _parse(*entries)
    assert not parsed.items
    (part,) = (*parsed.ignored, *parsed.not_understood)
    return part.code


def test_a_message_belongs_to_the_conversation_with_its_sender() -> None:
    assert _item(facebook_message(1)) == Item(
        verb="received",
        kind="dm",
        direction="in",
        origin="customer",
        external_id="m_1",
        account_external_id=PAGE,
        occurred_at=datetime(2025, 11, 22, 8, 26, 40, 123000, tzinfo=UTC),
        thread="3003",
        author=CUSTOMER,
        text="Hello 1",
    )


def test_a_message_in_a_thread_that_another_app_owns_is_a_message() -> None:
    event = facebook_message(1)["messaging"]
    assert _item(facebook_entry(standby=event)) == _item(facebook_message(1))


def test_the_test_console_may_send_a_message_as_a_change() -> None:
    (event,) = facebook_message(1)["messaging"]
    change = facebook_entry(changes=[{"field": "messages", "value": event}])
    assert _item(change) == _item(facebook_message(1))


@pytest.mark.parametrize(
    ("sender", "recipient"),
    [(PAGE, "3003"), (int(PAGE), 3003), ("3003", PAGE), ("other-app", "3003")],
    ids=repr,
)
def test_an_echo_is_ours_and_belongs_to_the_customer_however_it_names_both(sender: Any, recipient: Any) -> None:
    message = {"mid": "m_1", "text": "Hi", "is_echo": True, "app_id": 15, "metadata": "rpl_1"}
    item = _item(facebook_messaging(sender={"id": sender}, recipient={"id": recipient}, message=message))
    assert (item.direction, item.origin, item.thread, item.author) == ("out", "native", "3003", US)
    assert item.correlation_id == "rpl_1"


def test_metadata_of_a_customer_correlates_nothing() -> None:
    assert _item(facebook_message(1, metadata="rpl_1")).correlation_id is None


def test_a_message_from_the_page_is_ours_without_the_echo_flag() -> None:
    item = _item(facebook_messaging(sender={"id": PAGE}, recipient={"id": "3003"}, message={"mid": "m_1"}))
    assert (item.direction, item.thread) == ("out", "3003")


def test_a_deleted_message_keeps_its_id_and_loses_its_text() -> None:
    item = _item(facebook_message(1, is_deleted=True))
    assert (item.verb, item.external_id, item.text, item.version) == ("deleted", "m_1", None, "")


def test_a_message_that_facebook_cannot_show_is_seen_all_the_same() -> None:
    item = _item(facebook_messaging(message={"mid": "m_1", "is_unsupported": True}))
    assert item.attachments == (Attachment(kind="unsupported"),)


@pytest.mark.parametrize(("count", "version"), [("37", "37"), (2, "2"), (None, "1763800000123")])
def test_an_edit_counts_in_text_or_numbers(count: Any, version: str) -> None:
    entry = facebook_message_edit(1)
    entry["messaging"][0]["message_edit"]["num_edit"] = count
    item = _item(entry)
    assert (item.verb, item.external_id, item.text, item.version) == ("edited", "m_1", "Hello again", version)


def test_a_quick_reply_is_the_text_on_its_button() -> None:
    assert _item(facebook_message(1, quick_reply={"payload": "X"})).text == "Hello 1"


def test_an_answer_names_the_message_above_it() -> None:
    assert _item(facebook_message(1, reply_to={"mid": "m_0"})).parent_external_id == "m_0"


def test_an_answer_to_a_story_is_a_story_reply() -> None:
    item = _item(facebook_message(1, reply_to={"story": {"id": 5, "url": "https://cdn.example/s"}}))
    assert (item.kind, item.parent_external_id) == ("story_reply", "5")


def test_attachments_keep_their_kind_and_url() -> None:
    url = "https://cdn.example/a"
    attachments = [
        {"type": "image", "payload": {"url": url}},
        {"type": "file", "payload": {"url": url}},
        {"type": "fallback", "url": url, "payload": "BLOB"},
        {"type": "location", "payload": {"coordinates": {"lat": 1.5, "long": -2}}},
        {"type": "template", "payload": {"elements": []}},
        {"payload": {"url": 7}},
        "nonsense",
    ]
    found = [(a.kind, a.url) for a in _item(facebook_message(1, attachments=attachments)).attachments]
    assert found == [
        ("image", url),
        ("file", url),
        ("fallback", url),
        ("location", "geo:1.5,-2"),
        ("template", None),
        ("unknown", None),
    ]


def test_a_sticker_sent_as_image_and_as_sticker_is_one_sticker() -> None:
    payload = {"url": "https://cdn.example/s", "sticker_id": 9}
    attachments = [{"type": "image", "payload": payload}, {"type": "sticker", "payload": payload}]
    item = _item(facebook_message(1, attachments=attachments))
    assert item.attachments == (Attachment(kind="sticker", url="https://cdn.example/s"),)


@pytest.mark.parametrize(
    ("postback", "text"),
    [
        ({"title": "Talk to us", "payload": "HUMAN"}, "Talk to us"),
        ({"title": "", "payload": "HUMAN"}, "HUMAN"),
        ({"payload": "HUMAN"}, "HUMAN"),
        ({"title": "Talk to us"}, "Talk to us"),
        ({"payload": {"not": "text"}}, None),
    ],
)
def test_a_button_is_a_message_that_says_what_was_on_it(postback: Any, text: str | None) -> None:
    item = _item(facebook_messaging(postback=postback))
    assert (item.kind, item.external_id, item.text) == ("dm", "postback:3003:1763800000123", text)


def test_a_button_with_an_id_keeps_it() -> None:
    assert _item(facebook_messaging(postback={"mid": "m_9", "title": "Hi"})).external_id == "m_9"


def test_a_guest_of_the_chat_plugin_is_known_by_the_reference_alone() -> None:
    item = _item(facebook_messaging(sender={"user_ref": 42}, postback={"title": "Hi"}))
    assert (item.thread, item.author) == ("user_ref:42", Author(external_id="user_ref:42"))


@pytest.mark.parametrize(
    ("reaction", "expected"),
    [
        ({"action": "react", "emoji": "😢", "reaction": "sad"}, Reaction(action="add", emoji="😢", author=CUSTOMER)),
        ({"action": "react", "reaction": "love"}, Reaction(action="add", emoji="❤", author=CUSTOMER)),
        ({"action": "unreact"}, Reaction(action="remove", author=CUSTOMER)),
    ],
)
def test_a_reaction_is_put_on_the_message_that_it_names(reaction: Any, expected: Reaction) -> None:
    item = _item(facebook_messaging(reaction={"mid": "m_1", **reaction}))
    assert (item.verb, item.external_id, item.thread, item.reaction) == ("reacted", "m_1", "3003", expected)


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("read", "read"),
        ("delivery", "delivery"),
        ("optin", "optin"),
        ("referral", "referral"),
        ("account_linking", "account-linking"),
        ("policy_enforcement", "policy-enforcement"),
        ("policy-enforcement", "policy-enforcement"),
        ("pass_thread_control", "handover"),
        ("take_thread_control", "handover"),
        ("request_thread_control", "handover"),
        ("app_roles", "handover"),
        ("telepathy", "unknown-messaging"),
    ],
)
def test_notices_are_ignored_by_name_and_unknown_ones_are_kept(key: str, code: str) -> None:
    assert _code(facebook_messaging(**{key: {"watermark": 1}})) == code


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({}, "unknown-messaging"),
        ({"message": None}, "unknown-messaging"),
        ({"message": {}}, "no-id"),
        ({"message": {"mid": "m_1"}, "sender": None}, "no-sender"),
        ({"message": {"mid": "m_1"}, "sender": {"id": ""}}, "no-sender"),
        ({"message": "text"}, "malformed"),
        ({"message": {"mid": "m_1", "text": 7}}, "malformed"),
        ({"message": {"mid": "m_1"}, "sender": "3003"}, "malformed"),
        ({"message_edit": {"text": "x"}}, "no-id"),
        ({"postback": {"title": "x"}, "sender": None}, "no-sender"),
        ({"postback": {"title": "x"}, "timestamp": None}, "no-id"),
        ({"reaction": {"action": "react"}}, "no-id"),
        ({"reaction": {"mid": "m_1"}}, "malformed"),
        ({"reaction": {"mid": "m_1", "action": "wave"}}, "unknown-verb"),
    ],
)
def test_what_becomes_no_item_says_why(event: Any, code: str) -> None:
    assert _code(facebook_messaging(**event)) == code


def test_a_deletion_from_nobody_is_still_a_deletion() -> None:
    item = _item(facebook_messaging(sender=None, message={"mid": "m_1", "is_deleted": True}))
    assert (item.verb, item.thread, item.author) == ("deleted", None, None)


@pytest.mark.parametrize("time", [None, True, "soon", -1, 10**30, {}])
def test_a_time_that_is_none_costs_the_time_alone(time: Any) -> None:
    item = _item(facebook_messaging(timestamp=time, message={"mid": "m_1", "text": "Hi"}))
    assert (item.occurred_at, item.text) == (None, "Hi")
