"""A difference between two versions names every rule that was added, removed, changed or moved, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from services.router.domain.diff import diff

names = st.lists(st.sampled_from("abcdefgh"), unique=True)


def version(order, **parts):
    rules = [{"name": name, "when": {"kind": "dm"}, "then": {"team": "care"}} for name in order]
    return {"fallback": {"team": "community"}, "rules": rules, **parts}


def test_equal_versions_differ_in_nothing():
    assert diff(version("abc"), version("abc")) == {"rules": {"added": [], "removed": [], "changed": [], "moved": []}}


def test_a_changed_rule_is_shown_before_and_after():
    after = version("ab")
    after["rules"][1] = {"name": "b", "when": {"kind": "dm"}, "then": {"team": "product"}, "enabled": False}
    assert diff(version("ab"), after)["rules"]["changed"] == [
        {
            "rule": "b",
            "then": {"before": {"team": "care"}, "after": {"team": "product"}},
            "enabled": {"before": None, "after": False},
        }
    ]


def test_a_rule_that_jumps_over_many_is_the_one_that_moved():
    assert diff(version("abcdef"), version("fabcde"))["rules"]["moved"] == ["f"]


def test_the_fallback_and_the_named_parts_are_compared_too():
    before = version("", lists={"vip": {"ids": ["1"]}, "staff": {}}, lanes={"care": {"en": ["refund"]}})
    after = version("", lists={"vip": {"ids": ["1", "2"]}, "staff": {}}) | {"fallback": {"team": "care"}}
    found = diff(before, after)
    assert found["fallback"] == {"before": {"team": "community"}, "after": {"team": "care"}}
    assert found["lists"] == {"vip": {"before": {"ids": ["1"]}, "after": {"ids": ["1", "2"]}}}
    assert found["lanes"] == {"care": {"before": {"en": ["refund"]}, "after": None}}
    assert "calendars" not in found


@given(names, names)
def test_what_is_neither_added_nor_removed_nor_moved_kept_its_order(before, after):
    found = diff(version(before), version(after))["rules"]
    assert set(found["added"]) == set(after) - set(before)
    assert set(found["removed"]) == set(before) - set(after)
    stayed = [name for name in before if name not in {*found["removed"], *found["moved"]}]
    assert stayed == [name for name in after if name not in {*found["added"], *found["moved"]}]
