"""What the analysis says is so: rules called unreachable never decide, rules called contradictory never hold."""

import pytest
from hypothesis import given

from services.router.domain import analysis, implication, rules
from services.router.domain import compile as index
from tests.support import naive_rules
from tests.support.random_rules import documents, messages

OWN = {"team": "care"}


def analysed(*found, **parts):
    written = [{"name": f"r{number}", "when": when, "then": then} for number, (when, then) in enumerate(found)]
    document = {"fallback": {"team": "community"}, "rules": written, **parts}
    return analysis.analyse(index.compile_rules(rules.parse(document)), teams={"care", "community", "product"})


def told(problems):
    return [(one["code"], one["pointer"]) for one in problems]


@pytest.mark.parametrize(
    "when",
    [
        {"all": [{"network": "x"}, {"network": ["y", "z"]}]},
        {"kind": {"eq": "dm", "ne": ["dm", "review"]}},
        {"author.followers": {"gt": 10, "lte": 10}},
        {"author.followers": {"between": [1, 5], "eq": 9}},
        {"author.handle": {"eq": "ann", "set": False}},
        {"text": {"any": ["refund"], "none": ["refund", "money"]}},
        {"text": {"all": ["refund", "money"], "none": "money"}},
        {"text": {"regex": "a+b"}, "not": {"text": {"regex": ["a+b", "c"]}}},
        {"network": "x", "any": [{"network": "y"}, {"all": [{"kind": "dm"}, {"kind": "review"}]}]},
        {"kind": "carrier pigeon"},
        {"verb": "edited"},
        {"author.verified": True, "not": {"author.verified": True}},
    ],
)
def test_a_rule_that_can_never_hold_is_an_error(when):
    assert told(analysed((when, OWN)).errors) == [("contradictory", "/rules/0/when")]


@pytest.mark.parametrize(
    ("on", "when"),
    [
        ("message.received", {"ticket.changed": "team"}),
        ("message.received", {"ticket.team": {"changed": True}}),
        ("message.edited", {"sentiment": "negative"}),
        ("customer.replied", {"author.first": True}),
        ("customer.replied", {"ticket.changed": "team"}),
        ("timer", {"ticket.changed": "team"}),
        ("timer", {"shift.change": "owner-off"}),
        ("message.received", {"surge.change": "began"}),
        ("surge.changed", {"text": "refund"}),
        ("surge.changed", {"shift.change": "team-off"}),
        ("shift.changed", {"surge.subject": "workspace"}),
        ("timer", {"text": "refund"}),
        ("ticket.changed", {"text": "refund"}),
        ("ticket.changed", {"network": "x"}),
    ],
)
def test_a_fact_that_nothing_tells_of_what_the_rule_is_asked_about_is_doubtful(on, when):
    rule = {"name": "r", "on": on, "when": when, "then": {"tags": ["x"]}}
    rule |= {"after_minutes": 5} if on == "timer" else {}
    document = {"fallback": {"team": "community"}, "rules": [rule]}
    found = analysis.analyse(index.compile_rules(rules.parse(document)), teams={"community"})
    assert [one["code"] for one in found.warnings] == ["never-told"]


def test_a_team_and_an_agent_to_move_to_must_be_there():
    then = {"reroute": {"team": "nowhere", "agent": "agt_9"}}
    rule = {"name": "r", "on": "customer.replied", "when": {"text": "refund"}, "then": then}
    document = {"fallback": {"team": "community"}, "rules": [rule]}
    found = analysis.analyse(index.compile_rules(rules.parse(document)), teams={"community"})
    assert told(found.errors) == [("unknown-team", "/rules/0/then/reroute/team")]
    assert told(found.warnings) == [("unknown-agent", "/rules/0/then/reroute/agent")]


def test_rules_that_are_asked_about_different_things_do_not_shadow_each_other():
    same = {"when": {"text": "refund"}, "then": {"tags": ["x"]}}
    written = [
        same | {"name": "a"},
        same | {"name": "b", "on": "customer.replied"},
        same | {"name": "c", "on": "customer.replied"},
    ]
    document = {"fallback": {"team": "community"}, "rules": written}
    found = analysis.analyse(index.compile_rules(rules.parse(document)), teams={"community"})
    assert told(found.warnings) == [("duplicate", "/rules/2")]


