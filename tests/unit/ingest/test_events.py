"""What an item means beside what is known: once each, in any order, and never twice."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.ingest.domain.options import reply_options
from shared import ids
from shared.events.messages import Attachment, Author, MessageReacted, MessageUndelivered, Reaction
from shared.events.payload import Deadline
from shared.networks.port import Capabilities
from tests.support.items import AT, CAN, Desk, item

LATER = AT + timedelta(minutes=1)
PHOTO = (Attachment(kind="image", url="https://cdn.example/a.png"),)


def test_an_item_is_received_under_the_ids_that_its_provider_gave():
    desk = Desk()

    settled = desk.take(item("c1"))

    message = desk.events[0].message
    assert settled.state == "normalized"
    assert desk.names() == ["MessageReceived"]
    assert message.id == ids.digest("msg", "chn_1", "c1")
    assert message.conversation_id == ids.digest("cnv", "chn_1", "c1")
    assert (message.inbox_id, message.text, message.replayed) == ("inb_1", "Hello", False)


def test_the_same_item_in_another_delivery_is_a_duplicate():
    desk = Desk()
    desk.take(item("c1"))

    settled = desk.take(item("c1"))

    assert (settled.state, settled.code) == ("ignored", "duplicate")
    assert desk.names() == ["MessageReceived"]


def test_a_second_announcement_adds_what_was_missing_and_takes_nothing_away():
    desk = Desk()
    desk.take(item("c1", author=None, text="Hello"))

    desk.take(item("c1", text="something else", permalink="https://x.example/c1"))

    assert desk.names() == ["MessageReceived", "MessageCorrected"]
    assert desk.events[1].message.author == Author(external_id="u1", name="Ana")
    assert desk.events[1].message.text == "Hello"


def test_a_reply_to_a_reply_lands_in_the_conversation_of_the_root():
    desk = Desk()
    desk.take(item("root"))
    desk.take(item("reply", kind="reply", thread="root", parent_external_id="root"))

    desk.take(item("deep", kind="reply", thread="reply", parent_external_id="reply"))

    assert {event.message.conversation_id for event in desk.events} == {ids.digest("cnv", "chn_1", "root")}


def test_parent_and_child_in_one_delivery_share_their_conversation():
    desk = Desk()

    desk.take(item("root"), item("child", thread="child", parent_external_id="root"))

    assert desk.events[0].message.conversation_id == desk.events[1].message.conversation_id


def test_an_edit_carries_the_new_text_and_what_was_known():
    desk = Desk()
    desk.take(item("c1", attachments=PHOTO))

    desk.take(item("c1", verb="edited", text="Better", author=None, thread=None, occurred_at=LATER, version="2"))

    edited = desk.events[1]
    assert desk.names()[1] == "MessageEdited"
    assert (edited.message.text, edited.message.attachments) == ("Better", PHOTO)
    assert edited.message.author == Author(external_id="u1", name="Ana")
    assert edited.message.occurred_at == AT
    assert edited.message.inbox_id == "inb_2"
    assert edited.provider_version == "2"


def test_a_customers_edit_before_its_create_is_the_message_and_the_create_completes_it():
    desk = Desk()
    desk.take(item("c1", verb="edited", text="Better", occurred_at=LATER, version="1"))

    desk.take(item("c1", text="Worse", attachments=PHOTO))

    assert desk.names() == ["MessageReceived", "MessageCorrected"]
    final = desk.events[1].message
    assert (final.text, final.attachments, final.occurred_at) == ("Better", PHOTO, AT)


def test_our_own_old_answer_that_is_edited_is_no_new_answer():
    desk = Desk()

    desk.take(item("r1", verb="edited", direction="out", origin="native", version="1"))

    assert desk.names() == ["MessageEdited"]


def test_an_edit_that_comes_after_a_newer_one_changes_nothing():
    desk = Desk()
    desk.take(item("c1"))
    desk.take(item("c1", verb="edited", text="Newest", occurred_at=LATER, version="3"))

    settled = desk.take(item("c1", verb="edited", text="Older", occurred_at=AT, version="2"))

    assert (settled.state, settled.code) == ("ignored", "stale")
    assert desk.names() == ["MessageReceived", "MessageEdited"]


def test_an_edit_with_the_content_that_is_known_is_no_event():
    desk = Desk()
    desk.take(item("c1"))

    settled = desk.take(item("c1", verb="edited", occurred_at=LATER, version="2"))

    assert (settled.state, settled.code) == ("ignored", "unchanged")


def test_an_edit_to_nothing_of_what_never_came_is_kept_as_unknown():
    assert Desk().take(item("c1", verb="edited", text=None)).code == "unknown-item"


def test_a_deleted_message_keeps_no_words():
    desk = Desk()
    desk.take(item("c1", attachments=PHOTO))

    desk.take(item("c1", verb="deleted", text=None, thread=None, author=None))

    gone = desk.events[1].message
    assert desk.names()[1] == "MessageDeleted"
    assert (gone.text, gone.attachments, gone.reply_options) == (None, (), ())
    assert gone.conversation_id == desk.events[0].message.conversation_id
    assert gone.author == Author(external_id="u1", name="Ana")


@pytest.mark.parametrize("verb", ["received", "edited", "hidden", "unhidden", "reacted"])
def test_what_was_deleted_before_it_came_does_not_come_back(verb):
    desk = Desk()
    desk.take(item("c1", verb="deleted", text=None, thread=None))

    settled = desk.take(item("c1", verb=verb, reaction=Reaction(action="add")))

    assert (settled.state, settled.code) == ("ignored", "deleted-before")
    assert desk.names() == ["MessageDeleted"]


def test_a_second_delete_is_a_duplicate():
    desk = Desk()
    desk.take(item("c1"))
    desk.take(item("c1", verb="deleted"))

    assert desk.take(item("c1", verb="deleted", occurred_at=LATER)).code == "duplicate"


def test_a_comment_that_was_hidden_before_it_came_is_hidden_in_the_end():
    desk = Desk()
    desk.take(item("c1", verb="hidden", thread=None, occurred_at=LATER, version="9"))

    desk.take(item("c1"))

    assert desk.names() == ["MessageHidden", "MessageReceived", "MessageHidden"]
    assert len(set(desk.event_ids)) == 3


def test_hiding_twice_is_one_event_and_an_older_showing_comes_too_late():
    desk = Desk()
    desk.take(item("c1"))
    desk.take(item("c1", verb="hidden", occurred_at=LATER, version="1"))

    again = desk.take(item("c1", verb="hidden", occurred_at=LATER, version="2"))
    older = desk.take(item("c1", verb="unhidden", occurred_at=AT, version="3"))
    newer = desk.take(item("c1", verb="unhidden", occurred_at=LATER + timedelta(seconds=1), version="4"))

    assert (again.code, older.code, newer.state) == ("unchanged", "stale", "normalized")
    assert desk.names() == ["MessageReceived", "MessageHidden", "MessageUnhidden"]


def test_a_reaction_shows_the_message_that_it_is_about():
    desk = Desk()
    desk.take(item("c1"))
    thumb = Reaction(action="add", emoji="👍", author=Author(external_id="u2"))

    desk.take(item("c1", verb="reacted", kind="reaction", author=None, text=None, reaction=thumb, version="t:u2:add"))

    reacted = desk.events[1]
    assert isinstance(reacted, MessageReacted)
    assert (reacted.message.text, reacted.message.kind, reacted.reaction) == ("Hello", "comment", thumb)


def test_an_echo_finds_its_conversation_through_what_it_answers():
    desk = Desk()
    desk.take(item("root"))

    desk.take(
        item("ours", kind="reply", direction="out", origin="native", thread="elsewhere", parent_external_id="root")
    )

    assert desk.events[1].message.conversation_id == desk.events[0].message.conversation_id
    assert desk.events[1].message.reply_options == ()


def test_an_item_of_another_connected_account_goes_to_its_channel():
    desk = Desk()

    desk.take(item("c1", account_external_id="other"))

    assert desk.events[0].message.channel_id == "chn_2"


def test_an_account_that_is_not_connected_makes_the_delivery_not_understood_and_the_rest_goes_on():
    desk = Desk()

    settled = desk.take(item("c1"), item("c2", account_external_id="stranger"))

    assert (settled.state, settled.code) == ("not-understood", "account-not-connected")
    assert desk.names() == ["MessageReceived"]


def test_a_delivery_without_anything_is_ignored_as_empty():
    assert Desk().take().code == "empty"


def test_an_item_of_ours_that_does_not_arrive_is_told_once_with_its_reason():
    desk = Desk()
    ours = item("m9", direction="out", origin="agent", kind="dm", text=None, correlation_id="rpl_1")
    lost = replace(ours, verb="undelivered", reason="not on the network")

    desk.take(ours)
    desk.take(lost)
    again = desk.take(lost)

    assert desk.names() == ["MessageReceived", "MessageUndelivered"]
    told = desk.events[1]
    assert isinstance(told, MessageUndelivered)
    assert (told.reason, told.message.correlation_id) == ("not on the network", "rpl_1")
    assert again.code == "duplicate"


def test_what_never_came_can_be_undelivered():
    desk = Desk()

    desk.take(item("m9", direction="out", verb="undelivered", correlation_id="rpl_1", reason="no"))

    assert desk.names() == ["MessageUndelivered"]
    assert desk.events[0].message.correlation_id == "rpl_1"


def test_a_bug_in_one_delivery_leaves_the_batch_as_it_was():
    desk = Desk()
    broken = replace(item("c2", verb="reacted"), reaction=None)

    with pytest.raises(ValueError, match="reaction"):
        desk.take(item("c1"), broken)

    assert (desk.batch.known, desk.batch.emissions) == ({}, [])
    assert desk.take(item("c1")).state == "normalized"


def test_reply_options_tell_how_and_until_when():
    assert reply_options(item(kind="comment"), CAN, AT) == (
        Deadline(kind="public"),
        Deadline(kind="private", until=AT + timedelta(hours=24)),
    )
    assert reply_options(item(kind="dm"), CAN, AT) == (Deadline(kind="private", until=AT + timedelta(hours=24)),)
    assert reply_options(item(kind="review"), CAN, AT) == (Deadline(kind="public"),)
    assert reply_options(item(), Capabilities(), AT) == ()


def test_a_persons_longer_window_counts_for_comments_and_is_left_to_the_writer_for_messages():
    can = Capabilities(private_reply=True, private_window=timedelta(hours=24), human_window=timedelta(days=7))

    assert reply_options(item(kind="comment"), can, AT) == (Deadline(kind="private", until=AT + timedelta(days=7)),)
    assert reply_options(item(kind="dm"), can, AT) == (Deadline(kind="private", until=AT + timedelta(hours=24)),)


def test_an_item_may_be_answered_in_fewer_ways_than_its_kind():
    can = Capabilities(public_reply=True, private_reply=True)

    assert reply_options(item(kind="comment", answers=("private",)), can, AT) == (Deadline(kind="private"),)
    assert reply_options(item(kind="mention", answers=("public",)), can, AT) == (Deadline(kind="public"),)
