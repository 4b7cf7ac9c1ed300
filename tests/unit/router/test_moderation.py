"""What rules do to messages on their networks: who asked first, what cannot be written, what can never be done."""

import pytest

from services.router.domain import analysis, comparison, explain, rules
from services.router.domain import compile as index
from services.router.domain.comparison import Change
from services.router.domain.facts import Facts
from services.router.domain.outcome import Outcome
from shared.errors import Invalid
from shared.events.routing import Moderation

SPAM = {"name": "spam", "when": {"text": "crypto"}, "then": {"ignore": True, "hide": True}}
RUDE = {"name": "rude", "when": {"text": "idiots"}, "then": {"tags": ["rude"], "hide": True, "delete": True}}
NICE = {"name": "nice", "when": {"text": "love"}, "then": {"like": True}}


def compiled(*written, **fallback):
    document = {"fallback": {"team": "community", **fallback}, "rules": list(written)}
    return index.compile_rules(rules.parse(document))


def asked(ruleset, text):
    verdict = ruleset.decide(Facts(network="facebook", kind="comment", text=text))
    return [(one.operation, one.rule) for one in ruleset.moderation(verdict.matched)]


def test_every_rule_that_holds_has_its_say_and_the_first_that_asks_is_named():
    ruleset = compiled(NICE, SPAM, RUDE)
    assert asked(ruleset, "love crypto, you idiots") == [("like", "nice"), ("hide", "spam"), ("delete", "rude")]
    assert asked(ruleset, "love it") == [("like", "nice")]
    assert asked(ruleset, "hello") == []


def test_the_whole_decision_says_what_is_done_to_the_message():
    verdict = compiled(NICE, SPAM, RUDE).decide(Facts(network="x", text="crypto idiots"))
    assert verdict.action.operations == ("hide", "delete")
    assert verdict.action.ignore


def test_a_rule_that_stops_keeps_later_ones_from_asking():
    ruleset = compiled({**NICE, "then": {"like": True, "stop": True}}, RUDE)
    assert asked(ruleset, "love these idiots") == [("like", "nice")]


def test_an_explanation_says_which_rule_asks():
    told = explain.explain(compiled(RUDE), Facts(network="facebook", text="idiots"))
    assert told["moderation"] == [{"operation": "hide", "rule": "rude"}, {"operation": "delete", "rule": "rude"}]


def test_versions_that_do_other_things_to_messages_are_different():
    assert comparison.changes(Outcome(tags=("a",), hide=True), Outcome(tags=("a",), delete=True)) == [
        Change("moderation", "hide", None),
        Change("moderation", None, "delete"),
    ]


@pytest.mark.parametrize("trigger", ["message.edited", "customer.replied"])
def test_what_a_customer_writes_to_a_ticket_may_be_hidden_too(trigger):
    ruleset = compiled({**RUDE, "on": trigger}).about(trigger)
    assert ruleset.moderation(("rude",))[0] == Moderation(operation="hide", rule="rude")


@pytest.mark.parametrize(
    ("rule", "fallback", "pointer"),
    [
        ({"on": "ticket.changed", "when": {"ticket.team": "care"}, "then": {"hide": True}}, {}, "/rules/0/then"),
        (
            {"on": "timer", "after_minutes": 5, "when": {"ticket.team": "care"}, "then": {"like": True}},
            {},
            "/rules/0/then",
        ),
        ({"when": {"network": "x"}, "then": {"hide": True}}, {"delete": True}, "/fallback"),
    ],
)
def test_where_there_is_no_message_or_no_rule_nothing_is_done(rule, fallback, pointer):
    with pytest.raises(Invalid) as caught:
        compiled({"name": "r", **rule}, **fallback)
    assert caught.value.fields["errors"][0]["pointer"] == pointer


def errors(when, *, on="message.received", **then):
    ruleset = compiled({"name": "r", "on": on, "when": when, "then": then})
    return [(one["code"], one["pointer"]) for one in analysis.analyse(ruleset, teams={"community"}).errors]


@pytest.mark.parametrize(
    ("when", "then", "pointer"),
    [
        ({"network": "whatsapp"}, {"hide": True}, "/rules/0/then/hide"),
        ({"network": ["whatsapp", "telegram"], "text": "x"}, {"hide": True}, "/rules/0/then/hide"),
        ({"network": "x"}, {"delete": True}, "/rules/0/then/delete"),
        ({"network": "instagram", "kind": "comment"}, {"like": True}, "/rules/0/then/like"),
        ({"network": "facebook", "kind": "dm"}, {"hide": True}, "/rules/0/then/hide"),
        ({"network": {"ne": ["facebook", "instagram", "x", "api"]}}, {"hide": True}, "/rules/0/then/hide"),
    ],
)
def test_what_no_network_that_is_asked_for_can_do_is_an_error(when, then, pointer):
    assert errors(when, **then) == [("never-done", pointer)]


@pytest.mark.parametrize(
    "when",
    [
        {"text": "x"},
        {"network": ["whatsapp", "facebook"]},
        {"any": [{"network": "telegram"}, {"network": "x"}]},
        {"network": "facebook", "kind": {"ne": "dm"}},
    ],
)
def test_what_some_network_can_do_is_none(when):
    assert errors(when, hide=True) == []
