"""The index decides exactly as a plain reading of the rules would, however many there are and however they nest."""

import msgspec
import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from services.router.domain import answers, explain, rules, schema
from services.router.domain import compile as index
from services.router.domain.facts import Customer, Facts
from services.router.domain.outcome import Outcome
from shared.events.routing import Flag
from tests.support import naive_rules
from tests.support.random_rules import documents, messages

SCHEMA = Draft202012Validator(schema.schema())


@given(documents, messages)
def test_the_index_and_a_plain_reading_of_the_rules_decide_the_same(document, facts):
    owner, made, held = naive_rules.decide(document, facts)
    verdict = index.compile_rules(rules.parse(document)).decide(facts)
    action = verdict.action
    assert (verdict.rule, list(verdict.matched)) == (owner, held)
    assert made == {
        "team": action.team,
        "ignore": action.ignore,
        "priority": action.priority,
        "tags": list(action.tags),
        "lane": action.lane,
        **{kind: msgspec.to_builtins(said) for kind in answers.KINDS if (said := getattr(action, kind)) is not None},
    }
    assert verdict.said_by.keys() == made.keys() & answers.KINDS.keys()


@given(documents, messages)
def test_the_explanation_accounts_for_every_rule_and_quotes_the_text_as_it_was_written(document, facts):
    ruleset = index.compile_rules(rules.parse(document))
    told = explain.explain(ruleset, facts)
    assert [one["rule"] for one in told["matched"]] == list(ruleset.decide(facts).matched)
    named = sorted(one["rule"] for part in ("matched", "late", "missed") for one in told[part])
    assert named == sorted(rule["name"] for rule in document["rules"] if rule["enabled"])
    assert all(one["failed"] for one in told["missed"])
    for evidence in (found for one in told["matched"] for found in one["evidence"] if "start" in found):
        assert facts.text[evidence["start"] : evidence["end"]] == evidence["found"] != ""


@settings(max_examples=30)
@given(documents)
def test_every_ruleset_that_is_taken_is_valid_by_the_published_schema(document):
    rules.parse(document)
    SCHEMA.validate(document)


def ruleset(*found, **parts):
    written = [{"name": f"r{number}", **rule} for number, rule in enumerate(found)]
    return index.compile_rules(rules.parse({"fallback": {"team": "community"}, "rules": written, **parts}))


@pytest.mark.parametrize(
    ("asked", "values"),
    [
        ("gold", ["gold"]),
        ("1", ["1"]),
        (1, [1]),
        (True, [True]),
        ([True, 1], [1, True]),
        ({"ne": 1}, ["gold", "1", True, 2.5, None]),
        ({"gte": 1}, [1, 2.5]),
        ({"between": [0, 1]}, [1]),
        ({"starts": "g"}, ["gold"]),
        ({"regex": "^[0-9]$"}, ["1"]),
        ({"set": True}, ["gold", "1", 1, True, 2.5]),
        ({"set": False}, [None]),
    ],
)
def test_an_attribute_is_compared_with_what_is_of_its_kind(asked, values):
    compiled = ruleset({"when": {"customer.attributes.a": asked}, "then": {"team": "care"}})
    each = ["gold", "1", 1, True, 2.5, None]
    found = [
        value
        for value in each
        if compiled.decide(
            Facts(network="x", customer=Customer(attributes={} if value is None else {"a": value}))
        ).matched
    ]
    assert [(type(one), one) for one in found] == [(type(one), one) for one in values]


def test_attributes_of_several_names_are_told_apart():
    compiled = ruleset(
        {"when": {"customer.attributes.a": 1}, "then": {"tags": ["a"]}},
        {"when": {"customer.attributes.b.c": 1, "customer.tags": "vip"}, "then": {"tags": ["b"]}},
        {"when": {"customer.tags": {"none": ["vip"]}}, "then": {"tags": ["none"]}},
    )
    known = Customer(attributes={"a": 2, "b.c": 1}, tags=("vip", "big"))
    assert compiled.decide(Facts(network="x", customer=known)).action.tags == ("b",)
    assert compiled.decide(Facts(network="x")).action.tags == ("none",)


def test_a_disabled_rule_decides_nothing():
    rule = {"when": {"network": ["x"]}, "then": {"team": "care"}, "enabled": False}
    assert ruleset(rule).decide(Facts(network="x")).rule == index.FALLBACK


def test_the_first_rule_that_owns_decides_and_every_other_that_holds_adds():
    decided = ruleset(
        {"when": {"kind": "dm"}, "then": {"tags": ["private"], "priority": "high"}},
        {"when": {"network": "x"}, "then": {"team": "care", "tags": ["x"], "priority": "low"}},
        {"when": {"network": "x"}, "then": {"team": "product", "tags": ["never"]}},
        {"when": {"network": "x"}, "then": {"tags": ["late"], "lane": "care"}},
    ).decide(Facts(network="x", kind="dm"))
    assert (decided.rule, decided.matched) == ("r1", ("r0", "r1", "r3"))
    assert decided.action == Outcome(team="care", tags=("x", "private", "late"), priority="high", lane="care")


