"""What is read again: the same is no event, something else corrects, and what was not understood becomes a message."""

from datetime import timedelta

from shared import ids
from shared.events.messages import Author
from tests.support.items import AT, Desk, item

LATER = AT + timedelta(minutes=1)


def test_what_is_read_the_same_again_is_no_event():
    desk = Desk()
    desk.take(item("c1"), item("c1", verb="edited", text="Two", occurred_at=LATER, version="2"), inbox_id="inb_a")
    replayed = Desk(desk)

    settled = replayed.take(
        item("c1"), item("c1", verb="edited", text="Two", occurred_at=LATER, version="2"), inbox_id="inb_a"
    )

    assert settled.state == "normalized"
    assert replayed.names() == []


def test_what_is_read_otherwise_is_corrected_once():
    desk = Desk()
    desk.take(item("c1", text="garbled"), inbox_id="inb_a")
    replayed = Desk(desk)

    replayed.take(item("c1", text="clear"), inbox_id="inb_a")
    again = Desk(replayed)
    again.take(item("c1", text="clear"), inbox_id="inb_a")

    assert replayed.names() == ["MessageCorrected"]
    assert replayed.events[0].message.text == "clear"
    assert replayed.events[0].message.inbox_id == "inb_a"
    assert again.names() == []


def test_a_reading_that_comes_back_is_a_correction_again_with_an_id_of_its_own():
    desk = Desk()
    desk.take(item("c1", text="one"), inbox_id="inb_a")
    second = Desk(desk)
    second.take(item("c1", text="two"), inbox_id="inb_a")
    third = Desk(second)
    third.take(item("c1", text="one"), inbox_id="inb_a")
    fourth = Desk(third)
    fourth.take(item("c1", text="two"), inbox_id="inb_a")

    assert [second.names(), third.names(), fourth.names()] == [["MessageCorrected"]] * 3
    assert len({*desk.event_ids, *second.event_ids, *third.event_ids, *fourth.event_ids}) == 4


def test_a_correction_of_the_first_text_leaves_a_later_edit_alone():
    desk = Desk()
    desk.take(item("c1", text="garbled", author=None), inbox_id="inb_a")
    desk.take(item("c1", verb="edited", text="Edited", author=None, occurred_at=LATER, version="2"), inbox_id="inb_b")
    replayed = Desk(desk)

    replayed.take(item("c1", text="clear"), inbox_id="inb_a")

    corrected = replayed.events[0].message
    assert (corrected.text, corrected.author) == ("Edited", Author(external_id="u1", name="Ana"))


def test_a_correction_keeps_the_conversation_because_it_has_its_order():
    desk = Desk()
    desk.take(item("c1", thread="wrong"), inbox_id="inb_a")
    replayed = Desk(desk)

    replayed.take(item("c1", thread="right", text="clear"), inbox_id="inb_a")

    assert replayed.events[0].message.conversation_id == ids.digest("cnv", "chn_1", "wrong")


def test_what_was_not_understood_before_becomes_a_message_that_is_marked():
    desk = Desk()
    replayed = Desk(desk)

    replayed.take(item("c1"), inbox_id="inb_a")

    assert replayed.names() == ["MessageReceived"]
    assert replayed.events[0].message.replayed


def test_a_replay_does_not_bring_back_what_was_deleted():
    desk = Desk()
    desk.take(item("c1", text="garbled"), inbox_id="inb_a")
    desk.take(item("c1", verb="deleted"), inbox_id="inb_b")
    replayed = Desk(desk)

    replayed.take(item("c1", text="clear"), inbox_id="inb_a")

    assert replayed.names() == []
