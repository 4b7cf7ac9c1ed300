"""The index decides exactly as a plain reading of the rules would, however many there are and however they nest."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from services.router.domain import compile as index
from services.router.domain import explain, rules, schema
from services.router.domain.facts import Facts
from tests.support import naive_rules

SCHEMA = Draft202012Validator(schema.schema())
WORDS = [
    "refund",
    "price",
    "cat",
    "cat*",
    "退款",
    "返金",
    "환불",
    "help me",
    "não",
    "ok?",
    "über",
    "İade",
    "คืนเงิน",
    "🔥",
]
SAID = [
    *WORDS,
    "hello",
    "concatenate",
    "退款吧",
    "환불해주세요",
    "!",
    "#sale",
    "#Über",
    "ref2",
    "order #123",
    "STRASSE",
    "re\u200bfund",
    "café",
]
CALENDARS = {
    "office": {"zone": "Europe/Berlin", "hours": {"mon": [["09:00", "17:00"]], "sun": [["22:00", "02:00"]]}},
    "away": {"zone": "Asia/Tokyo", "hours": {"mon": [["00:00", "24:00"]]}, "holidays": {"dates": ["2026-11-23"]}},
}


def some(*values, least=1, most=3):
    return st.lists(st.sampled_from(values), min_size=least, max_size=most)


def asking(**operators):
    """An object with one or two operators."""
    each = [value.map(lambda given, name=name: {name: given}) for name, value in operators.items()]
    return st.lists(st.one_of(each), min_size=1, max_size=2).map(
        lambda found: {k: v for one in found for k, v in one.items()}
    )


numbers = st.sampled_from([0, 10, 10_000])
keywords = st.fixed_dictionaries(
    {}, optional={"any": some(*WORDS), "all": some(*WORDS, most=2), "phrase": some(*WORDS), "none": some(*WORDS)}
).filter(bool)
FACTS = {
    "network": some("facebook", "x", "api", least=0, most=2),
    "kind": st.one_of(st.sampled_from(["dm", "review"]), asking(eq=st.just("dm"), ne=some("review"), starts=st.just("d"))),
    "channel": some("c1", "c2", least=0),
    "keywords": keywords,
    "author": st.sampled_from([{"ids": ["7"]}, {"handles": ["@Ann"]}, {"ids": ["8"], "handles": ["Bob"]}]),
    "author.list": some("vip", "staff", most=2),
    "author.followers": st.one_of(
        numbers,
        asking(gt=numbers, gte=numbers, lt=numbers, lte=numbers, set=st.booleans(), ne=numbers, between=st.just([1, 10])),
    ),
    "author.verified": st.booleans(),
    "author.id": asking(wildcard=st.sampled_from(["7?", "7*"]), set=st.booleans()),
    "post.ad": asking(set=st.booleans(), eq=st.just("ad1")),
    "hashtags": asking(any=some("sale", "#über"), all=some("sale", "über"), none=some("sale"), set=st.booleans(), starts=st.just("s")),
    "media": asking(eq=st.just("image"), set=st.booleans()),
    "lane": st.sampled_from(["care", "sales", ["care", "sales"], {"ne": "care"}]),
    "time": asking(within=some("office", "away"), outside=st.just("office"), holiday=st.just("away"), workday=st.just("away")),
    "text": st.one_of(st.sampled_from(WORDS), some(*WORDS), asking(
        any=some(*WORDS),
        all=some(*WORDS, most=2),
        none=some(*WORDS),
        eq=st.sampled_from(["Help  Me", "退款"]),
        starts=st.sampled_from(["HELP", "退"]),
        regex=some(*naive_rules.PYTHON),
        wildcard=st.sampled_from(["re*d", "c?t", "*fund", "caf?", "退*", "환?"]),
        set=st.booleans(),
    )),
}  # fmt: skip
flat = st.fixed_dictionaries({}, optional=FACTS).map(lambda when: dict(list(when.items())[:3]))
conditions = st.recursive(
    st.sampled_from(list(FACTS)).flatmap(lambda name: FACTS[name].map(lambda asked: {name: asked})),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
        st.tuples(inner, inner).map(lambda two: two[0] | two[1]),
    ),
    max_leaves=6,
)
actions = st.sampled_from(
    [
        {"team": "care"},
        {"team": "care", "priority": "low", "tags": ["a"]},
        {"ignore": True},
        {"tags": ["a", "b"]},
        {"priority": "urgent"},
        {"lane": "care", "tags": ["b"]},
        {"tags": ["c"], "stop": True},
    ]
)
documents = st.lists(st.tuples(st.one_of(flat, conditions), actions, st.booleans()), max_size=10).map(
    lambda found: {
        "fallback": {"team": "community"},
        "lists": {"vip": {"ids": ["7"], "handles": ["@ANN"]}, "staff": {"ids": ["8"]}},
        "lanes": {"care": {"en": ["refund", "help me"], "zh": ["退款"]}, "sales": {"en": ["price"]}},
        "calendars": CALENDARS,
        "rules": [
            {"name": f"r{number}", "when": when, "then": then, "enabled": enabled or number % 2 == 0}
            for number, (when, then, enabled) in enumerate(found)
            if asks(when)
        ],
    }
)
messages = st.builds(
    Facts,
    network=st.sampled_from(["facebook", "x", "api"]),
    channel=st.sampled_from(["c1", "c2", "c3"]),
    kind=st.sampled_from(["dm", "comment", "review"]),
    text=st.one_of(
        st.none(),
        st.lists(st.sampled_from(SAID), max_size=5).map(" ".join),
        st.lists(st.sampled_from(SAID), max_size=3).map("".join),
    ),
    author_id=st.sampled_from([None, "7", "8"]),
    handle=st.sampled_from([None, "ann", "@ANN", "bob"]),
    followers=st.sampled_from([None, 0, 10, 500, 10_000]),
    verified=st.sampled_from([None, True, False]),
    media=st.sampled_from([(), ("image",), ("video", "image")]),
    ad=st.sampled_from([None, "ad1"]),
    at=st.one_of(
        st.none(),
        st.integers(0, 3 * 48).map(lambda half: datetime(2026, 11, 22, tzinfo=UTC) + timedelta(minutes=30 * half)),
    ),
)


def asks(when) -> bool:
    """Whether something is asked: an empty list asks nothing in the short forms."""
    groups = [one for name in ("all", "any") for one in when.get(name, [])] + ([when["not"]] if "not" in when else [])
    return any(asked != [] for asked in when.values()) and all(map(asks, groups))


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
    }


@given(documents, messages)
def test_the_explanation_accounts_for_every_rule_and_agrees_with_the_decision(document, facts):
    ruleset = index.compile_rules(rules.parse(document))
    told = explain.explain(ruleset, facts)
    assert [one["rule"] for one in told["matched"]] == list(ruleset.decide(facts).matched)
    named = sorted(one["rule"] for part in ("matched", "late", "missed") for one in told[part])
    assert named == sorted(rule["name"] for rule in document["rules"] if rule["enabled"])
    assert all(one["failed"] for one in told["missed"])


@given(documents, messages)
def test_what_is_quoted_as_evidence_stands_in_the_text_as_it_was_written(document, facts):
    told = explain.explain(index.compile_rules(rules.parse(document)), facts)
    for one in told["matched"]:
        for evidence in one["evidence"]:
            if "start" in evidence:
                assert facts.text[evidence["start"] : evidence["end"]] == evidence["found"] != ""


@given(documents)
def test_every_ruleset_that_is_taken_is_valid_by_the_published_schema(document):
    rules.parse(document)
    SCHEMA.validate(document)


def ruleset(*found, **parts):
    written = [{"name": f"r{number}", **rule} for number, rule in enumerate(found)]
    return index.compile_rules(rules.parse({"fallback": {"team": "community"}, "rules": written, **parts}))


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
    assert decided.action == rules.Action(team="care", tags=("x", "private", "late"), priority="high", lane="care")


def test_a_rule_that_stops_keeps_the_later_ones_from_being_asked_and_the_fallback_owns():
    decided = ruleset(
        {"when": {"network": "x"}, "then": {"tags": ["spam"], "stop": True}},
        {"when": {"network": "x"}, "then": {"team": "care"}},
    ).decide(Facts(network="x"))
    assert (decided.rule, decided.action.team, decided.action.tags) == (index.FALLBACK, "community", ("spam",))


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
