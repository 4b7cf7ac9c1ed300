"""Ingest, open on a fresh database."""

from collections.abc import AsyncIterator

import pytest

from shared.db.pool import Database
from tests.support.ingest import Door, open_door


@pytest.fixture
async def door(database: Database) -> AsyncIterator[Door]:
    """The webhook path with its intake, and the API."""
    async with open_door(database) as opened:
        yield opened
