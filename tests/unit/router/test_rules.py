"""What makes a ruleset invalid is named by its place; the preset is valid and does what it says."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from services.router.domain import analysis, preset, reference, rules, vocabulary
from services.router.domain import compile as index
from services.router.domain.facts import Facts
from services.router.domain.schema import schema
from services.router.domain.vocabulary import FACTS, FUTURE_ACTIONS, FUTURE_TRIGGERS
from shared.errors import Invalid

SCHEMA = Draft202012Validator(schema())
UNFED = [name for name, fact in FACTS.items() if not fact.fed]

RULE = {"name": "r", "when": {"network": ["facebook"]}, "then": {"team": "care"}}
NESTED = {"kind": "dm"}
for _ in range(11):
    NESTED = {"not": NESTED}


def document(*, fallback=None, **changes):
    return {"fallback": fallback or {"team": "community"}, "rules": [RULE | changes]}


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"rules": []}, ""),
        ({"fallback": {}, "rules": []}, "/fallback"),
        ({"fallback": {"ignore": True}}, "/fallback"),
        ({"fallback": {"team": "community", "reason": "because"}}, "/fallback"),
        (document(when={}), "/rules/0/when"),
        (document(when={"keywords": {}}), "/rules/0/when"),
        (document(then={}), "/rules/0/then"),
        (document(then={"team": "care", "ignore": True}), "/rules/0/then"),
        (document(then={"team": "Not A Slug"}), "/rules/0/then/team"),
        (document(then={"team": "care", "priority": "asap"}), "/rules/0/then/priority"),
        (document(then={"notify": {"text": "look"}}), "/rules/0/then"),
        (document(then={"notify": {"team": "care"}}), "/rules/0/then/notify"),
        (document(then={"ignore": True, "webhook": {"endpoint": "end_1"}}), "/rules/0/then"),
        (document(then={"webhook": {"url": "https://example.com"}}), "/rules/0/then/webhook"),
        (document(when={"keywords": {"any": ["\u200b"]}}), "/rules/0/when/keywords/any/0"),
        (document(when={"keywords": {"any": ["x"] * 501}}), "/rules/0/when/keywords/any"),
        (document(when={"netwrok": ["facebook"]}), "/rules/0/when/netwrok"),
        ({"fallback": {"team": "community"}, "rules": [RULE, RULE]}, "/rules/1/name"),
        ("not an object", ""),
        (document(when={"all": []}), "/rules/0/when/all"),
        (document(when={"any": [{"kind": "dm"}, {}]}), "/rules/0/when/any/1"),
        (document(when={"not": {}}), "/rules/0/when/not"),
        (document(when={"any": {"kind": "dm"}}), "/rules/0/when/any"),
        (document(when={"text": {}}), "/rules/0/when/text"),
        (document(when={"text": {"regex": ["ok", "("]}}), "/rules/0/when/text/regex/1"),
        (document(when={"text": {"regex": "a*"}}), "/rules/0/when/text/regex"),
        (document(when={"text": {"gt": 5}}), "/rules/0/when/text/gt"),
        (document(when={"author.followers": {"gte": "10"}}), "/rules/0/when/author.followers/gte"),
        (document(when={"author.followers": {"between": [9, 1]}}), "/rules/0/when/author.followers/between"),
        (document(when={"author.followers": {"lt": [1]}}), "/rules/0/when/author.followers/lt"),
        (document(when={"author.followers": True}), "/rules/0/when/author.followers"),
        (document(when={"author.list": "vip"}), "/rules/0/when/author.list"),
        (document(when={"customer.attributes": "gold"}), "/rules/0/when/customer.attributes"),
        (document(when={"customer.attributes.*": "gold"}), "/rules/0/when/customer.attributes.*"),
        (document(when={"customer.attributes.a b": "x"}), "/rules/0/when/customer.attributes.a b"),
        (document(when={"customer.attributes.a": None}), "/rules/0/when/customer.attributes.a"),
        (document(when={"customer.attributes.a": {"gt": "1"}}), "/rules/0/when/customer.attributes.a/gt"),
        (document(when={"customer.attributes.a": {"starts": 1}}), "/rules/0/when/customer.attributes.a/starts"),
        (document(when={"customer.attributes.a": {"any": ["x"]}}), "/rules/0/when/customer.attributes.a/any"),
        (document(when={"lane": ["care"]}), "/rules/0/when/lane/0"),
        (document(when={"time": "office"}), "/rules/0/when/time"),
        (document(when={"time": {"within": "office"}}), "/rules/0/when/time/within"),
        (document(when={"a/b~": 1}), "/rules/0/when/a~1b~0"),
        (document(when=NESTED), "/rules/0/when" + "/not" * 11),
        (document(then={"agent": "agt_1"}), "/rules/0/then"),
        (document(then={"team": "care", "reason": "spam"}), "/rules/0/then"),
        (document(then={"stop": False}), "/rules/0/then"),
        (document(on="tuesday"), "/rules/0/on"),
        (document(on="customer.replied"), "/rules/0/then"),
        (document(then={"team": "care", "snooze": {"minutes": 5}}), "/rules/0/then"),
        (document(on="ticket.changed", then={"snooze": {"minutes": 0}}), "/rules/0/then/snooze/minutes"),
        (document(on="timer", then={"tags": ["x"]}), "/rules/0/after_minutes"),
        (document(on="timer", after_minutes=0, then={"tags": ["x"]}), "/rules/0/after_minutes"),
        (document(after_minutes=5), "/rules/0/after_minutes"),
        (document(then={"reroute": {"team": "care"}}), "/rules/0/then"),
        (document(on="customer.replied", then={"reroute": {}}), "/rules/0/then"),
        (document(on="customer.replied", then={"reroute": {"team": "No Slug"}}), "/rules/0/then/reroute/team"),
        (document(fallback={"team": "community", "reroute": {"team": "care"}}), "/fallback"),
        (document(on="ticket.changed", then={"ignore": True}), "/rules/0/then"),
        (document(on="ticket.changed", then={"tags": ["x"], "lane": "care"}), "/rules/0/then"),
        (document(then={"auto_reply": {}}), "/rules/0/then/auto_reply"),
        (document(then={"auto_reply": {"text": ""}}), "/rules/0/then/auto_reply/text"),
        (document(then={"auto_reply": {"text": "x" * 2001}}), "/rules/0/then/auto_reply/text"),
        (document(then={"auto_reply": {"text": "Hi {{customer.iban}}"}}), "/rules/0/then/auto_reply/text"),
        (document(then={"private_reply": {"text": "Hi {{author.name"}}), "/rules/0/then/private_reply/text"),
        (document(then={"private_reply": {"text": "{{ author.name }}"}}), "/rules/0/then/private_reply/text"),
        (document(then={"auto_reply": {"text": "Hi", "once_per": "day"}}), "/rules/0/then/auto_reply/once_per"),
        (document(then={"ignore": True, "auto_reply": {"text": "Hi"}}), "/rules/0/then"),
        (document(on="customer.replied", then={"auto_reply": {"text": "Hi"}}), "/rules/0/then"),
        (document(fallback={"team": "community", "auto_reply": {"text": "{{x}}"}}), "/fallback/auto_reply/text"),
        (document(when={"ticket.team": {"changed": "yes"}}), "/rules/0/when/ticket.team/changed"),
        (document() | {"calendars": {"o": {"zone": "Mars/Base"}}}, "/calendars/o"),
        (document() | {"calendars": {"o": {"zone": "UTC", "holidays": {"country": "XX"}}}}, "/calendars/o"),
        (document() | {"lanes": {"care": {"en": ["*"]}}}, "/lanes/care/en/0"),
    ],
)
def test_an_invalid_ruleset_is_refused_with_the_place_of_the_fault(given, pointer):
    with pytest.raises(Invalid) as refused:
        rules.parse(given)
    assert pointer in [error["pointer"] for error in refused.value.fields["errors"]]


@pytest.mark.parametrize(
    ("changes", "pointer", "name"),
    [
        *(({"on": trigger}, "/rules/0/on", trigger) for trigger in FUTURE_TRIGGERS),
        *(({"then": {action: {}}}, f"/rules/0/then/{action}", action) for action in FUTURE_ACTIONS),
        *(({"when": {fact: "x"}}, f"/rules/0/when/{fact}", fact) for fact in UNFED),
        ({"when": {"any": [{"channel": {"changed": True}}]}}, "/rules/0/when/any/0/channel/changed", "changed"),
    ],
)
def test_what_the_language_knows_and_baton_cannot_do_yet_is_refused_by_name(changes, pointer, name):
    refused_document = document(**changes)
    SCHEMA.validate(refused_document)
    with pytest.raises(Invalid) as refused:
        rules.parse(refused_document)
    [error] = refused.value.fields["errors"]
    assert (error["pointer"], error["unavailable"]) == (pointer, name)
    assert name in error["detail"]


@pytest.mark.parametrize(
    "wrong",
    [
        document(when={"netwrok": "x"}),
        document(when={"all": []}),
        document(when={}),
        document(then={"team": "Not A Slug"}),
        document(on="tuesday"),
        document(when={"text": {"gt": 1}}),
        document(when={"author.followers": {"gte": "10"}}),
        document(when={"rating": []}),
        document(when={"customer.attributes": "gold"}),
        document(when={"customer.attributes.a b": "gold"}),
        document(when={"customer.attributes.a": {"gt": "1"}}),
        document(when={"keywords": {"any": "refund"}}),
        document(when={"text": {"any": "x" * 201}}),
        document(when={"text": {"regex": "x" * 501}}),
        document() | {"lanes": {"sports": {"en": ["goal"]}}},
        {"rules": []},
    ],
)
def test_the_published_schema_refuses_what_the_parser_refuses(wrong):
    with pytest.raises(Invalid):
        rules.parse(wrong)
    assert not SCHEMA.is_valid(wrong)


def test_the_published_schema_takes_texts_as_long_as_the_parser_does():
    longest = document(when={"text": {"regex": "x" * 500, "starts": "x" * 500, "any": "x" * 200}})
    rules.parse(longest)
    SCHEMA.validate(longest)


def test_a_condition_may_name_thousands_of_authors_as_it_always_could():
    ids = [str(number) for number in range(5_000)]
    compiled = index.compile_rules(rules.parse(document(when={"author": {"ids": ids}})))
    assert compiled.decide(Facts(network="x", author_id="4999")).rule == "r"


def test_a_misspelt_fact_is_told_what_it_may_have_meant():
    with pytest.raises(Invalid) as refused:
        rules.parse(document(when={"hashtag": "sale"}))
    assert "'hashtags'" in refused.value.fields["errors"][0]["detail"]


def test_every_problem_of_a_ruleset_is_told_at_once():
    with pytest.raises(Invalid) as refused:
        rules.parse({"fallback": {}, "rules": [RULE | {"when": {"all": [], "any": [{"text": 5}]}}]})
    assert len(refused.value.fields["errors"]) == 3


@pytest.mark.parametrize(
    ("body", "team"),
    [
        ("I want a refund, this is unacceptable", "care"),
        ("Where is my order?", "care"),
        ("How much is the blue one?", "product"),
        ("¿Cuánto cuesta la talla M?", "product"),
        ("这个多少钱？", "product"),
        ("我要退款", "care"),
        ("환불해주세요", "care"),
        ("Love this brand ❤️", "community"),
        ("👍👍", "community"),
        ("Thanks, love it!", "community"),
        ("Is there a media kit for a collaboration", "community"),
        (None, "community"),
        ("The price is wrong and I want my money back", "care"),
    ],
)
def test_the_preset_sends_complaints_and_questions_to_care_product_questions_to_product_and_the_rest_on(body, team):
    compiled = index.compile_rules(rules.parse(preset.document()))
    assert compiled.decide(Facts(network="facebook", kind="comment", text=body)).action.team == team


@pytest.mark.parametrize(
    ("body", "lane"),
    [
        ("I want a refund", "care"),
        ("Quelle taille ?", "product"),
        ("价格", "sales"),
        ("ありがとう", "engagement"),
        ("Wir suchen eine Kooperation", "awareness"),
        ("thanks, but it is broken", "care"),
        ("hm", None),
    ],
)
def test_the_preset_tells_what_a_message_is_about(body, lane):
    compiled = index.compile_rules(rules.parse(preset.document()))
    assert compiled.decide(Facts(network="facebook", text=body)).action.lane == lane


def test_there_is_nothing_doubtful_in_the_preset():
    found = analysis.analyse(
        index.compile_rules(rules.parse(preset.document())), teams={"care", "product", "community"}
    )
    assert (found.errors, found.warnings) == ([], [])


def test_the_reference_explains_every_operator_and_action():
    told = " ".join([*reference.MEANINGS, *reference.MEANINGS.values()])
    assert {name for some in vocabulary.OPERATORS.values() for name in some if name not in told} == set()
    assert set(reference.ACTIONS) == set(rules.Action.__struct_fields__)


def test_the_example_of_the_guide_is_valid_and_without_a_doubt():
    guide = (Path(__file__).parents[3] / "docs/how-to/write-rules.md").read_text("utf-8")
    example = json.loads(guide.split("```json")[1].split("```")[0])
    SCHEMA.validate(example)
    found = analysis.analyse(index.compile_rules(rules.parse(example)), teams={"care", "community"})
    assert (found.errors, found.warnings) == ([], [])