@pytest.mark.parametrize(
    "when",
    [
        {"all": [{"network": ["x", "y"]}, {"network": ["y", "z"]}]},
        {"hashtags": "a", "not": {"hashtags": "b"}},
        {"all": [{"hashtags": "a"}, {"hashtags": "b"}]},
        {"author.followers": {"gte": 10, "lte": 10}},
        {"text": {"any": ["refund", "money"], "none": ["money"]}},
        {"network": "x", "any": [{"network": "y"}, {"kind": "dm"}]},
        {"kind": {"ne": "dm"}, "not": {"kind": "review"}},
    ],
)
def test_a_rule_that_may_hold_is_none(when):
    assert analysed((when, OWN)).errors == []


@pytest.mark.parametrize(
    ("earlier", "later", "code"),
    [
        ({"network": "x"}, {"network": "x", "text": "refund"}, "shadowed"),
        ({"network": ["x", "y"]}, {"network": "x"}, "shadowed"),
        ({"text": ["refund", "money"]}, {"text": {"all": ["refund", "parcel"]}}, "shadowed"),
        ({"text": {"all": ["a", "b"]}}, {"text": {"all": ["c", "b", "a"]}}, "shadowed"),
        ({"author.followers": {"gte": 100}}, {"author.followers": {"between": [200, 300]}}, "shadowed"),
        ({"text": {"none": ["a"]}}, {"text": {"none": ["b", "a"]}}, "shadowed"),
        ({"any": [{"kind": "dm"}, {"network": "x"}]}, {"network": "x", "channel": "c"}, "shadowed"),
        ({"kind": ["dm", "review"]}, {"any": [{"kind": "dm"}, {"kind": "review", "network": "x"}]}, "shadowed"),
        ({"not": {"network": "x"}}, {"not": {"network": "x"}, "kind": "dm"}, "shadowed"),
        ({"post": {"set": True}}, {"post": "p1"}, "shadowed"),
        ({"text": ["Refund", "straße"]}, {"text": ["STRASSE", "refund"]}, "duplicate"),
        ({"text": {"phrase": "a"}}, {"keywords": {"any": ["a"]}}, "duplicate"),
    ],
)
def test_a_rule_to_which_an_earlier_one_leaves_nothing_is_a_warning(earlier, later, code):
    assert told(analysed((earlier, OWN), (later, {"team": "product"})).warnings) == [(code, "/rules/1")]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({"network": "x", "kind": "dm"}, {"network": "x"}),
        ({"network": "x"}, {"network": ["x", "y"]}),
        ({"text": {"all": ["a", "b"]}}, {"text": ["a"]}),
        ({"author.followers": {"gt": 100}}, {"author.followers": {"gte": 100}}),
        ({"text": {"none": ["a", "b"]}}, {"text": {"none": "a"}}),
    ],
)
def test_a_rule_that_has_something_left_is_none(earlier, later):
    assert analysed((earlier, OWN), (later, {"team": "product"})).warnings == []


def test_adding_rules_are_only_in_vain_behind_a_stop_or_their_like():
    wide, narrow = {"network": "x"}, {"network": "x", "kind": "dm"}
    assert analysed((wide, OWN), (narrow, {"tags": ["a"]})).warnings == []
    assert analysed((wide, {"tags": ["b"]}), (narrow, {"tags": ["a"]})).warnings == []
    assert told(analysed((wide, {"tags": ["a"]}), (narrow, {"tags": ["a"]})).warnings) == [("shadowed", "/rules/1")]
    stopped = analysed((wide, {"tags": ["b"], "stop": True}), (narrow, {"tags": ["a"]})).warnings
    assert told(stopped) == [("unreachable", "/rules/1")]


def test_an_answer_that_an_earlier_one_always_comes_before_is_in_vain():
    soon, later = {"auto_reply": {"text": "Soon"}}, {"auto_reply": {"text": "Later"}}
    asks, asks_more = {"network": "x"}, {"network": "x", "kind": "comment"}
    assert told(analysed((asks, soon), (asks_more, later)).warnings) == [("shadowed", "/rules/1")]
    assert analysed((asks, soon | {"tags": ["a"]}), (asks_more, later | {"tags": ["b"]})).warnings == []
    assert analysed((asks, soon | OWN), (asks_more, later)).warnings == []
    assert analysed((asks, soon), (asks_more, {"private_reply": {"text": "Later"}})).warnings == []


