"""Columns of a batch on their way to Postgres, each as one text: the driver looks hard at every element of an array."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

_UNNEST: Final = re.compile(r"unnest\(([^()]*)\)")
_COLUMN: Final = re.compile(r"\$(\d+)::(text|jsonb)\[\]")
# Neither is in any id or name, and JSON escapes both; a text that has one goes as an array all the same.
_SEPARATOR: Final = "\x1f"
_NULL: Final = "\x1e"
_SPLIT: Final = r"string_to_array($\1::text, E'\\x1f', E'\\x1e')::\2[]"

_encode: Final = msgspec.json.Encoder().encode


def packed(sql: str, arguments: Sequence[Any]) -> tuple[Any, ...]:
    """The statement and its arguments, with the columns that it unnests packed where that is possible.

    `$1::text[]` inside `unnest(…)` is read once, so that splitting it there costs nothing.
    """
    rewritten, places = _rewritten(sql)
    if not places:
        return (sql, *arguments)
    changed = list(arguments)
    for place, is_json in places:
        column = arguments[place]
        text = _joined(_texts(column) if is_json else column)
        if text is None:
            return (sql, *arguments)
        changed[place] = text
    return (rewritten, *changed)


@lru_cache(maxsize=1024)
def _rewritten(sql: str) -> tuple[str, tuple[tuple[int, bool], ...]]:
    columns = [column for call in _UNNEST.finditer(sql) for column in _COLUMN.finditer(call[1])]
    places = {int(column[1]) - 1: column[2] == "jsonb" for column in columns}
    if len(places) != len(columns) or len(columns) != sum(len(re.findall(rf"\${n + 1}\b", sql)) for n in places):
        # One of them is used a second time, as an array perhaps.
        return sql, ()
    return _UNNEST.sub(lambda call: _COLUMN.sub(_SPLIT, call[0]), sql), tuple(places.items())


def _texts(column: Iterable[Any]) -> list[str | None]:
    return [None if value is None else _encode(value).decode() for value in column]


def _joined(column: Iterable[str | None]) -> str | None:
    """The column as one text, or None where it could not be told apart again."""
    if not isinstance(column, list | tuple):
        return None
    nulls = column.count(None)
    filled = [_NULL if value is None else value for value in column] if nulls else column
    try:
        text = _SEPARATOR.join(filled)
    except TypeError:
        return None
    is_whole = text.count(_SEPARATOR) == max(len(column) - 1, 0) and text.count(_NULL) == nulls
    return text if is_whole and (text or not column) else None
