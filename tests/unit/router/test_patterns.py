"""Patterns know words of every script, cost linear time, and are refused where they could not be kept."""

import time

import pytest

from services.router.domain import compile as index
from services.router.domain import patterns, rules
from services.router.domain.facts import Facts
from services.router.domain.patterns import Unreadable


def matches(body, **operators):
    rule = {"name": "r", "when": {"text": operators}, "then": {"team": "care"}}
    document = rules.parse({"fallback": {"team": "community"}, "rules": [rule]})
    return index.compile_rules(document).decide(Facts(network="n", text=body)).rule == "r"


@pytest.mark.parametrize(
    ("regex", "body"),
    [
        (r"\büber\b", "das ist über alles"),
        (r"\büber\b", "über"),
        (r"^\w+$", "订单"),
        (r"\w+ing", "Kümmerling"),
        (r"[\w-]+@x", "né-é@x"),
        (r"\d{3}", "٣٤٥"),
        (r"\bre\W", "re: it"),
        ("REFUND", "Ｒefund"),
        (r"foo|bar\b", "a bar!"),
        (r"[]\w]x", "éx"),
        (r"order\s#", "order \n #1"),
        (r"\\b", "a \\b c"),
    ],
)
def test_words_and_boundaries_of_a_regex_are_those_of_every_script(regex, body):
    assert matches(body, regex=regex)


@pytest.mark.parametrize(
    ("regex", "body"),
    [(r"\bber\b", "über"), (r"\bcat\b", "concatenate"), (r"\Wa", "éa"), (r"\bfoo\b", "food"), (r"\\b", "a b c")],
)
def test_a_part_of_another_word_does_not_match_a_bounded_regex(regex, body):
    assert not matches(body, regex=regex)


@pytest.mark.parametrize(
    "regex",
    ["(", "a*", r"a\bc", r"\B", r"[[:alpha:]]x", r"[\W]x", r"(?<=a)b", r"(a)\1", r"\Qa\E", r"\b", "", "(a{500}){500}"],
)
def test_a_regex_that_could_not_be_kept_is_refused_with_the_reason(regex):
    with pytest.raises(Unreadable) as refused:
        patterns.check(regex, "regex", in_text=True)
    assert str(refused.value)


@pytest.mark.parametrize(
    ("wildcard", "body", "holds"),
    [
        ("cat*", "many cats", True),
        ("cat*", "concatenate", False),
        ("*able", "unbelievable!", True),
        ("*able", "ables", False),
        ("re*d", "re fund", False),
        ("gr?y", "the GREY one", True),
        ("gr?y", "gry", False),
        ("退*", "我要退款", True),
        ("退*", "abc退款", True),
        ("환?", "환불해주세요", False),
        ("1.5*", "1x5", False),
        ("*款", "退款了", True),
    ],
)
def test_a_wildcard_says_where_a_word_may_go_on_and_nothing_is_stemmed(wildcard, body, holds):
    assert matches(body, wildcard=wildcard) is holds


def test_a_wildcard_needs_a_character_of_its_own():
    with pytest.raises(Unreadable):
        patterns.check("*?", "wildcard", in_text=True)


def test_patterns_that_need_too_much_memory_together_are_refused_when_they_are_built_and_not_dropped():
    together = patterns.Patterns(memory=1 << 14)
    for number in range(100):
        together.number(f"(?i)(a{number}.{{20}}b)")
    with pytest.raises(Unreadable):
        together.build()


def test_the_set_of_all_patterns_matches_what_each_matches_alone():
    sources = [
        patterns.source(one, "regex", in_text=True) for one in (r"\büber\b", "a+b", "[0-9]{2,}", "退.", "x|y", "^q")
    ]
    together = patterns.Patterns()
    numbers = {together.number(source): source for source in sources}
    together.build()
    for body in ("", "über ab 12", "退款", "q aab", "yüber 退", "1 2 über"):
        alone = {number for number, source in numbers.items() if patterns.place(source, body) is not None}
        assert together.find(body) == alone


def test_a_pattern_made_to_explode_costs_linear_time():
    started = time.thread_time()
    assert not matches("a" * 50_000 + "!", regex="(a+)+$")
    assert time.thread_time() - started < 2
