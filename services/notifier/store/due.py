"""Rows in whose order things leave: a ticket's for its replies, an item's for what is done to it.

Whoever claims locks them first, and passes over what somebody else works on.
"""

from datetime import datetime
from typing import Final, Literal

from shared.db.transaction import Transaction

Kind = Literal["ticket", "item"]

# The statement's own time: a clock that moves while a statement runs can use no index.
_FIND: Final = """
SELECT id, workspace_id FROM notifier.{kind} WHERE due_at <= statement_timestamp() ORDER BY due_at LIMIT $1
"""
_LOCK: Final = """
SELECT id FROM notifier.{kind} WHERE id = ANY ($1::text[]) AND due_at <= statement_timestamp()
ORDER BY id FOR UPDATE SKIP LOCKED
"""


async def lock(tx: Transaction, kind: Kind, *, limit: int) -> list[str]:
    """Those of all workspaces that are due and that nobody else works on, locked.

    The transaction scans until then, and works in the workspaces of what it found from then on.
    """
    found = {row["id"]: row["workspace_id"] for row in await tx.fetch(_FIND.format(kind=kind), limit)}
    if not found:
        return []
    await tx.admit(set(found.values()))
    return [row["id"] for row in await tx.fetch(_LOCK.format(kind=kind), list(found))]


async def clock(tx: Transaction) -> datetime:
    """The database's time at this very moment: after locks were waited for."""
    now: datetime = await tx.fetchval("SELECT clock_timestamp()")
    return now
