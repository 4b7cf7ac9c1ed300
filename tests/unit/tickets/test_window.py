"""Until when, in which way and how long a network takes an answer."""

from datetime import timedelta

import msgspec
import pytest

from services.tickets.domain import window
from services.tickets.domain.reply import Order
from services.tickets.domain.window import WindowClosed
from shared.errors import Invalid
from shared.events.payload import Deadline
from shared.networks.port import Capabilities
from tests.support.messages import AT, message

DAY = timedelta(days=1)
META = Capabilities(public_reply=True, private_reply=True, private_window=DAY, human_window=7 * DAY)
OPEN = Capabilities(public_reply=True, private_reply=True)
PUBLIC = Capabilities(public_reply=True, public_window=3 * DAY)


@pytest.mark.parametrize(
    ("kind", "wanted", "expected"),
    [
        ("dm", None, "private"),
        ("story_reply", None, "private"),
        ("comment", None, "public"),
        ("review", None, "public"),
        ("comment", "private", "private"),
    ],
)
def test_an_answer_goes_where_the_customer_wrote(kind: str, wanted: str | None, expected: str) -> None:
    assert window.kind_for(message(kind=kind), wanted) == expected


@pytest.mark.parametrize(
    ("capabilities", "kind", "human", "days"),
    [
        (META, "private", True, 7),
        (META, "private", False, 1),
        (META, "public", True, None),
        (OPEN, "private", True, None),
        (PUBLIC, "public", True, 3),
    ],
)
def test_the_deadline_counts_from_the_customers_message(
    *, capabilities: Capabilities, kind: str, human: bool, days: int | None
) -> None:
    until = window.deadline(message(), kind, human=human, capabilities=capabilities)
    assert until == (None if days is None else AT + days * DAY)


def test_what_the_message_itself_says_wins_unless_a_human_has_longer() -> None:
    told = message(reply_options=(Deadline(kind="private", until=AT + 2 * DAY),))
    assert window.deadline(told, "private", human=False, capabilities=META) == AT + 2 * DAY
    assert window.deadline(told, "private", human=True, capabilities=META) == AT + 7 * DAY


@pytest.mark.parametrize(
    ("given", "kind", "capabilities"),
    [
        (message(), "private", PUBLIC),
        (message(), "public", Capabilities(private_reply=True)),
        (message(reply_options=(Deadline(kind="public"),)), "private", OPEN),
    ],
)
def test_a_kind_that_the_network_never_takes_is_refused(given: object, kind: str, capabilities: Capabilities) -> None:
    with pytest.raises(Invalid, match="takes no"):
        window.deadline(given, kind, human=True, capabilities=capabilities)


def test_a_window_is_closed_from_its_deadline_on_except_for_templates() -> None:
    order = Order(text="Hi", seen_seq=1)
    window.check_network(order, "private", until=AT + DAY, at=AT, capabilities=OPEN)
    window.check_network(order, "private", until=None, at=AT, capabilities=OPEN)
    with pytest.raises(WindowClosed) as closed:
        window.check_network(order, "private", until=AT, at=AT, capabilities=OPEN)
    assert closed.value.fields == {"deadline": AT.isoformat()}
    window.check_network(msgspec.structs.replace(order, template="t"), "private", until=AT, at=AT, capabilities=OPEN)


def test_a_text_is_as_long_as_the_network_takes() -> None:
    limited = Capabilities(text_limit=3)
    window.check_network(Order(text="abc", seen_seq=1), "public", until=None, at=AT, capabilities=limited)
    with pytest.raises(Invalid) as longer:
        window.check_network(Order(text="abcd", seen_seq=1), "public", until=None, at=AT, capabilities=limited)
    assert longer.value.fields["limit"] == 3


def test_a_public_text_counts_as_its_network_counts() -> None:
    limited = Capabilities(text_limit=9, public_text_limit=3, public_length=lambda text: 2 * len(text))
    window.check_network(Order(text="abcd", seen_seq=1), "private", until=None, at=AT, capabilities=limited)
    window.check_network(Order(text="a", seen_seq=1), "public", until=None, at=AT, capabilities=limited)
    with pytest.raises(Invalid, match="3 characters, this has 4"):
        window.check_network(Order(text="ab", seen_seq=1), "public", until=None, at=AT, capabilities=limited)


def test_a_direct_message_may_count_in_bytes_where_a_comment_does_not() -> None:
    limited = Capabilities(private_text_bytes=3)
    window.check_network(Order(text="éé", seen_seq=1), "public", until=None, at=AT, capabilities=limited)
    window.check_network(Order(text="éa", seen_seq=1), "private", until=None, at=AT, capabilities=limited)
    with pytest.raises(Invalid, match="3 bytes, this has 4"):
        window.check_network(Order(text="éé", seen_seq=1), "private", until=None, at=AT, capabilities=limited)


def test_an_answer_goes_the_only_way_that_is_open() -> None:
    live = message(kind="comment", reply_options=(Deadline(kind="private"),))
    assert window.kind_for(live, None) == "private"
    assert window.kind_for(live, "public") == "public"
