"""One order, one shape, and nobody sees what is not theirs."""

import json
from datetime import UTC, datetime

import pytest

from services.notifier.domain import feed
from services.notifier.domain.feed import Entry, Filter

KNOWN = ("ticket.created.v1", "ticket.updated.v1", "lease.acquired.v1", "lease.acquired.v2")


def test_the_body_is_json_with_type_time_sequence_and_the_event_as_it_was():
    at = datetime(2026, 11, 22, 9, 0, 0, 5000, tzinfo=UTC)
    entry = Entry("w1", 7, "evt_1", "ticket.created.v1", "t1", "care", None, at, b'{"text":"h\xc3\xa9"}')
    assert json.loads(feed.body(entry)) == {
        "type": "ticket.created.v1",
        "timestamp": "2026-11-22T09:00:00.005000Z",
        "id": "evt_1",
        "sequence": 7,
        "data": {"text": "hé"},
    }


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ([], None),
        (["*"], None),
        (["ticket.created"], {"ticket.created.v1"}),
        (["ticket.*"], {"ticket.created.v1", "ticket.updated.v1"}),
        (["lease.acquired"], {"lease.acquired.v1", "lease.acquired.v2"}),
        (["lease.acquired.v2"], {"lease.acquired.v2"}),
    ],
)
def test_types_are_chosen_by_name_with_or_without_version_or_by_noun(names, chosen):
    assert feed.chosen_types(names, known=KNOWN) == chosen


@pytest.mark.parametrize("name", ["ticket", "ticket.", "tick*", "ticket.created.v9", ".*"])
def test_a_type_that_does_not_exist_is_named(name):
    with pytest.raises(ValueError, match=name.replace("*", r"\*")):
        feed.chosen_types([name], known=KNOWN)


@pytest.mark.parametrize(
    ("chosen", "team", "owner", "passes"),
    [
        (Filter(), "care", None, True),
        (Filter(teams=frozenset({"care"})), "care", None, True),
        (Filter(teams=frozenset({"care"})), "product", None, False),
        (Filter(teams=frozenset({"care"}), agent_id="ann"), "product", "ann", True),
        (Filter(teams=frozenset({"care"}), agent_id=None), "product", None, False),
        (Filter(teams=frozenset()), "care", None, False),
        (Filter(types=frozenset({"lease.acquired.v1"})), "care", None, False),
        (Filter(only_team="care"), "product", None, False),
        (Filter(only_owner="ann"), "care", "ben", False),
        (Filter(only_owner="ann"), "care", "ann", True),
        (Filter(teams=frozenset({"care"}), only_team="product"), "product", None, False),
    ],
)
def test_only_what_is_wanted_and_may_be_seen_passes(chosen, team, owner, passes):
    assert chosen.passes(type_name="ticket.created.v1", team=team, owner=owner) is passes
