"""The small teams service behind the real face, in one workspace."""

from collections.abc import AsyncIterator

import httpx
import pytest

from shared.db.pool import Database
from shared.db.scope import Owner
from tests.support import api, teams_api


@pytest.fixture
async def http(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator's client."""
    await api.new_workspace(database)
    app = api.new_app(database, teams_api.service())
    async with api.client(app, await api.new_key(database)) as client:
        yield client


class Effects:
    """What writes left behind."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def names(self) -> list[str]:
        """Names that were noted, in order."""
        async with self._database.transaction(Owner()) as tx:
            return [row["name"] for row in await tx.fetch("SELECT name FROM demo.seen ORDER BY id")]

    async def stored(self) -> int:
        """Answers that are kept."""
        async with self._database.transaction(Owner()) as tx:
            count: int = await tx.fetchval("SELECT count(*) FROM demo.idempotency")
            return count


@pytest.fixture
def effects(database: Database) -> Effects:
    """What writes left behind."""
    return Effects(database)
