"""What rules say by themselves: whose text it is, what stands in its places, and what keeps it back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.domain import answers, comparison, rules
from services.router.domain import compile as index
from services.router.domain.answers import MAX_NAME, Answer, filled
from services.router.domain.comparison import Change
from services.router.domain.explain import explain
from services.router.domain.facts import Facts
from services.router.domain.outcome import Outcome
from services.router.domain.speaking import replies
from services.router.domain.surge import Effects
from services.router.domain.surging import Surging
from shared.events.routing import RuleReply

ANN = Facts(network="facebook", text="refund", handle="ann", name="Ann")
GREET = "Hi {{author.name|there}}!"


def ruleset(*found, **fallback):
    written = [{"name": f"r{number}", "when": when, "then": then} for number, (when, then) in enumerate(found)]
    return index.compile_rules(rules.parse({"fallback": {"team": "community"} | fallback, "rules": written}))


def saying(text, **more):
    return {"auto_reply": {"text": text} | more}


def said(compiled, facts=ANN):
    return [(one.rule, one.kind, one.text) for one in replies(compiled.decide(facts), facts)]


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        (GREET, {"author.name": "Ann"}, "Hi Ann!"),
        (GREET, {}, "Hi there!"),
        ("Hi {{ author.name | you there }}", {}, "Hi you there"),
        ("{{author.handle}} on {{network}}", {"author.handle": "ann", "network": "x"}, "ann on x"),
        ("Hi {{author.name}}", {}, "Hi"),
        (GREET, {"author.name": "{{network}}", "network": "x"}, "Hi {{network}}!"),
        (GREET, {"author.name": "Ann\u202e\n\x00 Lee"}, "Hi Ann Lee!"),
        (GREET, {"author.name": "win at https://x.example"}, "Hi there!"),
        (GREET, {"author.name": "www.x"}, "Hi there!"),
        (GREET, {"author.name": "casino.example"}, "Hi there!"),
        (GREET, {"author.name": "x" * (MAX_NAME + 1)}, "Hi there!"),
        (GREET, {"author.name": "J. R. R."}, "Hi J. R. R.!"),
        (GREET, {"author.name": "山田 太郎"}, "Hi 山田 太郎!"),
    ],
)
def test_places_are_filled_with_what_is_known_and_may_be_repeated(text, known, expected):
    assert answers.problem(text) is None or not known
    assert filled(text, known) == expected


@given(st.text(max_size=80))
def test_no_name_brings_a_line_a_link_or_a_place_of_its_own_into_an_answer(name):
    text = filled("Hi {{author.name|there}}, thanks", {"author.name": name})
    assert text.startswith("Hi ")
    assert text.endswith(", thanks")
    assert not [one for one in ("\n", "://", "www.") if one in text.casefold()]


def test_the_first_rule_that_holds_and_says_something_is_the_one_that_speaks():
    compiled = ruleset(
        ({"network": "x"}, saying("not asked")),
        ({"keywords": {"any": ["refund"]}}, {"tags": ["a"]}),
        ({"network": "facebook"}, saying(GREET) | {"team": "care"}),
        ({"keywords": {"any": ["refund"]}}, saying("later") | {"private_reply": {"text": "In private"}}),
    )
    assert said(compiled) == [("r2", "public", "Hi Ann!"), ("r3", "private", "In private")]
    assert compiled.decide(ANN).rule == "r2"


def test_the_fallback_speaks_where_it_decides_and_no_rule_says_anything():
    everywhere = saying("We are on it")
    assert said(ruleset(**everywhere)) == [("fallback", "public", "We are on it")]
    assert said(ruleset(({"network": "facebook"}, {"team": "care"}), **everywhere)) == []
    assert said(ruleset(({"network": "facebook"}, saying("Hello")), **everywhere)) == [("r0", "public", "Hello")]


def test_what_is_ignored_is_not_answered_whatever_other_rules_say():
    compiled = ruleset(({"network": "facebook"}, saying("Hello")), ({"network": "facebook"}, {"ignore": True}))
    assert said(compiled) == []


def test_the_decision_says_how_often_and_whether_it_is_the_answer():
    compiled = ruleset(({"network": "facebook"}, saying("24 days", once_per="message", answers=True)))
    [reply] = replies(compiled.decide(ANN), ANN)
    assert reply == RuleReply(kind="public", text="24 days", rule="r0", once_per="message", answers=True)


def test_what_was_understood_only_afterwards_is_not_answered_and_the_trace_says_so():
    compiled = ruleset(({"network": "facebook"}, saying(GREET)))
    late = Facts(network="facebook", name="Ann", replayed=True)
    assert said(compiled, late) == []
    assert explain(compiled, late)["answers"] == [
        {"action": "auto_reply", "rule": "r0", "text": "Hi Ann!", "left_out": "replayed"}
    ]


@pytest.mark.parametrize(
    ("subject", "left_out"), [("workspace", "paused by surge"), ("lane:care", "paused by surge"), ("lane:sales", None)]
)
def test_while_it_surges_answers_are_paused_and_the_trace_says_so(subject, left_out):
    compiled = ruleset(({"network": "facebook"}, saying(GREET) | {"team": "care", "lane": "care"}))
    facts = Facts(
        network="facebook", name="Ann", surging=Surging(open={subject: "srg_1"}, during=Effects(pause_bots=True))
    )
    told = explain(compiled, facts)
    assert said(compiled, facts) == ([] if left_out else [("r0", "public", "Hi Ann!")])
    assert [one["left_out"] for one in told["answers"]] == [left_out]
    assert told["surge"].get("during", {}).get("pause_bots") == (True if left_out else None)


def test_a_surge_whose_policy_does_not_pause_leaves_answers_alone():
    compiled = ruleset(({"network": "facebook"}, saying(GREET)))
    facts = Facts(network="facebook", surging=Surging(open={"workspace": "srg_1"}, during=Effects()))
    assert said(compiled, facts) == [("r0", "public", "Hi there!")]
    assert [one["left_out"] for one in explain(compiled, facts)["answers"]] == [None]


def test_another_text_or_another_meaning_of_it_is_a_difference_and_not_elsewhere():
    def action(text, **more):
        return Outcome(team="care", auto_reply=Answer(text=text, **more))

    assert comparison.changes(action("Soon"), action("Now")) == [Change("auto_reply", "Soon", "Now")]
    assert comparison.changes(action("Soon"), Outcome(team="care")) == [Change("auto_reply", "Soon", None)]
    [change] = comparison.changes(action("Soon"), action("Soon", answers=True, once_per="message"))
    assert change.after == "(each message, answers) Soon"
    assert not comparison.ELSEWHERE & {"auto_reply", "private_reply"}
