"""Statements of SQLAlchemy Core, compiled once for the driver."""

from typing import Any

from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.sql.expression import ClauseElement


class Query:
    """A Core statement, compiled once for asyncpg. `query(name=value, …)` gives the arguments of `tx.fetch`."""

    __slots__ = ("_defaults", "_names", "sql")

    def __init__(self, statement: ClauseElement) -> None:
        compiled = statement.compile(dialect=asyncpg_dialect())  # type: ignore[no-untyped-call]
        self.sql = str(compiled)
        self._names: list[str] = list(getattr(compiled, "positiontup", None) or ())
        self._defaults: dict[str, Any] = dict(compiled.params)

    def __call__(self, **values: Any) -> tuple[Any, ...]:
        """SQL and its positional arguments."""
        return (self.sql, *(values[name] if name in values else self._defaults[name] for name in self._names))
