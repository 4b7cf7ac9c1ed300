"""A log that runs, on a database of its own."""

from collections.abc import AsyncIterator

import pytest

from shared.db.pool import Database
from shared.log.postgres import PostgresLog
from tests.support.consuming import QUICK, Diary


@pytest.fixture
async def log(database: Database) -> AsyncIterator[PostgresLog]:
    async with PostgresLog.open(database, pace=QUICK) as log:
        yield log


@pytest.fixture
def diary() -> Diary:
    return Diary()
