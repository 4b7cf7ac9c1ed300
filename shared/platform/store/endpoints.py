"""Which webhook endpoints there are, so that rules can name one; all else about them is the notifier's own."""

from collections.abc import Iterable

from shared.db.transaction import Transaction


async def add(tx: Transaction, workspace_id: str, endpoint_id: str) -> None:
    """There is one more."""
    await tx.execute("INSERT INTO platform.endpoint (workspace_id, id) VALUES ($1, $2)", workspace_id, endpoint_id)


async def remove(tx: Transaction, workspace_id: str, endpoint_id: str) -> None:
    """It is gone."""
    await tx.execute("DELETE FROM platform.endpoint WHERE workspace_id = $1 AND id = $2", workspace_id, endpoint_id)


async def existing(tx: Transaction, workspace_id: str, endpoint_ids: Iterable[str]) -> frozenset[str]:
    """Those of these ids that are endpoints of the workspace."""
    wanted = list(endpoint_ids)
    if not wanted:
        return frozenset()
    sql = "SELECT id FROM platform.endpoint WHERE workspace_id = $1 AND id = ANY ($2::text[])"
    return frozenset(row["id"] for row in await tx.fetch(sql, workspace_id, wanted))
