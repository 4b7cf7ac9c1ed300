"""What asks rules about a ticket, and why their answers come to an end."""

import msgspec
import pytest

from services.router.domain import rules
from services.router.domain.compile import compile_rules
from services.router.domain.facts import Facts, Ticket
from services.router.domain.outcome import Outcome
from services.router.domain.rules import Reroute, Snooze
from services.router.domain.standing import latest
from services.router.domain.triggers import MAX_HOPS, changes_something, judge, link, occasions, silence, still_asks
from shared.events.routing import Chain
from shared.events.tickets import AssignmentAccepted, NoteAdded, TicketMerged, TicketReopened, TicketUpdated
from tests.support.messages import message
from tests.support.ticket_events import created, event, told

URGENT = Facts(network="", kind="", verb="", has_ticket=True, ticket=Ticket(team="care", priority="urgent"))
LATE = {"when": {"ticket.priority": "urgent"}, "then": {"tags": ["late"]}}


def ruleset(*named, on="ticket.changed"):
    written = [LATE | {"name": name, "on": on} for name in named]
    return compile_rules(rules.parse({"fallback": {"team": "community"}, "rules": written})).about(on)


def asked(*payloads, before=()):
    found = occasions([event(one) for one in payloads], latest(before))
    return [(one.trigger, one.changed) for some in found.values() for one in some]


def said(version, **fields):
    return told(TicketUpdated, version, message=message(**fields), changes=("messages",))


def test_a_new_ticket_asks_nothing_and_its_first_owner_does():
    owned = told(AssignmentAccepted, 3, ticket={"owner": "agt_1"}, assignment_id="asg_1", team="community")
    assert asked(created()) == []
    assert asked(created(), owned) == asked(owned, before=[created()]) == [("ticket.changed", ("owner",))]


@pytest.mark.parametrize(
    ("changes", "aspects"),
    [
        ({"state": "resolved"}, ("state",)),
        ({"team": "care", "owner": "agt_1"}, ("team", "owner")),
        ({"priority": "high"}, ("priority",)),
        ({"tags": ("vip",)}, ("tags",)),
        ({"networks": ("x",)}, ()),
    ],
)
def test_a_change_tells_what_is_otherwise(changes, aspects):
    found = asked(told(TicketUpdated, 2, ticket=changes), before=[created()])
    assert found == ([("ticket.changed", aspects)] if aspects else [])


def test_a_message_on_an_open_ticket_is_a_reply_and_a_reaction_is_none():
    assert asked(said(2), before=[created()]) == [("customer.replied", ())]
    assert asked(said(2, kind="reaction"), before=[created()]) == []
    note = told(NoteAdded, 2, note_id="note_1", text="psst")
    assert asked(note, before=[created()]) == []


def test_a_message_that_reopens_a_ticket_is_a_change_of_its_state():
    gone = told(TicketUpdated, 2, ticket={"state": "resolved"})
    assert asked(told(TicketReopened, 3, message=message()), before=[gone]) == [("ticket.changed", ("state",))]


def test_an_edited_message_asks_and_a_deleted_one_does_not():
    edited = told(TicketUpdated, 2, message=message(), changes=("messages",), reason="edited")
    deleted = told(TicketUpdated, 3, message=message(), changes=("messages",), reason="deleted")
    assert asked(edited, deleted, before=[created()]) == [("message.edited", ())]


def test_what_comes_again_or_late_asks_nothing():
    changed = told(TicketUpdated, 2, ticket={"team": "care"})
    assert asked(changed, changed, created(), before=[created()]) == [("ticket.changed", ("team",))]
    assert asked(changed, before=[changed]) == []


def test_a_merged_ticket_asks_nothing():
    assert asked(told(TicketMerged, 2, ticket={"state": "merged"}, into="tkt_2"), before=[created()]) == []


def test_a_ticket_that_was_not_known_before_did_not_change():
    assert asked(told(TicketUpdated, 7, ticket={"team": "care"})) == []


def test_rules_are_asked_about_their_own_trigger_only():
    compiled = compile_rules(
        rules.parse(
            {
                "fallback": {"team": "community"},
                "rules": [LATE | {"name": "a"}, LATE | {"name": "b", "on": "ticket.changed"}],
            }
        )
    )
    assert compiled.decide(URGENT).matched == ("a",)
    assert compiled.about("ticket.changed").decide(URGENT).matched == ("b",)
    assert judge(compiled.about("customer.replied"), URGENT, None) is None


