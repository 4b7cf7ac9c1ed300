"""Foreign JSON: depth, ids, times and texts."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import Rejected
from shared.networks import bodies

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='[]{}"\\a', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='[]{}"\\a', max_size=4), inner, max_size=3)
    ),
    max_leaves=20,
)


def _depth(value: Any) -> int:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max((_depth(child) for child in inner), default=0)


@settings(max_examples=200, database=None)
@given(value=JSON, around=st.integers(0, 80))
def test_depth_is_what_walking_the_decoded_value_finds(value: Any, around: int) -> None:
    for number in range(around):
        value = [value] if number % 2 else {"]": value}
    assert bodies.too_deep(json.dumps(value).encode()) is (_depth(value) > bodies.MAX_DEPTH)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("abc", "abc"),
        (17, "17"),
        (0, "0"),
        ("", None),
        (None, None),
        (True, None),
        (1.5, None),
        ({}, None),
        ("a\x00b", None),
        ("x" * 512, "x" * 512),
        ("x" * 513, None),
        (10**400, None),
    ],
)
def test_an_id_is_printable_text_or_a_number(value: Any, expected: str | None) -> None:
    assert bodies.identifier(value) == expected


NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        1795348800,
        1795348800.0,
        "1795348800",
        1795348800000,
        "1795348800000",
        "2026-11-22T12:00:00Z",
        "2026-11-22T12:00:00+0000",
        "2026-11-22T14:00:00+02:00",
        "2026-11-22T12:00:00",
    ],
    ids=repr,
)
def test_one_moment_is_understood_in_all_its_writings(value: Any) -> None:
    found = bodies.instant(value)
    assert found == NOON
    assert found.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -5,
        1e30,
        float("nan"),
        float("inf"),
        10**400,
        "",
        "soon",
        "9" * 600,
        [],
        {},
        "0001-01-01T00:00+14:00",
    ],
)
def test_what_is_no_time_is_none(value: Any) -> None:
    assert bodies.instant(value) is None


@settings(max_examples=200, database=None)
@given(moment=st.datetimes(timezones=st.just(timezone(timedelta(hours=5)))))
def test_every_time_that_python_knows_is_read_or_refused(moment: datetime) -> None:
    found = bodies.instant(moment.isoformat())
    assert found is None or found == moment


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (rb'"\ud83d\udce6"', "📦"),
        (rb'"a\ud83d"', "a\ufffd"),
        (rb'"\udce6b"', "\ufffdb"),
        (rb'"\ud83d\ud83d\udce6"', "\ufffd📦"),
        (rb'"\\ud83d \ud83d"', "\\ud83d \ufffd"),
    ],
)
def test_half_a_surrogate_pair_is_replaced_and_nothing_else(raw: bytes, expected: str) -> None:
    assert bodies.decode(msgspec.json.Decoder(str), raw) == expected


def test_what_does_not_fit_is_rejected_with_its_path_and_without_its_length() -> None:
    with pytest.raises(Rejected, match=r"\$\[0\]"):
        bodies.decode(msgspec.json.Decoder(list[int]), b'["a"]')
    with pytest.raises(Rejected) as caught:
        bodies.decode(msgspec.json.Decoder(dict[str, int]), b'{"' + b"k" * 5000 + b'": "a"}')
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Thanks,  Ana!\n", "Thanks, Ana!"),
        ("Cafe\u0301", "Café"),
        ("a\u00a0b\tc", "a b c"),
    ],
)
def test_two_writings_of_one_text_compare_equal(one: str, other: str) -> None:
    assert bodies.normalized(one) == bodies.normalized(other)
