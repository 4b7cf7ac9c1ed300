"""What a release before has written is still there, and as it should be, after the migrations."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from services import assembly
from shared.db import migrate
from shared.db.migrate import Schema
from shared.events.catalogue import TOPICS
from tests.support.postgres import blocking, drop_database, execute, in_database

NAME = "baton_backfill"


@pytest.fixture
def empty(server_dsn: str, worker_id: str) -> Iterator[str]:
    """A database without anything."""
    name = f"{NAME}_{worker_id}"
    blocking(execute(server_dsn, f"CREATE DATABASE {name}"))
    yield in_database(server_dsn, name)
    blocking(drop_database(server_dsn, name))


async def migrated(dsn: str, schemas: Sequence[Schema]) -> None:
    await migrate.migrate(dsn, schemas, topics=dict.fromkeys(TOPICS, 1))


async def before(dsn: str, name: str, revision: str, folder: Path, *wrote: str) -> None:
    """All schemas as they are, but this one as it was at this revision, when somebody wrote."""

    def as_it_was(schema: Schema) -> Schema:
        if schema.name != name:
            return schema
        for path in schema.folder.glob("[0-9]*_*.py"):
            if path.name.split("_")[0] <= revision:
                shutil.copy(path, folder)
        return replace(schema, folder=folder)

    await migrated(dsn, [as_it_was(schema) for schema in assembly.schemas()])
    await execute(dsn, "; ".join(wrote))


async def rows(dsn: str, sql: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def test_what_waits_in_the_inbox_keeps_its_order(empty: str, tmp_path: Path) -> None:
    entry = "INSERT INTO ingest.pending (shard, inbox_id, workspace_id, channel_id, size) VALUES"
    await before(empty, "ingest", "0004", tmp_path, *(f"{entry} (0, 'inb_{n}', 'w1', 'chn_1', 1)" for n in (2, 3, 1)))
    await migrated(empty, assembly.schemas())
    # So writes a process of the release before, beside the new one.
    await execute(empty, f"{entry} (0, 'inb_0', 'w1', 'chn_1', 1)")
    assert await rows(empty, "SELECT inbox_id, number FROM ingest.pending ORDER BY number") == [
        ("inb_1", 1),
        ("inb_2", 2),
        ("inb_3", 3),
        ("inb_0", 4),
    ]


async def test_rules_know_the_endpoints_that_there_were(empty: str, tmp_path: Path) -> None:
    entry = "INSERT INTO notifier.endpoint (id, workspace_id, kind, url, event_types, secret) VALUES"
    await before(
        empty,
        "notifier",
        "0005",
        tmp_path,
        f"{entry} ('end_1', 'w1', 'webhook', 'https://example.com', '{{}}', '')",
        f"{entry} ('end_2', 'w1', 'hook', 'https://example.com', '{{}}', '')",
    )
    await migrated(empty, assembly.schemas())
    assert await rows(empty, "SELECT workspace_id, id FROM platform.endpoint") == [("w1", "end_1")]
