"""Damaging JSON the way senders do: keys gone, wrong types, huge numbers, deep nests, long and strange texts."""

import copy
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

Json = Any
DEEPEST: Final = 15
"""Of a nest: three of them in each other must still be no reason to refuse the whole body."""


def nest(depth: int) -> Json:
    """An array in an array in an array."""
    value: Json = []
    for _ in range(depth - 1):
        value = [value]
    return value


STRANGE: Final[SearchStrategy[Json]] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2**63, 10**400, 1e308, 1.5, "", "0", "null", "\x00", "a\x00b", "\u202eevil\u200b", {}, []]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.just("long " * 20_000),
    st.builds(nest, st.integers(1, DEEPEST)),
    st.just([None, 1, "a", {"b": []}]),
).map(copy.deepcopy)


@st.composite
def damaged(draw: DrawFn, value: Json) -> Json:
    """The value with one to three places of it damaged."""
    result = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        result = _damage_once(draw, result)
    return result


def _damage_once(draw: DrawFn, root: Json) -> Json:
    places = list(_places(root))
    if not places:
        return draw(STRANGE)
    parent, key = draw(st.sampled_from(places))
    action = draw(st.sampled_from(["drop", "replace", "replace", "add", "double"]))
    if action == "drop":
        del parent[key]
    elif action == "replace":
        parent[key] = draw(STRANGE)
    elif action == "double" and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[key]))
    elif isinstance(parent, dict):
        parent[draw(st.text(max_size=8))] = draw(STRANGE)
    return root


def _places(value: Json) -> list[tuple[Json, Any]]:
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [(value, key) for key, _ in inner] + [place for _, child in inner for place in _places(child)]
