"""How commands that need no running system reach its database."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.cli.options import ACCESS_FILE
from shared.clock import SystemClock
from shared.db.embedded import EmbeddedPostgres
from shared.db.pool import Database
from shared.errors import Retryable
from shared.ids import TimeOrderedIds
from shared.settings import KernelSettings


@asynccontextmanager
async def open_database(settings: KernelSettings) -> AsyncIterator[tuple[Database, str]]:
    """The database and its DSN: the one in use here, or the one of the data directory, started for the occasion."""
    async with _dsn(settings) as dsn, Database.open(dsn, clock=SystemClock(), ids=TimeOrderedIds(), size=2) as database:
        yield database, dsn


@asynccontextmanager
async def _dsn(settings: KernelSettings) -> AsyncIterator[str]:
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    running = _running_dsn(settings)
    if running is not None:
        try:
            async with Database.open(running, clock=SystemClock(), ids=TimeOrderedIds(), size=2):
                pass
        except Retryable:
            running = None
    if running is not None:
        yield running
        return
    if not (settings.data_dir / "postgres").exists():
        raise Retryable(f"there is no database in {settings.data_dir}")
    async with EmbeddedPostgres.start(settings.data_dir, pg_bin=settings.pg_bin, pg_user=settings.pg_user) as server:
        yield server.dsn


def _running_dsn(settings: KernelSettings) -> str | None:
    try:
        found: str | None = json.loads((settings.data_dir / ACCESS_FILE).read_text()).get("database_url")
    except (OSError, ValueError):
        return None
    return found
