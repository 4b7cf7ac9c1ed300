"""An explanation quotes the customer's own text, and says what a rule that nearly held was missing."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.domain import compile as index
from services.router.domain import explain, rules, text
from services.router.domain.facts import Facts

PIECES = [
    "ﬁx",
    "ＲＥＦＵＮＤ",
    "e\u0301",
    "İ",
    "ｶﾞ",
    "가",
    "\u1112\u1161\u11ab",
    " ",
    "  ",
    "\n",
    "\u200b",
    "½",
    "ß",
    "👩🏽‍🚀",
    "a",
    "\u0323",
]


def told(when, facts, **parts):
    document = {"fallback": {"team": "community"}, "rules": [{"name": "r", "when": when, "then": {"team": "care"}}]}
    return explain.explain(index.compile_rules(rules.parse(document | parts)), facts)


def quoted(when, body):
    [matched] = told(when, Facts(network="x", text=body))["matched"]
    return [(one["found"], one["start"]) for one in matched["evidence"]]


@pytest.mark.parametrize(
    ("keyword", "body", "found", "start"),
    [
        ("refund", "  My  REFUND?", "REFUND", 6),
        ("refund", "ﬁrst: ＲＥＦＵＮＤ!", "ＲＥＦＵＮＤ", 6),
        ("strasse", "½ Straße", "Straße", 2),
        ("café", "un cafe\u0301 noir", "cafe\u0301", 3),
        ("ガラス", "㍿のｶﾞﾗｽ", "ｶﾞﾗｽ", 2),
        ("istanbul", "İİ İstanbul", "İstanbul", 3),
        ("refund", "no re\u200bfund", "re\u200bfund", 3),
        ("out of stock", "still out \n of  stock", "out \n of  stock", 6),
        ("환불", "네, 환불해주세요", "환불", 3),
        ("fix", "please ﬁx", "ﬁx", 7),
        ("order", "b\u0302\u0323 order", "order", 4),
    ],
)
def test_evidence_is_quoted_from_the_original_though_normalizing_changed_its_length(keyword, body, found, start):
    assert quoted({"text": keyword}, body) == [(found, start)]


def test_patterns_and_the_beginning_are_quoted_without_what_only_bounds_them():
    body = "Ｈello, «Order № 77»"
    when = {"text": {"starts": "hello", "regex": r"\border no \d+\b", "wildcard": "or*r"}}
    assert sorted(quoted(when, body)) == [("Order", 8), ("Order № 77", 8), ("Ｈello", 0)]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_every_character_of_the_normalized_text_has_its_place_in_the_original(body):
    normalized, origins = text.normalize(body), text.origins(body)
    assert len(origins) == len(normalized)
    assert all(0 <= start < end <= len(body) for start, end in origins)
    assert origins == sorted(origins)
    for character, (start, end) in zip(normalized, origins, strict=True):
        written = body[start:end]
        assert character in text.normalize(written) or (character == " " and any(map(str.isspace, written)))


def test_only_the_branch_that_held_is_evidence():
    when = {"any": [{"text": ["refund"]}, {"hashtags": "sale"}, {"kind": "review"}]}
    [matched] = told(when, Facts(network="x", kind="review", text="#Sale!"))["matched"]
    assert matched["evidence"] == [
        {"pointer": "/rules/0/when/any/1/hashtags", "fact": "hashtags", "found": "Sale", "start": 1, "end": 5},
        {"pointer": "/rules/0/when/any/2/kind", "fact": "kind", "was": "review"},
    ]


def test_a_rule_that_nearly_held_names_the_condition_that_failed_and_what_the_fact_was():
    when = {"network": "x", "author.followers": {"gte": 10_000}, "text": "refund"}
    [missed] = told(when, Facts(network="x", text="refund", followers=9))["missed"]
    assert missed == {
        "rule": "r",
        "failed": [
            {
                "pointer": "/rules/0/when/author.followers/gte",
                "fact": "author.followers",
                "operator": "gte",
                "negated": False,
                "asked": [10_000],
                "was": 9,
            }
        ],
    }


def test_of_several_ways_to_hold_the_nearest_is_told_and_a_negation_as_such():
    far, near = {"kind": "review", "network": "y"}, {"kind": "dm", "not": {"network": "x"}}
    [missed] = told({"any": [far, near]}, Facts(network="x"))["missed"]
    assert [(one["pointer"], one["negated"]) for one in missed["failed"]] == [("/rules/0/when/any/1/not/network", True)]


def test_the_nearest_rules_come_first_and_not_all_of_thousands():
    far = {"network": "y", "kind": "review", "channel": "c"}
    found = [{"name": f"r{number}", "when": far, "then": {"team": "care"}} for number in range(100)]
    found[70]["when"] = {"network": "x", "kind": "review"}
    document = {"fallback": {"team": "community"}, "rules": found}
    missed = explain.explain(index.compile_rules(rules.parse(document)), Facts(network="x"))["missed"]
    assert [one["rule"] for one in missed[:3]] == ["r70", "r0", "r1"]
    assert len(missed) == explain.MAX_MISSED


def test_the_facts_are_told_as_the_rules_saw_them():
    facts = Facts(
        network="x",
        text="@Ann.B, see https://www.Shop.example/a?b=1. mail@not.me",
        handle="@Zoë",
        at=datetime(2026, 11, 22, 9, tzinfo=UTC),
        reply_until=datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
    )
    assert told({"kind": "dm"}, facts)["facts"] == {
        "network": "x",
        "kind": "dm",
        "verb": "received",
        "replayed": False,
        "text": "@Ann.B, see https://www.Shop.example/a?b=1. mail@not.me",
        "mentions": ["ann.b"],
        "links": ["shop.example/a?b=1"],
        "author.handle": "zoë",
        "reply.minutes": 30,
        "time": "2026-11-22T09:00:00+00:00",
    }
