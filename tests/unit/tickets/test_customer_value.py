"""Attributes and tags of a customer, as values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tickets.domain.customer import (
    MOST_ATTRIBUTES,
    MOST_BYTES,
    MOST_TAGS,
    Known,
    amended,
    differences,
    inherited,
)
from shared.errors import Invalid

GOLD = Known(attributes={"plan": "gold", "orders": 3, "vip": True}, tags=("late", "big"))
values = st.one_of(st.booleans(), st.integers(-5, 5), st.text(min_size=1, max_size=200))
known = st.builds(
    Known,
    attributes=st.dictionaries(st.text("abc", min_size=1, max_size=3), values, max_size=MOST_ATTRIBUTES),
    tags=st.lists(st.text("xyz", min_size=1, max_size=4), unique=True, max_size=MOST_TAGS).map(tuple),
).filter(lambda one: one == amended(Known(), attributes=one.attributes, tags=one.tags))


def test_what_is_not_named_stays_and_null_removes() -> None:
    after = amended(GOLD, attributes={"orders": 4, "vip": None, "new": "x", "never": None}, tags=None)
    assert after == Known(attributes={"plan": "gold", "orders": 4, "new": "x"}, tags=("late", "big"))
    assert amended(GOLD, attributes={}, tags=["a", "b", "a"]).tags == ("a", "b")


@pytest.mark.parametrize(
    "attributes",
    [
        {f"a{number}": number for number in range(MOST_ATTRIBUTES + 1)},
        {f"a{number}": "x" * 200 for number in range(MOST_BYTES // 200)},
    ],
)
def test_more_than_is_kept_is_refused(attributes: dict[str, str | int]) -> None:
    with pytest.raises(Invalid) as refused:
        amended(Known(), attributes=attributes, tags=None)
    assert refused.value.fields["errors"][0]["pointer"] == "#/attributes"


def test_each_change_is_told_with_what_was_before() -> None:
    after = amended(GOLD, attributes={"plan": "free", "vip": None, "new": 1}, tags=["big", "vip"])
    assert differences(GOLD, after) == {
        "attributes": {
            "new": {"before": None, "after": 1},
            "plan": {"before": "gold", "after": "free"},
            "vip": {"before": True, "after": None},
        },
        "tags": {"added": ["vip"], "removed": ["late"]},
    }
    assert differences(GOLD, GOLD) == {}


def test_a_flag_is_not_a_number() -> None:
    one = Known(attributes={"vip": 1})
    assert differences(one, amended(one, attributes={"vip": True}, tags=None))["attributes"]


def test_who_is_joined_keeps_his_own_and_inherits_what_he_has_not() -> None:
    other = Known(attributes={"plan": "free", "city": "Bonn"}, tags=("big", "old"))
    after = inherited(GOLD, other)
    assert after.attributes == {**GOLD.attributes, "city": "Bonn"}
    assert after.tags == ("late", "big", "old")


@given(known, known)
def test_what_is_inherited_stays_within_the_limits_and_loses_nothing_of_ones_own(one: Known, other: Known) -> None:
    after = inherited(one, other)
    assert after == amended(after, attributes={}, tags=after.tags)
    assert len(after.tags) <= MOST_TAGS
    assert differences(one, after).get("tags", {"removed": []})["removed"] == []
    assert {name: after.attributes[name] for name in one.attributes} == one.attributes