def test_an_answer_that_no_network_takes_is_told():
    hello = {"text": "Hello"}
    found = analysed(
        ({"kind": "dm"}, {"auto_reply": hello}),
        ({"kind": ["review"], "rating": 1}, {"private_reply": hello}),
        ({"kind": ["dm", "comment"]}, {"auto_reply": hello, "private_reply": hello}),
    )
    assert told(found.warnings) == [
        ("never-said", "/rules/0/then/auto_reply"),
        ("never-said", "/rules/1/then/private_reply"),
    ]


def test_unknown_teams_and_values_and_unused_parts_are_named_by_their_place():
    found = analysed(
        ({"kind": ["dm", "fax"], "author.list": "vip"}, {"team": "nobody"}),
        lists={"vip": {"ids": ["1"]}, "staff": {"ids": ["2"]}},
        lanes={"care": {"en": ["refund"]}},
        calendars={"office": {"zone": "UTC"}},
    )
    assert told(found.errors) == [("unknown-team", "/rules/0/then/team")]
    assert sorted(told(found.warnings)) == [
        ("unknown-value", "/rules/0/when/kind"),
        ("unused", "/calendars/office"),
        ("unused", "/lanes/care"),
        ("unused", "/lists/staff"),
    ]


def test_an_agent_who_left_is_a_warning_because_the_team_owns_all_the_same():
    document = {
        "fallback": {"team": "care"},
        "rules": [{"name": "r", "when": {"kind": "dm"}, "then": OWN | {"agent": "a1"}}],
    }
    ruleset = index.compile_rules(rules.parse(document))
    found = [analysis.analyse(ruleset, teams={"care"}, agents=known).warnings for known in ({"a1"}, {"a2"})]
    assert list(map(told, found)) == [[], [("unknown-agent", "/rules/0/then/agent")]]


def test_the_cost_grows_with_the_rules_that_every_message_must_pass():
    few = analysed(*(({"text": f"word{number}"}, OWN) for number in range(50))).cost
    many = analysed(*(({"author.followers": {"gt": number}}, OWN) for number in range(50, 0, -1))).cost
    assert few["filed_under"] == {"keyword": 50}
    assert many["filed_under"] == {"always": 50}
    assert few["microseconds_per_message"] < many["microseconds_per_message"]
    assert many["looked_at_per_message"] == 50


def test_thousands_of_rules_that_look_alike_are_not_compared_for_ever():
    found = analysed(*(({"author.followers": {"gt": number}}, OWN) for number in range(500, 0, -1)))
    assert told(found.warnings) == [("not-compared", "/rules")]


@given(documents, messages)
def test_a_rule_that_is_called_unreachable_or_contradictory_never_decides_anything(document, facts):
    ruleset = index.compile_rules(rules.parse(document))
    found = analysis.analyse(ruleset, teams={"care", "community", "product"}, agents={"agt_1"})
    at = {f"/rules/{number}": rule for number, rule in enumerate(document["rules"])}
    wasted = [
        at[one["pointer"].removesuffix("/when")]["name"]
        for one in (*found.errors, *found.warnings)
        if one["pointer"].startswith("/rules/") and one["code"] not in {"never-said", "never-told"}
    ]
    without = document | {"rules": [rule for rule in document["rules"] if rule["name"] not in wasted]}
    assert naive_rules.decide(document, facts)[1] == naive_rules.decide(without, facts)[1]


@given(documents, messages)
def test_what_is_said_to_follow_follows(document, facts):
    parsed = rules.parse(document).rules
    held = {rule["name"] for rule in document["rules"] if naive_rules.holds(rule["when"], facts, document)}
    for narrow in parsed:
        if implication.contradiction(narrow.when):
            assert narrow.name not in held
        for wide in parsed:
            if implication.implies(narrow.when, wide.when) and narrow.name in held:
                assert wide.name in held


def test_whoever_would_be_told_and_is_not_there_is_an_error_and_points_at_the_name():
    told_ = {"notify": {"text": "look", "team": "nobody", "agents": ["agt_1", "agt_gone"]}}
    document = {
        "fallback": {"team": "care", "webhook": {"endpoint": "end_gone"}},
        "rules": [{"name": "r", "when": {"network": "x"}, "then": told_ | {"webhook": {"endpoint": "end_1"}}}],
    }
    ruleset = index.compile_rules(rules.parse(document))
    found = analysis.analyse(ruleset, teams={"care"}, agents={"agt_1"}, endpoints={"end_1"})
    assert told(found.errors) == [
        ("unknown-team", "/rules/0/then/notify/team"),
        ("unknown-endpoint", "/fallback/webhook/endpoint"),
        ("unknown-agent", "/rules/0/then/notify/agents/1"),
    ]
