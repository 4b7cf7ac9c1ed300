"""One order, one shape, and nobody sees what is not theirs."""

import json
from datetime import UTC, datetime

import pytest

from services.notifier.domain import feed
from services.notifier.domain.feed import Entry, Filter
from shared.events.duties import AvailabilityChanged, DutyChanged
from shared.events.moderation import Moderation, ModerationRequested
from shared.events.payload import SYSTEM
from tests.support.ticket_events import view

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


def moved(**changes):
    """An event with which a ticket went from care to product, and from Ann to Ben."""
    fields = {"team": "product", "owner": "ben", "from_team": "care", "from_owner": "ann"} | changes
    at = datetime(2026, 11, 22, tzinfo=UTC)
    return Entry("w1", 7, "evt_1", "ticket.updated.v1", "t1", at=at, data=b'{"ticket":{"team":"product"}}', **fields)


@pytest.mark.parametrize(
    ("chosen", "sees"),
    [
        (Filter(), "ticket.updated.v1"),
        (Filter(teams=frozenset({"product"})), "ticket.updated.v1"),
        (Filter(teams=frozenset({"care"})), "ticket.left.v1"),
        (Filter(teams=frozenset({"brand"})), None),
        (Filter(teams=frozenset(), agent_id="ann"), "ticket.left.v1"),
        (Filter(teams=frozenset({"care"}), agent_id="ben"), "ticket.updated.v1"),
        (Filter(only_team="care"), "ticket.left.v1"),
        (Filter(only_owner="ann"), "ticket.left.v1"),
        (Filter(teams=frozenset({"care"}), types=frozenset({"ticket.left.v1"})), "ticket.left.v1"),
        (Filter(teams=frozenset({"care"}), types=frozenset({"ticket.updated.v1"})), None),
        (Filter(types=frozenset({"ticket.left.v1"})), None),
    ],
)
def test_whom_a_ticket_leaves_hears_that_it_is_gone(chosen, sees):
    shown = chosen.shown(moved())
    assert (shown and shown.type) == sees


def test_a_ticket_that_stays_elsewhere_leaves_nobody():
    assert Filter(teams=frozenset({"care"})).shown(moved(from_team=None, from_owner=None)) is None


def test_the_farewell_tells_nothing_of_where_it_went():
    shown = Filter(teams=frozenset({"care"})).shown(moved())
    told = json.loads(feed.body(shown))
    assert told["data"] == {"workspace_id": "w1", "ticket": {"id": "t1"}}
    assert (told["sequence"], told["type"]) == (7, "ticket.left.v1")
    # Somebody with two keys must not take one for the other.
    assert told["id"] != "evt_1"


def flagged(*addressed, **changes):
    """An event about a ticket of product that names some."""
    fields = {"team": "product", "owner": "ben"} | changes
    at = datetime(2026, 11, 22, tzinfo=UTC)
    return Entry("w1", 7, "evt_1", "ticket.flagged.v1", "t1", at=at, data=b"{}", addressed=addressed, **fields)


PRODUCT = frozenset({"product"})
OTHERS = frozenset({"lease.acquired.v1"})


@pytest.mark.parametrize(
    ("chosen", "shows"),
    [
        (Filter(only_owner="ann"), False),
        (Filter(only_owner="ann", follows=frozenset({"agent:ann"})), True),
        (Filter(only_team="care", follows=frozenset({"team:care"})), True),
        (Filter(only_owner="ann", follows=frozenset({"agent:ann"}), teams=PRODUCT), True),
        (Filter(only_owner="ann", follows=frozenset({"agent:ann"}), teams=frozenset({"care"})), False),
        (Filter(only_owner="ann", follows=frozenset({"agent:ann"}), types=OTHERS), False),
        (Filter(types=OTHERS), False),
        (Filter(types=OTHERS, endpoint="endpoint:end_2"), False),
        (Filter(types=OTHERS, endpoint="endpoint:end_1"), True),
        (Filter(types=OTHERS, endpoint="endpoint:end_1", teams=PRODUCT), True),
        (Filter(types=OTHERS, endpoint="endpoint:end_1", teams=frozenset({"care"})), False),
    ],
)
def test_whoever_is_named_gets_more_than_he_asked_for_and_never_more_than_he_may_see(chosen, shows):
    entry = flagged("team:care", "agent:ann", "endpoint:end_1")
    assert chosen.shown(entry) == (entry if shows else None)


def test_a_team_hears_who_of_it_is_there_and_of_an_agent_only_who_sees_all_teams():
    at = datetime(2026, 11, 22, tzinfo=UTC)
    who = {"workspace_id": "w1", "actor": SYSTEM, "at": at}
    duty = DutyChanged(team="care", on_duty=1, came=("ann",), **who)
    away = AvailabilityChanged(agent="ann", availability="away", before="available", **who)
    facts = [feed.fact_of("evt_1", "duty.changed.v1", duty), feed.fact_of("evt_2", "availability.changed.v1", away)]
    seen = [Filter(teams=teams) for teams in (None, frozenset({"care"}), frozenset({"product"}))]
    assert [[one.sees(fact.team, fact.owner) for fact in facts] for one in seen] == [
        [True, True],
        [True, False],
        [False, False],
    ]


@pytest.mark.parametrize(
    ("ticket", "seen_by"),
    [(view(1, team="care", owner="agt_1"), ("tkt_1", "care", "agt_1")), (None, (None, None, None))],
)
def test_an_operation_is_told_to_those_of_its_ticket_and_without_one_to_those_who_see_all(ticket, seen_by):
    order = Moderation(
        id="mod_1",
        number=1,
        operation="hide",
        message_id="m1",
        channel_id="chn_1",
        network="facebook",
        message_kind="comment",
        external_id="500_1",
    )
    at = datetime(2026, 11, 22, tzinfo=UTC)
    data = ModerationRequested(workspace_id="w1", moderation=order, actor=SYSTEM, at=at, ticket=ticket)
    fact = feed.fact_of("evt_1", "moderation.requested.v1", data)
    assert fact is not None
    assert (fact.ticket_id, fact.team, fact.owner) == seen_by
