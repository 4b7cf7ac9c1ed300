"""The index decides exactly as a loop over the rules would, however many there are."""

from hypothesis import given
from hypothesis import strategies as st

from services.router.domain import compile as index
from services.router.domain import rules, text

WORDS = ["refund", "price", "cat", "cats", "退款", "返金", "환불", "help me", "não", "ok?"]
NETWORKS = ["facebook", "x", "api"]
KINDS = ["dm", "comment", "review"]

keywords = st.builds(
    lambda **groups: {name: words for name, words in groups.items() if words},
    any=st.lists(st.sampled_from(WORDS), max_size=3),
    all=st.lists(st.sampled_from(WORDS), max_size=2),
    phrase=st.lists(st.sampled_from(WORDS), max_size=2),
    none=st.lists(st.sampled_from(WORDS), max_size=2),
)
conditions = st.builds(
    lambda **parts: {name: part for name, part in parts.items() if part},
    network=st.lists(st.sampled_from(NETWORKS), max_size=2),
    kind=st.lists(st.sampled_from(KINDS), max_size=2),
    channel=st.lists(st.sampled_from(["c1", "c2"]), max_size=1),
    keywords=keywords,
    author=st.sampled_from([{}, {}, {"ids": ["7"]}, {"handles": ["@Ann"]}]),
).filter(bool)
documents = st.lists(conditions, max_size=12).map(
    lambda found: rules.parse(
        {
            "fallback": {"team": "community"},
            "rules": [
                {"name": f"r{number}", "when": condition, "then": {"team": "care"}}
                for number, condition in enumerate(found)
            ],
        }
    )
)
messages = st.builds(
    index.facts_of,
    network=st.sampled_from(NETWORKS),
    channel=st.sampled_from(["c1", "c2", "c3"]),
    kind=st.sampled_from(KINDS),
    body=st.one_of(
        st.none(),
        st.lists(st.sampled_from([*WORDS, "hello", "concatenate", "退款吧", "!"]), max_size=5).map(" ".join),
    ),
    author_id=st.sampled_from([None, "7", "8"]),
    handle=st.sampled_from([None, "ann", "@ANN", "bob"]),
)


def contains(body: str, keyword: str) -> bool:
    """The oracle: looks at every place, one keyword at a time."""
    pattern = text.normalize(keyword)
    return any(
        body.startswith(pattern, at)
        and (not text.needs_left_boundary(pattern[0]) or text.begins_word(body, at))
        and (not text.needs_right_boundary(pattern[-1]) or text.ends_word(body, at + len(pattern)))
        for at in range(len(body))
    )


def holds(condition: rules.Condition, facts: index.Facts) -> bool:
    words = condition.keywords or rules.Keywords()
    author = condition.author
    some = (*words.any, *words.phrase)
    return (
        (not condition.network or facts.network in condition.network)
        and (not condition.channel or facts.channel in condition.channel)
        and (not condition.kind or facts.kind in condition.kind)
        and all(contains(facts.words, word) for word in words.all)
        and (not some or any(contains(facts.words, word) for word in some))
        and not any(contains(facts.words, word) for word in words.none)
        and (
            author is None
            or not (author.ids or author.handles)
            or facts.author_id in author.ids
            or (
                facts.handle is not None and facts.handle in [name.lower().removeprefix("@") for name in author.handles]
            )
        )
    )


@given(documents, messages)
def test_the_index_and_a_loop_over_the_rules_decide_the_same(document, facts):
    expected = next((rule.name for rule in document.rules if holds(rule.when, facts)), index.FALLBACK)
    assert index.compile_rules(document).decide(facts).rule == expected


@given(documents, messages)
def test_the_explanation_ends_with_the_rule_that_decided_and_names_what_the_others_missed(document, facts):
    compiled = index.compile_rules(document)
    trace = compiled.explain(facts)
    assert trace[-1] == (compiled.decide(facts).rule, None)
    assert all(missed is not None for _, missed in trace[:-1])


def test_the_evidence_says_which_word_was_found_and_where():
    document = rules.parse(
        {
            "fallback": {"team": "community"},
            "rules": [{"name": "r", "when": {"keywords": {"any": ["Refund"]}}, "then": {"team": "care"}}],
        }
    )
    facts = index.facts_of(network="x", channel="c", kind="dm", body="My REFUND?", author_id=None, handle=None)
    verdict = index.compile_rules(document).decide(facts)
    assert [(one.keyword, facts.words[one.start : one.end]) for one in verdict.evidence] == [("refund", "refund")]


def test_a_disabled_rule_decides_nothing():
    document = rules.parse(
        {
            "fallback": {"team": "community"},
            "rules": [{"name": "r", "when": {"network": ["x"]}, "then": {"team": "care"}, "enabled": False}],
        }
    )
    facts = index.facts_of(network="x", channel="c", kind="dm", body="", author_id=None, handle=None)
    assert index.compile_rules(document).decide(facts).rule == index.FALLBACK
