"""What a transaction of the demo schema wrote and published, for tests of transactions."""

from typing import Final

import asyncpg
import pytest

from shared.db.appending import decode_headers
from shared.db.pool import Database
from shared.db.scope import Batch, Scan, Scope, Workspace
from shared.db.transaction import Transaction
from shared.events import envelope

W1: Final = Workspace("w1")
BOTH: Final = Batch(frozenset({"w1", "w2"}))
NOTE: Final = "INSERT INTO demo.seen (workspace_id, key, name) VALUES ($1, 'k', $2)"


async def names(database: Database) -> list[str]:
    """Names of published events, in the order of their ids."""
    async with database.transaction(Scan()) as tx:
        rows = await tx.fetch("SELECT headers, value FROM log.event ORDER BY id")
        assert await tx.fetchval("SELECT count(*) FROM log.queue") == len(rows)
    return [envelope.decode(decode_headers(row["headers"]), row["value"]).data.name for row in rows]


def defer_note(tx: Transaction, name: str) -> None:
    """Notes something with the next statement."""
    tx.defer(NOTE, "w1", name)


async def notes(database: Database) -> list[str]:
    """What was noted, in order."""
    async with database.transaction(BOTH) as tx:
        return [row["name"] for row in await tx.fetch("SELECT name FROM demo.seen ORDER BY id")]


async def fails(database: Database, scope: Scope, sql: str, *arguments: object) -> str:
    """The class of the error that a statement meets."""
    with pytest.raises(asyncpg.PostgresError) as caught:
        async with database.transaction(scope) as tx:
            await tx.execute(sql, *arguments)
    return type(caught.value).__name__
