"""During a surge decisions carry what the policy says, on top of what rules decide, and can be told again from what is
kept."""

import msgspec
import pytest

from services.router.domain import compile as index
from services.router.domain import rules, surging
from services.router.domain.classified import Classified
from services.router.domain.explain import explain
from services.router.domain.facts import Facts, as_kept
from services.router.domain.outcome import Outcome
from services.router.domain.surge import Effects
from services.router.domain.surging import Surging

RULES = [
    {"name": "staff", "when": {"text": "lunch"}, "then": {"ignore": True}},
    {"name": "calm", "when": {"text": "help", "volume.surge": False}, "then": {"team": "product"}},
    {"name": "alarm", "when": {"volume.surge": True}, "then": {"tags": ["all-hands"]}},
    {"name": "money", "when": {"text": "refund"}, "then": {"team": "care", "agent": "agt_1", "tags": ["money"]}},
]
COMPILED = index.compile_rules(rules.parse({"fallback": {"team": "community"}, "rules": RULES}))


def open_(*subjects, **during):
    return Surging(open={one: f"srg_{one}" for one in subjects}, during=Effects(**during) if during else None)


def decide(text, surging=None, **facts):
    return COMPILED.decide(Facts(network="x", channel="c1", text=text, surging=surging, **facts))


def test_a_rule_asks_whether_it_surges():
    assert decide("help", open_()).rule == "calm"
    assert decide("help", open_("workspace")).matched == ("alarm",)
    assert decide("help", open_("channel:c1")).matched == ("alarm",)
    assert decide("help").matched == ()


def test_a_topic_is_seen_by_rules_where_the_classifier_tells_it():
    care = Classified(outcome="answered", lane="care")
    assert decide("help", open_("lane:care"), classified=care).matched == ("alarm",)
    assert decide("help", open_("lane:care", "tag:money")).rule == "calm"


def test_the_policy_lies_over_what_rules_decide():
    found = decide("refund", open_("channel:c1", team="crisis", priority="high", tags=("surge",)))
    assert found.rule == "money"
    assert found.action == Outcome(team="crisis", priority="high", tags=("money", "all-hands", "surge"))


def test_a_priority_is_raised_and_never_lowered():
    action = Outcome(team="care", priority="urgent")
    assert surging.laid_over(action, open_("workspace", priority="high"), lane=None).priority == "urgent"
    assert surging.laid_over(Outcome(team="care"), open_("workspace", priority="low"), lane=None).priority == "normal"


def test_an_agent_is_preferred_as_long_as_the_team_is_the_same():
    action = Outcome(team="care", agent="agt_1")
    assert surging.laid_over(action, open_("workspace", team="care"), lane=None).agent == "agt_1"
    assert surging.laid_over(action, open_("workspace", team="crisis"), lane=None).agent is None


@pytest.mark.parametrize(
    ("subject", "concerns"),
    [("tag:money", True), ("tag:other", False), ("lane:care", False), ("workspace", True), ("channel:c1", True)],
)
def test_a_topic_concerns_what_rules_say_of_it(subject, concerns):
    found = decide("refund", open_(subject, priority="high"))
    assert (found.action.priority == "high") is concerns


def test_what_rules_ignore_stays_ignored():
    assert decide("lunch", open_("workspace", team="crisis", priority="high")).action.ignore


def test_other_channels_are_left_out():
    assert surging.may_concern({"channel:c1": "a", "channel:c2": "b", "tag:x": "c"}, subjects={"channel:c1"}) == {
        "channel:c1": "a",
        "tag:x": "c",
    }


def test_with_what_is_kept_it_is_decided_and_explained_the_same():
    facts = Facts(
        network="x",
        channel="c1",
        text="refund",
        surging=open_("tag:money", "tag:other", priority="high", tags=("surge",)),
    )
    kept = as_kept(msgspec.json.decode(msgspec.json.encode(facts)))
    assert COMPILED.decide(kept) == COMPILED.decide(facts)
    assert explain(COMPILED, kept)["surge"] == {
        "surges": {"tag:money": "srg_tag:money"},
        "during": {"priority": "high", "tags": ("surge",)},
    }
    assert explain(COMPILED, kept)["facts"]["volume.surge"] is False


def test_without_a_surge_there_is_nothing_to_explain():
    for one in (None, open_(), open_("tag:other", priority="high")):
        assert explain(COMPILED, Facts(network="x", text="refund", surging=one))["surge"] == {}


def test_what_others_say_too_gets_a_tag_that_is_no_topic():
    grouping = open_("channel:c1", group_duplicates=True)
    alone = decide("refund", grouping)
    found = decide("refund", msgspec.structs.replace(grouping, duplicate="0123456789"))
    assert set(found.action.tags) - set(alone.action.tags) == {"duplicate:0123456789"}
    topic = msgspec.structs.replace(grouping, open={"tag:duplicate:0123456789": "srg_1"})
    assert surging.of_decision(found.action, topic, lane=None) == {}
    assert surging.of_decision(found.action, grouping, lane=None) == {"channel:c1": "srg_channel:c1"}
