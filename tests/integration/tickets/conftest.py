"""A floor of two workspaces for tests of tickets."""

from collections.abc import AsyncIterator

import pytest

from shared.db.pool import Database
from tests.support.floor import Floor, open_floor
from tests.support.postgres import open_database


@pytest.fixture
async def floor(database: Database) -> AsyncIterator[Floor]:
    """Two workspaces."""
    async with open_floor(database) as floor:
        yield floor


@pytest.fixture
async def wide_floor(dsn: str) -> AsyncIterator[Floor]:
    """Two workspaces, and connections for fifty at once, wherever they work."""
    async with open_database(dsn, size=50) as database, open_floor(database) as floor:
        yield floor
