"""What was decided in the past, page by page, newest first: each page is a short transaction of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from shared.db.transaction import Transaction

_WINDOW: Final = "SELECT now() AS until, now() - $1::interval AS since"
_PAGE: Final = """
SELECT id, message_id, rule, action, evidence, facts, created_at FROM router.decision
WHERE workspace_id = $1 AND created_at >= $2 AND (created_at, id) < ($3, $4)
ORDER BY created_at DESC, id DESC LIMIT $5
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Between two decisions; what was decided at the same moment is ordered by id."""

    at: datetime
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One decision, as it was kept."""

    place: Place
    message_id: str
    rule: str
    action: Any
    matched: Any
    facts: Any


async def window(tx: Transaction, *, length: timedelta) -> tuple[Place, datetime]:
    """From now, by the database's clock, back to so long ago."""
    row = await tx.fetchrow(_WINDOW, length)
    assert row is not None  # noqa: S101 - it has no condition
    return Place(row["until"]), row["since"]


async def page(tx: Transaction, workspace_id: str, *, before: Place, since: datetime, limit: int) -> Sequence[Past]:
    """The next decisions before a place, back to `since`."""
    rows = await tx.fetch(_PAGE, workspace_id, since, before.at, before.id, limit)
    return [
        Past(
            place=Place(row["created_at"], row["id"]),
            message_id=row["message_id"],
            rule=row["rule"],
            action=row["action"],
            matched=row["evidence"],
            facts=row["facts"],
        )
        for row in rows
    ]
