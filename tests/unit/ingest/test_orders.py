"""Whatever the order in which networks tell a story, it ends the same, and nothing is told twice."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.events.messages import Message
from tests.support.items import AT, Desk, item

ROOT = item("root")
STORY = [
    ROOT,
    item("root", verb="edited", text="Second", occurred_at=AT + timedelta(minutes=2), version="1"),
    item("root", verb="edited", text="Third", occurred_at=AT + timedelta(minutes=3), version="2"),
    item("root", verb="hidden", occurred_at=AT + timedelta(minutes=4), version="3"),
    item("root", verb="unhidden", occurred_at=AT + timedelta(minutes=5), version="4"),
]
REMOVAL = item("root", verb="deleted", text=None, author=None, occurred_at=AT + timedelta(minutes=6))


def final(desk: Desk, external_id: str) -> tuple[Message, str, bool]:
    """What the index knows of an item in the end."""
    known = desk.batch.known["chn_1", external_id]
    return known.message, known.state, known.hidden


@given(order=st.permutations(STORY))
def test_any_order_of_a_story_ends_with_the_last_text_in_sight(order):
    desk = Desk()
    for each in order:
        desk.take(each)

    message, state, hidden = final(desk, "root")
    assert (message.text, message.occurred_at, state, hidden) == ("Third", AT, "present", False)
    assert desk.names().count("MessageReceived") == 1


@given(order=st.permutations([*STORY, REMOVAL]))
def test_any_order_of_a_story_with_a_removal_ends_without_it(order):
    desk = Desk()
    for each in order:
        desk.take(each)

    message, state, _ = final(desk, "root")
    assert (message.text, state) == (None, "deleted")
    assert desk.names()[-1] == "MessageDeleted"
    assert desk.names().count("MessageReceived") <= 1


@given(order=st.lists(st.sampled_from([*STORY, REMOVAL]), max_size=20))
def test_no_event_is_published_twice_however_often_things_are_said(order):
    desk = Desk()
    for each in order:
        desk.take(each)

    assert len(set(desk.event_ids)) == len(desk.event_ids)


@given(
    order=st.lists(st.sampled_from([*STORY, REMOVAL]), min_size=1, max_size=12),
    cuts=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_one_big_delivery_says_the_same_as_many_small_ones(order, cuts):
    together, apart = Desk(), Desk()
    together.take(*order)
    group = []
    for each, cut in zip(order, cuts, strict=False):
        group.append(each)
        if cut:
            apart.take(*group)
            group = []
    apart.take(*group)

    assert together.event_ids == apart.event_ids
    assert {key: known.message.text for key, known in together.batch.known.items()} == {
        key: known.message.text for key, known in apart.batch.known.items()
    }


@given(order=st.lists(st.sampled_from([*STORY, REMOVAL]), min_size=1, max_size=12))
def test_a_replay_of_every_delivery_of_a_story_is_silent(order):
    desk = Desk()
    for number, each in enumerate(order):
        desk.take(each, inbox_id=f"inb_{number}")
    again = Desk(desk)
    for number, each in enumerate(order):
        again.take(each, inbox_id=f"inb_{number}")

    assert again.names() == []
