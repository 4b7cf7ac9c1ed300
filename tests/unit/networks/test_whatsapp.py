"""What WhatsApp says beyond the contract: people with two names, files by id, edits, echoes, statuses."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.errors import Rejected
from shared.events.messages import Attachment, Author, Post
from shared.networks import registry
from shared.networks.port import Item, OutboundReply, Skipped
from tests.support.networks.sample import NOW, direct, encode, outbound
from tests.support.networks.whatsapp import (
    BSUID,
    NUMBER,
    PHONE,
    change,
    delivery,
    echoed,
    edit,
    entry,
    flow,
    message,
    order,
    picture,
    place,
    reaction,
    revoke,
    status,
    text,
    whatsapp,
)

WHATSAPP = registry.get("whatsapp")
ACCOUNT = whatsapp().account
ANA = Author(external_id=BSUID, handle="ana", name="Ana Gómez")


def one(body: Any) -> Item:
    parsed = WHATSAPP.parse(encode(delivery([body])))
    [item] = parsed.items
    assert parsed.ignored == parsed.not_understood == ()
    return item


def skipped(body: Any) -> Skipped:
    parsed = WHATSAPP.parse(encode(delivery([body])))
    assert parsed.items == ()
    [part] = (*parsed.ignored, *parsed.not_understood)
    return part


# --- who is meant


def test_a_person_is_the_user_id_with_the_card_that_the_delivery_brings() -> None:
    item = one(text(1))
    assert (item.author, item.thread, item.account_external_id) == (ANA, BSUID, NUMBER)
    assert item.occurred_at == datetime.fromtimestamp(1763799990, UTC)


def test_a_phone_number_alone_is_found_in_the_cards_under_its_user_id() -> None:
    assert one(entry(messages=[message("wamid.1", text={"body": "Hi"})])).author == ANA


@pytest.mark.parametrize("nobody", ["", None])
def test_an_empty_number_is_no_number(nobody: str | None) -> None:
    item = one(entry(messages=[message("wamid.1", sender=nobody, from_user_id=BSUID, text={"body": "Hi"})]))
    assert (item.author, item.thread) == (ANA, BSUID)


def test_the_only_card_is_the_sender_where_the_message_names_none() -> None:
    assert one(entry(messages=[message("wamid.1", sender="", text={"body": "Hi"})])).author == ANA


def test_a_card_of_somebody_else_is_not_the_sender() -> None:
    item = one(entry(messages=[message("wamid.1", sender="15550009009", text={"body": "Hi"})]))
    assert item.author == Author(external_id="15550009009")


def test_of_two_cards_none_is_guessed() -> None:
    cards = [{"wa_id": PHONE, "user_id": BSUID}, {"wa_id": "15550009009"}]
    assert (
        skipped(entry(contacts=cards, messages=[message("wamid.1", sender="", text={"body": "Hi"})])).code
        == "no-sender"
    )


def test_a_customer_without_a_user_id_is_the_number() -> None:
    item = one(entry(contacts=[{"wa_id": PHONE}], messages=[message("wamid.1", text={"body": "Hi"})]))
    assert (item.author, item.thread) == (Author(external_id=PHONE), PHONE)


def test_one_delivery_speaks_of_several_numbers() -> None:
    here = change("messages", messages=[message("wamid.1", text={"body": "Hi"})])
    there = change("messages", number="2", messages=[message("wamid.2", text={"body": "Hi"})])
    parsed = WHATSAPP.parse(encode(delivery([{**here, "changes": here["changes"] + there["changes"]}])))
    assert [item.account_external_id for item in parsed.items] == [NUMBER, "2"]


@pytest.mark.parametrize(
    "body",
    [
        change("user_id_update", user_id_update=[{"user_id": {"previous": "US.1", "current": "US.2"}}]),
        entry(messages=[message("w", kind="system", system={"type": "user_changed_number", "wa_id": "1555"})]),
        entry(messages=[message("w", kind="system", system={"type": "user_changed_user_id", "user_id": "US.2"})]),
    ],
    ids=["field", "number", "user-id"],
)
def test_a_new_number_or_user_id_is_kept_to_be_seen(body: Any) -> None:
    parsed = WHATSAPP.parse(encode(delivery([body])))
    assert parsed.state == "not-understood"
    assert [part.code for part in parsed.not_understood] == ["identity-change"]


# --- what is said


@pytest.mark.parametrize("link", [{}, {"url": "https://cdn.example/a?mid=1&ext=1763800300&hash=x"}], ids=["id", "link"])
def test_a_file_is_named_by_its_id_which_outlives_a_link(link: dict[str, str]) -> None:
    image = one(entry(messages=[picture("wamid.1", **link)]))
    assert image.text == "Broken"
    assert image.attachments == (Attachment(kind="image", mime="image/jpeg", url="urn:whatsapp:media:65463453"),)


@pytest.mark.parametrize(("voice", "kind"), [(True, "voice"), (False, "audio")])
def test_a_voice_message_is_told_from_a_sound_file(voice: bool, kind: str) -> None:  # noqa: FBT001
    audio = message("wamid.1", kind="audio", audio={"id": "1", "voice": voice})
    assert one(entry(messages=[audio])).attachments == (Attachment(kind=kind, url="urn:whatsapp:media:1"),)


def test_a_place_is_a_point_and_its_names() -> None:
    item = one(place("wamid.1"))
    assert item.text == "Bay Bridge\nSan Francisco"
    assert item.attachments == (Attachment(kind="location", url="geo:37.5,-122.25"),)


def test_a_cart_is_its_words_and_its_lines() -> None:
    item = one(order("wamid.1"))
    assert item.text == "Quickly please\n2 x SODA, 9.5 EUR"
    assert item.attachments == (Attachment(kind="order"),)


def test_a_form_is_its_answers_without_the_senders_own_token() -> None:
    assert one(entry(messages=[flow("wamid.1")])).text == "size: 4\ntags: a, b"


def test_a_type_that_is_new_is_shown_as_something_that_came() -> None:
    item = one(entry(messages=[message("wamid.1", kind="hologram", hologram={"id": 1})]))
    assert (item.text, item.attachments) == (None, (Attachment(kind="unsupported"),))


def test_an_answer_to_a_message_names_it() -> None:
    said = message("wamid.2", text={"body": "Yes"}, context={"from": NUMBER, "id": "wamid.1"})
    assert one(entry(messages=[said])).parent_external_id == "wamid.1"


@pytest.mark.parametrize(("source", "ad"), [("ad", "77"), ("post", None)])
def test_what_led_the_customer_here_is_the_post(source: str, ad: str | None) -> None:
    referral = {"source_type": source, "source_id": "77", "source_url": "https://fb.example/77"}
    item = one(entry(messages=[message("wamid.1", text={"body": "Hi"}, referral=referral)]))
    assert (item.kind, item.post) == ("dm", Post(external_id="77", permalink="https://fb.example/77", ad_id=ad))


def test_a_group_is_a_conversation_of_its_own_that_is_answered_privately() -> None:
    said = message("wamid.1", text={"body": "Hi all"}, group_id="1203@g.us", from_user_id=BSUID)
    item = one(entry(messages=[said]))
    assert (item.kind, item.thread, item.author) == ("comment", "1203@g.us", ANA)
    assert not WHATSAPP.capabilities.public_reply
    assert b"individual" in WHATSAPP.reply(ACCOUNT, direct(message_kind="comment")).body


def test_opening_the_chat_is_no_message() -> None:
    assert skipped(entry(messages=[message("wamid.1", kind="request_welcome")])).code == "request-welcome"


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("history", "history"),
        ("smb_app_state_sync", "app-state"),
        ("account_alerts", "account"),
        ("phone_number_quality_update", "account"),
        ("message_template_status_update", "template"),
        ("user_preferences", "preference"),
        ("calls", "call"),
        ("group_lifecycle_update", "group"),
    ],
)
def test_fields_of_the_account_are_ignored_with_a_reason(field: str, code: str) -> None:
    part = skipped(change(field, anything=[1]))
    assert part.code == code
    assert field in part.detail


def test_a_field_that_is_new_is_kept_to_be_seen() -> None:
    assert WHATSAPP.parse(encode(delivery([change("telepathy")]))).state == "not-understood"


# --- what changes afterwards


def test_an_edit_is_a_version_of_the_message_that_it_names() -> None:
    first, second = one(edit("wamid.1")), one(edit("wamid.1", at="1763800101", said="Where?"))
    assert (first.verb, first.external_id, first.text) == ("edited", "wamid.1", "Where is it?")
    assert first.version < second.version


def test_a_revoked_message_is_deleted() -> None:
    item = one(revoke("wamid.1"))
    assert (item.verb, item.external_id, item.text, item.thread) == ("deleted", "wamid.1", None, BSUID)


def test_a_reaction_without_an_emoji_takes_it_back() -> None:
    given, taken = one(reaction("wamid.1")), one(reaction("wamid.1", emoji=""))
    assert given.reaction is not None
    assert taken.reaction is not None
    assert (given.reaction.action, given.reaction.emoji, given.reaction.author) == ("add", "😮", ANA)
    assert (taken.reaction.action, taken.reaction.emoji) == ("remove", None)
    assert given.version != taken.version


def test_what_was_written_in_the_business_app_is_a_native_answer_to_the_customer() -> None:
    item = one(change("smb_message_echoes", message_echoes=[echoed("wamid.5")]))
    assert (item.verb, item.direction, item.origin, item.text) == ("received", "out", "native", "We are on it")
    assert (item.thread, item.author, item.correlation_id) == (BSUID, Author(external_id=NUMBER), None)


def test_what_was_edited_in_the_business_app_is_an_edit_of_ours() -> None:
    new = {"original_message_id": "wamid.5", "message": {"type": "text", "text": {"body": "We were on it"}}}
    item = one(change("smb_message_echoes", message_echoes=[echoed("wamid.6", type="edit", edit=new)]))
    assert (item.verb, item.direction, item.external_id, item.text) == ("edited", "out", "wamid.5", "We were on it")


# --- statuses


@pytest.mark.parametrize("state", ["sent", "delivered", "read", "played"])
def test_any_status_of_what_we_sent_is_its_echo(state: str) -> None:
    item = one(status(state))
    assert (item.verb, item.direction, item.external_id, item.correlation_id) == ("received", "out", "wamid.9", "rpl_1")
    assert (item.thread, item.text, item.version) == (BSUID, None, "")


def test_a_failed_status_of_what_we_sent_says_why_it_does_not_arrive() -> None:
    errors = [{"code": 131026, "title": "Undeliverable", "error_data": {"details": "Not on WhatsApp"}}]
    item = one(status("failed", errors=errors))
    assert (item.verb, item.external_id, item.correlation_id) == ("undelivered", "wamid.9", "rpl_1")
    assert item.reason == "code 131026: Not on WhatsApp"


def test_a_failed_status_without_errors_is_one_all_the_same() -> None:
    assert one(status("failed")).reason == "no reason given"


def test_a_status_of_somebody_elses_message_is_no_answer() -> None:
    assert skipped(status("read", correlation_id=None)).code == "status"
    assert skipped(status("read", correlation_id=None, biz_opaque_callback_data="campaign-7")).code == "status"
    assert skipped(status("read", correlation_id=None, biz_opaque_callback_data="baton:")).code == "status"


# --- what leaves

PHOTO = Attachment(kind="image", url="https://cdn.example/a.png")


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (outbound(), "no public replies"),
        (direct(message_kind="review"), "no answer"),
        (direct(text="x" * 4097), "4097 characters"),
        (direct(text="x" * 1025, attachments=(PHOTO,)), "1025 characters"),
        (direct(text=""), "neither text nor attachment"),
        (direct(attachments=(PHOTO, PHOTO)), "one attachment"),
        (direct(attachments=(Attachment(kind="audio", url="https://cdn.example/a.ogg"),)), "beside audio"),
        (direct(text="", attachments=(Attachment(kind="image"),)), "no url"),
        (direct(text="", attachments=(Attachment(kind="image", url="urn:whatsapp:media:1"),)), "cannot fetch"),
        (direct(recipient_external_id=None), "neither a user id nor a phone number"),
        (direct(recipient_external_id="1203@g.us"), "neither a user id nor a phone number"),
        (direct(message_age=timedelta(hours=24, seconds=1)), "only a template"),
        (direct(template="Bad Name!"), "named as"),
        (direct(template="hello", attachments=(PHOTO,)), "no attachments"),
    ],
    ids=range(14),
)
def test_what_whatsapp_would_not_take_is_rejected_before_it_leaves(reply: OutboundReply, why: str) -> None:
    with pytest.raises(Rejected, match=why):
        WHATSAPP.reply(ACCOUNT, reply)


@pytest.mark.parametrize("human", [True, False])
def test_the_window_is_as_long_for_a_human_as_for_a_bot(human: bool) -> None:  # noqa: FBT001
    assert WHATSAPP.reply(ACCOUNT, direct(message_age=timedelta(hours=24), human=human)).body
    with pytest.raises(Rejected, match="window closed"):
        WHATSAPP.reply(ACCOUNT, direct(message_age=timedelta(hours=25), human=human))
    assert WHATSAPP.capabilities.human_window is None


def test_what_is_sent_along_comes_back_in_the_status() -> None:
    sent = WHATSAPP.reply(ACCOUNT, direct(correlation_id="rpl_0193", attempted_at=NOW)).body
    assert b'"biz_opaque_callback_data":"baton:rpl_0193"' in sent
    assert one(status("sent", correlation_id="rpl_0193")).correlation_id == "rpl_0193"
