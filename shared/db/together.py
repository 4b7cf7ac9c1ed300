"""Writes whose rows nobody waits for, sent together: one round trip for all that a batch leaves behind."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

_PARAMETER: Final = re.compile(r"\$(\d+)")

Check = Callable[[Any], None]
"""Gets the number of rows that were written or that a SELECT found, or what else was asked; raises when that must not
be."""


class _Part(NamedTuple):
    sql: str
    name: str
    width: int
    asked: str
    """What to tell of its rows; empty: nothing."""


class Together:
    """INSERT, UPDATE and DELETE statements on different rows, in any order, and a SELECT whose rows are counted: none
    sees what the others write.

    One may read what another RETURNs, by the `name` of that.
    """

    def __init__(self) -> None:
        self._parts: list[_Part] = []
        self._arguments: list[Any] = []
        self._checks: list[Check] = []

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(
        self, sql: str, *arguments: Any, name: str = "", check: Check | None = None, asked: str = "count(*)"
    ) -> None:
        """One more. A statement that is only counted has no RETURNING; of another an aggregate is `asked`."""
        part = _Part(sql, name or f"part_{len(self._parts)}", len(arguments), asked if check else "")
        self._parts.append(part)
        self._arguments.extend(arguments)
        if check:
            self._checks.append(check)

    def statement(self) -> tuple[str, list[Any]]:
        """All of it."""
        if len(self._parts) == 1 and not self._checks:
            return self._parts[0].sql, self._arguments
        return _composed(tuple(self._parts)), self._arguments

    def judge(self, told: tuple[Any, ...]) -> None:
        """Checks the one row that the statement gave, where there are checks."""
        for check, value in zip(self._checks, told, strict=False):
            check(value)


@lru_cache(maxsize=512)
def _composed(parts: tuple[_Part, ...]) -> str:
    written: list[str] = []
    before = 0
    for part in parts:
        sql = _PARAMETER.sub(lambda found, offset=before: f"${int(found[1]) + offset}", part.sql)  # type: ignore[misc]
        written.append(f"{part.name} AS ({sql}{' RETURNING 1' if part.asked and not _has_rows(sql) else ''})")
        before += part.width
    told = [f"(SELECT {part.asked} FROM {part.name})" for part in parts if part.asked]
    return f"WITH {', '.join(written)} SELECT {', '.join(told) or '1'}"


def _has_rows(sql: str) -> bool:
    return sql.lstrip().startswith("SELECT") or "RETURNING" in sql
