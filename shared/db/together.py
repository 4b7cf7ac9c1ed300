"""Writes whose rows nobody waits for, sent together: one round trip for all that a batch leaves behind."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

import asyncpg

_PARAMETER: Final = re.compile(r"\$(\d+)")

UNMET: Final = "BT001"
"""The error of a write that wrote not as many rows as it had to (migration 0006 of the log)."""


@dataclass(frozen=True, slots=True)
class Rows:
    """So many rows it must be: the server refuses another number, and `otherwise` says what that means."""

    count: int
    otherwise: Callable[[], Exception]


Told = Callable[[Any], None]
"""Gets what was asked of a part's rows."""


class _Part(NamedTuple):
    sql: str
    name: str
    width: int
    asked: str
    """What to tell of its rows; empty: nothing."""
    is_counted: bool


class Together:
    """INSERT, UPDATE and DELETE statements on different rows, in any order, and a SELECT whose rows are counted: none
    sees what the others write.

    One may read what another RETURNs, by the `name` of that.
    """

    def __init__(self) -> None:
        self._parts: list[_Part] = []
        self._arguments: list[Any] = []
        self._rows: list[Rows] = []
        self._told: list[Told] = []

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(
        self,
        sql: str,
        *arguments: Any,
        name: str = "",
        rows: Rows | None = None,
        asked: str = "",
        told: Told | None = None,
    ) -> None:
        """One more. A statement that is only counted has no RETURNING; an aggregate that is `asked` goes to `told`."""
        part = _Part(sql, name or f"part_{len(self._parts)}", len(arguments), asked, rows is not None)
        self._parts.append(part)
        self._arguments.extend(arguments)
        if rows:
            self._rows.append(rows)
        if told:
            self._told.append(told)

    def statement(self) -> tuple[str, list[Any]]:
        """All of it."""
        if len(self._parts) == 1 and not self._rows and not self._told:
            return self._parts[0].sql, self._arguments
        counts = [[rows.count for rows in self._rows]] if self._rows else []
        return _composed(tuple(self._parts)), [*self._arguments, *counts]

    def tell(self, answer: Sequence[Any]) -> None:
        """Hands out what was asked, from the one row that the statement gave."""
        for told, value in zip(self._told, answer, strict=False):
            told(value)

    def refusal(self, error: asyncpg.PostgresError) -> Exception | None:
        """What it means that the server refused the statement, if it refused it for its numbers of rows."""
        if error.sqlstate != UNMET:
            return None
        counts = [int(count) for count in str(error.detail).strip("{}").split(",")]
        return next(
            (rows.otherwise() for rows, count in zip(self._rows, counts, strict=True) if rows.count != count), None
        )


@lru_cache(maxsize=512)
def _composed(parts: tuple[_Part, ...]) -> str:
    written: list[str] = []
    before = 0
    for part in parts:
        sql = _PARAMETER.sub(lambda found, offset=before: f"${int(found[1]) + offset}", part.sql)  # type: ignore[misc]
        counted = " RETURNING 1" if part.is_counted and not _has_rows(sql) else ""
        written.append(f"{part.name} AS ({sql}{counted})")
        before += part.width
    told = [f"(SELECT {part.asked} FROM {part.name})" for part in parts if part.asked]
    if counts := [f"(SELECT count(*) FROM {part.name})" for part in parts if part.is_counted]:
        found = f"ARRAY[{', '.join(counts)}]"
        told.append(f"CASE WHEN {found} <> ${before + 1}::bigint[] THEN log.refuse({found}) END")
    return f"WITH {', '.join(written)} SELECT {', '.join(told) or '1'}"


def _has_rows(sql: str) -> bool:
    return sql.lstrip().startswith("SELECT") or "RETURNING" in sql
