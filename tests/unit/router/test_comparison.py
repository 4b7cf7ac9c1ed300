"""What two versions make of messages is added up without growing, and is nothing where they do the same."""

from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.router.domain import comparison, rules
from services.router.domain import compile as index
from services.router.domain.comparison import (
    EXAMPLES,
    EXCERPT,
    MAX_KINDS,
    MAX_LABEL,
    MAX_RULES,
    MAX_SHOWN,
    Change,
    Tally,
)
from services.router.domain.compile import Verdict
from services.router.domain.facts import Facts, as_kept
from services.router.domain.outcome import Outcome
from shared.events.routing import Flag
from tests.support.random_rules import documents, messages

AT = datetime(2026, 11, 22, tzinfo=UTC)
NOTHING = Verdict(rule="fallback", action=Outcome(team="care"))
actions = st.one_of(
    st.builds(
        Outcome,
        team=st.sampled_from(["care", "product"]),
        agent=st.sampled_from([None, "agt_1"]),
        priority=st.sampled_from([None, "normal", "high"]),
        tags=st.lists(st.sampled_from("abc"), unique=True).map(tuple),
        lane=st.sampled_from([None, "care"]),
    ),
    st.builds(Outcome, ignore=st.just(True), reason=st.sampled_from([None, "spam"])),
)


def facts(text: str = "Hello") -> Facts:
    return Facts(network="x", text=text)


def add(tally: Tally, before: str, after: str, text: str = "Hello"):
    sides = [Verdict(rule=f"to {team}", action=Outcome(team=team), matched=(f"to {team}",)) for team in (before, after)]
    return tally.add("msg_1", AT, facts(text), *sides)


@given(documents, messages)
def test_facts_that_were_kept_give_the_same_decision_again(document, facts):
    ruleset = index.compile_rules(rules.parse(document))
    assert ruleset.decide(as_kept(msgspec.json.decode(msgspec.json.encode(facts)))) == ruleset.decide(facts)


@given(actions, actions)
def test_changes_read_backwards_are_the_changes_of_the_way_back(one, other):
    there, back = comparison.changes(one, other), comparison.changes(other, one)
    assert sorted(map(repr, there)) == sorted(repr(Change(aspect, after, before)) for aspect, before, after in back)
    assert comparison.changes(one, one) == []


def test_no_priority_is_a_normal_one_and_the_order_of_tags_means_nothing():
    one = Outcome(team="care", tags=("a", "b"))
    assert comparison.changes(one, Outcome(team="care", priority="normal", tags=("b", "a"))) == []


def test_what_is_ignored_has_gone_elsewhere():
    found = comparison.changes(Outcome(team="care", tags=("a",)), Outcome(ignore=True))
    assert found == [Change("outcome", "route", "ignore"), Change("team", "care", None), Change("tag", "a", None)]


def test_another_priority_is_different_but_not_elsewhere():
    tally = Tally()
    sides = [Verdict(rule="r", action=Outcome(team="care", priority=priority)) for priority in ("low", "high")]
    tally.add("msg_1", AT, facts(), *sides)
    assert (tally.different, tally.elsewhere) == (1, 0)


def test_a_tally_keeps_a_few_examples_and_no_more_kinds_than_there_is_room_for():
    tally = Tally()
    for number in range(MAX_KINDS + 10):
        add(tally, "care", f"team-{number}", text="long " * 100)
        add(tally, "care", "team-0")
    report = tally.report()
    assert (tally.messages, tally.different) == (2 * MAX_KINDS + 20, 2 * MAX_KINDS + 20)
    assert (len(tally.changes.by_kind), len(tally.rules.by_kind)) == (MAX_KINDS, MAX_KINDS)
    assert report["left_out"] == 20
    first = report["changes"]["team"][0]
    assert (first["before"], first["after"], first["messages"]) == ("care", "team-0", MAX_KINDS + 11)
    assert len(first["examples"]) == EXAMPLES
    assert len(first["examples"][0].text) == EXCERPT
    assert len(report["changes"]["team"]) == len(report["rules"]) == len(report["decided_by"]) == MAX_SHOWN


def test_a_rule_is_counted_for_what_it_decides_and_for_what_it_adds_to():
    tally = Tally()
    before = Verdict(rule="owner", action=Outcome(team="care"), matched=("tagger", "owner"))
    tally.add("msg_1", AT, facts(), before, Verdict(rule="fallback", action=Outcome(team="care"), matched=("tagger",)))
    used = {
        row["rule"]: [(side.decided, side.added) for side in (row["before"], row["after"])]
        for row in tally.report()["rules"]
    }
    assert used == {"owner": [(1, 0), (0, 0)], "fallback": [(0, 0), (1, 0)], "tagger": [(0, 1), (0, 1)]}


def test_of_a_long_past_so_many_rules_are_counted_and_no_more():
    tally = Tally()
    for start in range(0, MAX_RULES + 2_000, 1_000):
        held = tuple(f"rule {number}" for number in range(start, start + 1_000))
        tally.add("msg_1", AT, facts(), Verdict(rule=held[0], action=Outcome(team="care"), matched=held), NOTHING)
    assert (len(tally.used_before), len(tally.used_after)) == (MAX_RULES, 1)


def test_what_is_told_to_others_or_otherwise_is_a_difference_and_by_which_rule_is_none():
    one = Outcome(team="care", flags=(Flag(rule="a", text="look", team="care", agents=("agt_1",)),))
    same = Outcome(team="care", flags=(Flag(rule="b", text="look", team="care", agents=("agt_1",)),))
    other = Outcome(team="care", flags=(Flag(rule="a", endpoint="end_1"),))
    assert comparison.changes(one, same) == []
    assert comparison.changes(one, other) == [
        Change("flag", "care, agt_1: look", None),
        Change("flag", None, "end_1"),
    ]


def test_however_much_is_told_what_is_counted_stays_short():
    many = Flag(rule="a", text="x" * 500, agents=tuple(f"agt_{number}" for number in range(50)))
    other = Flag(rule="a", text="x" * 500, agents=(*many.agents[:-1], "agt_other"))
    gone, come = comparison.changes(Outcome(team="care", flags=(many,)), Outcome(team="care", flags=(other,)))
    assert (gone.after, come.before) == (None, None)
    assert len(gone.before or "") == len(come.after or "") == MAX_LABEL