def test_the_first_rule_that_moves_the_ticket_decides_and_others_add():
    written = [
        LATE | {"name": "a", "on": "ticket.changed"},
        LATE | {"name": "b", "on": "ticket.changed", "then": {"reroute": {"team": "care"}, "tags": ["moved"]}},
        LATE | {"name": "c", "on": "ticket.changed", "then": {"reroute": {"team": "product"}}},
        LATE | {"name": "d", "on": "ticket.changed", "then": {"priority": "high", "snooze": {"minutes": 5}}},
    ]
    compiled = compile_rules(rules.parse({"fallback": {"team": "community"}, "rules": written}))
    found = judge(compiled.about("ticket.changed"), URGENT, None).verdict
    assert (found.rule, found.matched) == ("b", ("a", "b", "d"))
    assert (found.action.reroute.team, found.action.tags, found.action.priority) == ("care", ("moved", "late"), "high")
    assert found.action.snooze.minutes == 5


def test_a_rule_that_led_to_the_question_is_not_asked_again():
    found = judge(ruleset("a"), URGENT, Chain(hops=1, rules=("a",)))
    assert (found.held, found.skipped) == ("loop", ("a",))
    found = judge(ruleset("a", "b"), URGENT, Chain(hops=1, rules=("a",)))
    assert (found.held, found.skipped, found.verdict.matched, found.verdict.rule) == (None, ("a",), ("b",), "b")


def test_two_rules_that_undo_each_other_come_to_an_end():
    both, chain, hops = ruleset("a", "b"), None, 0
    while (found := judge(both, URGENT, chain)) is not None and found.held is None:
        chain, hops = link([chain], found.verdict.matched[:1]), hops + 1
    assert (hops, found.held, chain.rules) == (2, "loop", ("a", "b"))


def test_a_chain_of_ever_new_rules_ends_at_its_limit():
    chain = None
    for number in range(MAX_HOPS):
        found = judge(ruleset(f"r{number}"), URGENT, chain)
        assert found.held is None
        chain = link([chain], found.verdict.matched)
    found = judge(ruleset("one more"), URGENT, chain)
    assert (chain.hops, found.held, found.skipped) == (MAX_HOPS, "hop-limit", ("one more",))


def test_where_chains_meet_the_longest_goes_on_with_the_rules_of_all():
    met = link([None, Chain(hops=2, rules=("a", "b")), Chain(hops=1, rules=("b", "c"))], ["d"])
    assert met == Chain(hops=3, rules=("a", "b", "c", "d"))


def test_what_was_decided_too_late_is_asked_again_while_there_is_something_to_ask():
    waiting = latest([created()])["tkt_1"]
    asked = silence(waiting, 120, None)
    assert still_asks(asked, waiting)
    assert still_asks(asked, msgspec.structs.replace(waiting, version=9))
    assert not still_asks(asked, msgspec.structs.replace(waiting, silent_since=None))
    merged = told(TicketMerged, 2, ticket={"state": "merged"}, into="tkt_2")
    assert not still_asks(asked, latest([created(), merged])["tkt_1"])


@pytest.mark.parametrize(
    ("then", "ticket", "changes"),
    [
        ({"tags": ("a",)}, {"tags": ("a", "b")}, False),
        ({"tags": ("a", "c")}, {"tags": ("a", "b")}, True),
        ({"priority": "high"}, {"priority": "high"}, False),
        ({"priority": "high"}, {"priority": "normal"}, True),
        ({"reroute": Reroute(team="care")}, {"team": "community"}, True),
        ({"reroute": Reroute(team="care")}, {"team": "care"}, False),
        ({"reroute": Reroute(team="care")}, {"state": "resolved"}, False),
        ({"reroute": Reroute(agent="agt_1")}, {}, False),
        ({"snooze": Snooze(minutes=5)}, {"state": "pending"}, True),
        ({"snooze": Snooze(minutes=5)}, {"state": "snoozed"}, False),
    ],
)
def test_only_what_is_sure_to_change_the_ticket_is_waited_for(then, ticket, changes):
    standing = latest([told(TicketUpdated, 1, ticket=ticket)])["tkt_1"]
    assert changes_something(Outcome(**then), standing) is changes


def test_nothing_is_said_where_no_rule_holds():
    assert judge(ruleset("a"), Facts(network="x"), None) is None
    assert judge(ruleset("a"), Facts(network="x"), Chain(hops=MAX_HOPS)) is None


def test_a_change_is_asked_for_by_the_fact_or_by_what_it_changed():
    for when in ({"ticket.changed": "team"}, {"ticket.team": {"changed": True}}):
        rule = {"name": "r", "on": "ticket.changed", "when": when, "then": {"tags": ["x"]}}
        compiled = compile_rules(rules.parse({"fallback": {"team": "community"}, "rules": [rule]}))
        held = [
            bool(compiled.about("ticket.changed").decide(Facts(network="", changed=changed)).matched)
            for changed in (("team", "owner"), ("owner",))
        ]
        assert held == [True, False]
