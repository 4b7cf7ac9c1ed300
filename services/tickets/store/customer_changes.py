"""What was done to customers, by whom: lines are appended under the customer's lock and never change."""

from datetime import datetime
from typing import Any, Final

import msgspec

from shared.db.transaction import Transaction
from shared.events.payload import Actor

_KEEP: Final = """
INSERT INTO tickets.customer_change (customer_id, version, workspace_id, actor, reason, data)
VALUES ($1, $2, $3, $4, $5, $6)
"""
_PAGE: Final = """
SELECT version, actor, reason, data, at FROM tickets.customer_change
WHERE customer_id = $1 AND version < $2 ORDER BY version DESC LIMIT $3
"""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One change, and the version that it made."""

    version: int
    actor: Actor
    reason: str
    data: dict[str, Any]
    at: datetime


async def keep(
    tx: Transaction, workspace_id: str, customer_id: str, version: int, *, actor: Actor, reason: str, data: Any
) -> None:
    """One more line, of a version that this transaction has made."""
    await tx.execute(_KEEP, customer_id, version, workspace_id, msgspec.to_builtins(actor), reason, data)


async def page(tx: Transaction, customer_id: str, *, before: int, limit: int) -> list[Line]:
    """A customer's lines before a version, newest first."""
    return [msgspec.convert(dict(row), Line) for row in await tx.fetch(_PAGE, customer_id, before, limit)]