def test_a_rule_that_stops_keeps_the_later_ones_from_being_asked_and_the_fallback_owns():
    decided = ruleset(
        {"when": {"network": "x"}, "then": {"tags": ["spam"], "stop": True}},
        {"when": {"network": "x"}, "then": {"team": "care"}},
    ).decide(Facts(network="x"))
    assert (decided.rule, decided.action.team, decided.action.tags) == (index.FALLBACK, "community", ("spam",))


def test_a_stop_behind_the_owner_ends_what_is_added():
    decided = ruleset(
        {"when": {"network": "x"}, "then": {"team": "care"}},
        {"when": {"network": "x"}, "then": {"tags": ["last"], "stop": True}},
        {"when": {"network": "x"}, "then": {"tags": ["never"]}},
    ).decide(Facts(network="x"))
    assert (decided.action.team, decided.action.tags) == ("care", ("last",))


def test_ids_keep_their_case_in_every_operator_and_names_do_not():
    facts = Facts(network="x", channel="chn_Aa", handle="Zoë", author_id="Q7", text="see https://Shop.example/A")
    for when in (
        {"channel": {"wildcard": "chn_A?"}},
        {"author.id": {"starts": "Q"}},
        {"author.handle": {"wildcard": "@ZO*"}},
        {"links": {"wildcard": "https://shop.EXAMPLE/*"}},
    ):
        assert ruleset({"when": when, "then": {"team": "care"}}).decide(facts).rule == "r0", when
    for when in ({"channel": {"wildcard": "chn_a*"}}, {"author.id": {"starts": "q"}}):
        assert ruleset({"when": when, "then": {"team": "care"}}).decide(facts).rule == index.FALLBACK, when


def test_each_rule_is_filed_under_the_rarest_thing_that_it_asks_for():
    compiled = ruleset(
        {"when": {"keywords": {"any": ["refund"]}, "author.id": "7", "network": "x"}, "then": {"team": "a"}},
        {"when": {"keywords": {"all": ["refund", "parcel"]}, "network": "x"}, "then": {"team": "a"}},
        {"when": {"any": [{"hashtags": "sale"}, {"text": {"any": "parcel"}}]}, "then": {"team": "a"}},
        {"when": {"any": [{"hashtags": "sale"}, {"author.followers": {"gt": 9}}]}, "then": {"team": "a"}},
        {"when": {"not": {"network": "x"}}, "then": {"team": "a"}},
        {"when": {"text": {"regex": "a+b"}, "kind": "dm"}, "then": {"team": "a"}},
    )
    facts = [None if keys is None else [fact for fact, _ in keys] for keys in compiled.filed]
    assert facts == [["author.id"], ["keyword"], ["hashtags", "keyword"], None, None, ["pattern"]]
    assert compiled.filed[1] != compiled.filed[0]


def test_what_rules_tell_is_added_up_with_their_names_and_said_once():
    care = {"text": "look", "team": "care"}
    decided = ruleset(
        {"when": {"network": "x"}, "then": {"team": "care", "webhook": {"endpoint": "end_1"}}},
        {"when": {"network": "x"}, "then": {"notify": care, "tags": ["told"]}},
        {"when": {"network": "x"}, "then": {"notify": care}},
        {"when": {"network": "y"}, "then": {"notify": {"text": "no", "agents": ["agt_1"]}}},
    ).decide(Facts(network="x"))
    assert decided.action.flags == (Flag(rule="r0", endpoint="end_1"), Flag(rule="r1", text="look", team="care"))
    assert (decided.action.notify, decided.action.webhook) == (None, None)


def test_one_decision_tells_so_much_and_no_more():
    rules_ = [{"when": {"network": "x"}, "then": {"notify": {"text": str(n), "team": "care"}}} for n in range(20)]
    flags = ruleset(*rules_).decide(Facts(network="x")).action.flags
    assert [flag.text for flag in flags] == [str(n) for n in range(index.MAX_FLAGS)]


@pytest.mark.parametrize(
    ("facts", "owner"),
    [(Facts(network="x", replayed=True), {"team": "care"}), (Facts(network="x"), {"ignore": True})],
)
def test_nobody_is_told_of_what_was_understood_afterwards_or_is_ignored(facts, owner):
    decided = ruleset(
        {"when": {"network": "x"}, "then": owner},
        {"when": {"network": "x"}, "then": {"notify": {"text": "look", "team": "care"}}},
    ).decide(facts)
    assert (decided.matched, decided.action.flags) == (("r0", "r1"), ())
