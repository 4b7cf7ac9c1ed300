"""Forgetting old rows of every workspace, under the same row security as everything else."""

from typing import Any, Final

from shared.db.pool import Database
from shared.db.scope import Scan

_WORKSPACES: Final = (
    "SELECT workspace_id FROM platform.workspace WHERE workspace_id > $1 ORDER BY workspace_id LIMIT 500"
)
_PURGE: Final = """
DELETE FROM {table} WHERE ctid IN (
    SELECT ctid FROM {table} WHERE {condition} LIMIT 5000 FOR UPDATE SKIP LOCKED
)
"""


async def purge(database: Database, table: str, condition: str, *arguments: Any) -> int:
    """Deletes the rows of `schema.table` that meet a condition, in small transactions; returns how many went."""
    statement = _PURGE.format(table=table, condition=condition)
    gone, after = 0, ""
    while True:
        async with database.transaction(Scan()) as tx:
            workspaces = [row["workspace_id"] for row in await tx.fetch(_WORKSPACES, after)]
            if not workspaces:
                return gone
            await tx.admit(workspaces)
            purged = await tx.execute(statement, *arguments)
        gone += purged
        # The same workspaces again, until nothing of theirs is left.
        after = after if purged else workspaces[-1]
