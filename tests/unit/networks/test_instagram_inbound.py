"""What Instagram's comments, mentions and direct messages become, case by case."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.events.messages import Attachment, Author, Post, Reaction
from shared.networks import registry
from shared.networks.port import Item, Parsed
from tests.support.networks.instagram import (
    ACCOUNT,
    instagram_change,
    instagram_comment,
    instagram_echo,
    instagram_entry,
    instagram_message,
    instagram_messaging,
    instagram_story_reply,
)
from tests.support.networks.sample import encode

SENT = datetime(2025, 11, 22, 8, 26, 40, 123000, tzinfo=UTC)
CUSTOMER = Author(external_id="3003")


def _parse(*entries: Any, name: str = "instagram") -> Parsed:
    return registry.get("instagram").parse(encode({"object": name, "entry": list(entries)}))


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


# --- comments


def test_a_comment_is_the_root_of_its_thread_and_has_the_time_of_its_entry() -> None:
    assert _item(instagram_comment(1)) == Item(
        verb="received",
        kind="comment",
        direction="in",
        origin="customer",
        external_id="77000001",
        account_external_id=ACCOUNT,
        occurred_at=datetime(2025, 11, 22, 8, 26, 40, tzinfo=UTC),
        thread="77000001",
        author=Author(external_id="2002", handle="ana.gomez"),
        text="Where is my order 1? 📦",
        post=Post(external_id="9001"),
    )


def test_a_reply_belongs_to_the_comment_above_it() -> None:
    item = _item(instagram_comment(2, parent_id="77000001"))
    assert (item.kind, item.thread, item.parent_external_id) == ("reply", "77000001", "77000001")


def test_a_comment_under_an_advertisement_says_which() -> None:
    item = _item(instagram_comment(1, media={"id": "9001", "ad_id": 12, "ad_title": "Sale"}))
    assert (item.kind, item.post) == ("ad_comment", Post(external_id="9001", ad_id="12"))


@pytest.mark.parametrize(
    "writer",
    [
        {"id": ACCOUNT, "username": "acme"},
        {"id": int(ACCOUNT), "username": "acme"},
        {"id": ACCOUNT, "username": "acme", "self_ig_scoped_id": "555"},
        {"id": "555", "username": "acme", "self_ig_scoped_id": "555"},
    ],
    ids=["by id", "by number", "by both", "by the scoped id alone"],
)
def test_our_own_comment_is_ours_under_whichever_id(writer: Any) -> None:
    item = _item(instagram_comment(1, **{"from": writer}))
    assert (item.direction, item.origin) == ("out", "native")
    assert item.author == Author(external_id=ACCOUNT, handle="acme")


def test_a_comment_without_a_writer_is_a_customers() -> None:
    item = _item(instagram_comment(1, **{"from": None}))
    assert (item.direction, item.author) == ("in", None)


def test_a_comment_on_a_live_video_can_be_answered_in_private_only() -> None:
    live = _item(instagram_comment(1, field="live_comments"))
    assert (live.kind, live.answers) == ("comment", ("private",))
    assert _item(instagram_comment(1)).answers is None


def test_an_entry_that_is_its_own_change_is_that_change() -> None:
    (change,) = instagram_comment(1)["changes"]
    assert _item(instagram_entry(**change)) == _item(instagram_comment(1))


@pytest.mark.parametrize(
    ("value", "external_id"),
    [
        ({"media_id": "9001"}, "9001"),
        ({"media_id": 9001, "comment_id": 77000001}, "9001_77000001"),
    ],
)
def test_a_mention_is_named_by_all_that_its_answer_needs(value: Any, external_id: str) -> None:
    item = _item(instagram_change("mentions", **value))
    assert (item.kind, item.direction, item.external_id, item.thread) == ("mention", "in", external_id, external_id)
    assert (item.post, item.answers) == (Post(external_id="9001"), ("public",))
    assert (item.author, item.text) == (None, None)


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (instagram_change("comments", text="no id"), "no-id"),
        (instagram_change("comments", id="1", text=7), "malformed"),
        (instagram_change("comments", id="1", **{"from": "ana"}), "malformed"),
        (instagram_change("mentions", comment_id="1"), "no-id"),
        (instagram_change("mentions", media_id="1" * 300, comment_id="1" * 300), "no-id"),
        (instagram_change("story_insights", media_id="1", reach=44), "insights"),
        (instagram_change("telepathy", id="1"), "unknown-field"),
        ({"id": "0", "changes": instagram_comment(1)["changes"]}, "test-entry"),
        ({"changes": instagram_comment(1)["changes"]}, "no-account"),
        ({"id": ACCOUNT, "time": 1, "mood": []}, "unknown-entry"),
    ],
)
def test_what_becomes_no_item_says_why(entry: Any, code: str) -> None:
    assert _code(entry) == code


def test_a_body_about_another_product_is_kept_unread() -> None:
    parsed = _parse(instagram_comment(1), name="page")
    assert [part.code for part in parsed.not_understood] == ["wrong-object"]
    assert not parsed.items


def test_each_entry_belongs_to_its_own_account() -> None:
    other = {**instagram_comment(2), "id": "1784002"}
    accounts = [item.account_external_id for item in _parse(instagram_comment(1), other).items]
    assert accounts == [ACCOUNT, "1784002"]


# --- direct messages


def test_a_message_belongs_to_the_conversation_with_its_sender() -> None:
    assert _item(instagram_message(1)) == Item(
        verb="received",
        kind="dm",
        direction="in",
        origin="customer",
        external_id="m_1",
        account_external_id=ACCOUNT,
        occurred_at=SENT,
        thread="3003",
        author=CUSTOMER,
        text="Hello 1",
    )


def test_an_unsent_message_keeps_its_id_and_loses_its_text() -> None:
    item = _item(instagram_message(1, is_deleted=True))
    assert (item.verb, item.external_id, item.text, item.thread) == ("deleted", "m_1", None, "3003")


def test_an_edited_message_is_the_same_message() -> None:
    item = _item(instagram_messaging(message_edit={"mid": "m_1", "text": "Hello again", "num_edit": 2}))
    assert (item.verb, item.external_id, item.text, item.version) == ("edited", "m_1", "Hello again", "2")


def test_a_story_that_is_answered_is_shown_until_it_is_gone() -> None:
    item = _item(instagram_story_reply(1))
    assert (item.kind, item.parent_external_id, item.text) == ("story_reply", "5005", "Hello 1")
    assert item.attachments == (
        Attachment(kind="story", url="https://cdn.example/story", expires_at=SENT + timedelta(hours=24)),
    )


def test_a_mention_in_a_story_is_a_direct_message_with_the_story() -> None:
    attachments = [{"type": "story_mention", "payload": {"url": "https://cdn.example/story"}}]
    item = _item(instagram_messaging(message={"mid": "m_1", "attachments": attachments}))
    assert (item.kind, item.thread, item.text) == ("dm", "3003", None)
    assert item.attachments == (
        Attachment(kind="story_mention", url="https://cdn.example/story", expires_at=SENT + timedelta(hours=24)),
    )


@pytest.mark.parametrize(
    ("attachment", "expected"),
    [
        ({"type": "share", "payload": {"url": "https://cdn.example/p"}}, ("share", "https://cdn.example/p")),
        (
            {"type": "ig_reel", "payload": {"reel_video_id": 1, "url": "https://cdn.example/r"}},
            ("ig_reel", "https://cdn.example/r"),
        ),
        ({"type": "like_heart"}, ("like_heart", None)),
        ({"type": "ephemeral"}, ("ephemeral", None)),
    ],
)
def test_what_was_sent_keeps_its_kind_and_does_not_expire(attachment: Any, expected: tuple[str, str | None]) -> None:
    (found,) = _item(instagram_messaging(message={"mid": "m_1", "attachments": [attachment]})).attachments
    assert ((found.kind, found.url), found.expires_at) == (expected, None)


def test_a_message_that_instagram_cannot_show_is_seen_all_the_same() -> None:
    item = _item(instagram_messaging(message={"mid": "m_1", "is_unsupported": True}))
    assert item.attachments == (Attachment(kind="unsupported"),)


@pytest.mark.parametrize("more", [{}, {"is_self": True}])
def test_an_echo_is_ours_in_the_customers_conversation_and_carries_the_id_of_our_request(more: Any) -> None:
    answered = b'{"recipient_id":"3003","message_id":"m_9"}'
    item = _item(instagram_echo(9, **more))
    assert (item.direction, item.origin, item.thread, item.author) == (
        "out",
        "native",
        "3003",
        Author(external_id=ACCOUNT),
    )
    assert f'"{item.external_id}"'.encode() in answered


def test_a_question_that_was_tapped_is_a_message() -> None:
    item = _item(instagram_messaging(postback={"title": "Opening hours?", "payload": "HOURS"}))
    assert (item.kind, item.external_id, item.text) == ("dm", "postback:3003:1763800000123", "Opening hours?")


def test_a_quick_reply_is_the_text_on_its_button() -> None:
    assert _item(instagram_message(1, quick_reply={"payload": "X"})).text == "Hello 1"


def test_a_reaction_is_put_on_the_message_that_it_names() -> None:
    item = _item(instagram_messaging(reaction={"mid": "m_1", "action": "react", "reaction": "love", "emoji": "❤️"}))
    assert (item.verb, item.external_id) == ("reacted", "m_1")
    assert item.reaction == Reaction(action="add", emoji="❤️", author=CUSTOMER)


def test_the_test_console_may_send_a_message_as_a_change() -> None:
    (event,) = instagram_message(1)["messaging"]
    assert _item(instagram_entry(changes=[{"field": "messages", "value": event}])) == _item(instagram_message(1))


def test_a_message_in_a_thread_that_another_app_owns_is_a_message() -> None:
    assert _item(instagram_entry(standby=instagram_message(1)["messaging"])) == _item(instagram_message(1))


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"read": {"mid": "m_1"}}, "read"),
        ({"referral": {"ref": "x"}}, "referral"),
        ({"pass_thread_control": {}}, "handover"),
        ({"response_feedback": {}}, "feedback"),
        ({}, "unknown-messaging"),
        ({"message": {}}, "no-id"),
        ({"message": {"mid": "m_1"}, "sender": None}, "no-sender"),
    ],
)
def test_notices_are_ignored_by_name_and_the_rest_is_kept(event: Any, code: str) -> None:
    assert _code(instagram_messaging(**event)) == code
