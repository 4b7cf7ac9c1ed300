"""What makes a ruleset invalid is named by its place; the preset is valid and does what it says."""

import pytest

from services.router.domain import compile as index
from services.router.domain import preset, rules
from services.router.domain.facts import Facts
from shared.errors import Invalid

RULE = {"name": "r", "when": {"network": ["facebook"]}, "then": {"team": "care"}}


def document(*, fallback=None, **changes):
    return {"fallback": fallback or {"team": "community"}, "rules": [RULE | changes]}


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"rules": []}, ""),
        ({"fallback": {}, "rules": []}, "/fallback"),
        ({"fallback": {"ignore": True}}, "/fallback"),
        (document(when={}), "/rules/0/when"),
        (document(when={"keywords": {}}), "/rules/0/when"),
        (document(then={}), "/rules/0/then"),
        (document(then={"team": "care", "ignore": True}), "/rules/0/then"),
        (document(then={"team": "Not A Slug"}), "/rules/0/then/team"),
        (document(then={"team": "care", "priority": "asap"}), "/rules/0/then/priority"),
        (document(when={"keywords": {"any": ["\u200b"]}}), "/rules/0/when/keywords/any/0"),
        (document(when={"keywords": {"any": ["x"] * 501}}), "/rules/0/when/keywords/any"),
        (document(when={"netwrok": ["facebook"]}), "/rules/0/when/netwrok"),
        ({"fallback": {"team": "community"}, "rules": [RULE, RULE]}, "/rules/1/name"),
        ("not an object", ""),
    ],
)
def test_an_invalid_ruleset_is_refused_with_the_place_of_the_fault(given, pointer):
    with pytest.raises(Invalid) as refused:
        rules.parse(given)
    assert pointer in [error["pointer"] for error in refused.value.fields["errors"]]


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
        (None, "community"),
        ("The price is wrong and I want my money back", "care"),
    ],
)
def test_the_preset_sends_complaints_and_questions_to_care_product_questions_to_product_and_the_rest_on(body, team):
    compiled = index.compile_rules(rules.parse(preset.document()))
    assert compiled.decide(Facts(network="facebook", kind="comment", text=body)).action.team == team
