"""Migrations, programmatic: one history per schema, forward only, all of them under one lock."""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import sqlalchemy as sa

from shared.db.roles import CREATE_ROLES, open_schema
from shared.errors import Misconfigured, Retryable

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

LOCK: Final = 0x0BA704
"""Advisory lock of migrations; session-level, and released when a killed migration's connection ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """One schema, what its tables should be, and where its history lies."""

    name: str
    metadata: sa.MetaData
    folder: Path

    @property
    def head(self) -> str:
        """The newest revision: revisions are the numbers that file names begin with."""
        return max((path.name.split("_")[0] for path in self.folder.glob("[0-9]*_*.py")), default="")


async def migrate(dsn: str, schemas: Sequence[Schema], *, topics: Mapping[str, int]) -> list[str]:
    """Brings every schema to its head and creates missing topics; returns the names of schemas that changed.

    `topics` gives the number of shards of each topic; existing topics only ever grow.
    """
    connection = await _connect(dsn)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        await _check_server(connection)
        behind = await pending(connection, schemas)
        if behind:
            # Alembic takes a second to import: only a database that is behind pays for it.
            await connection.execute(CREATE_ROLES)
            for schema in behind:
                await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema.name}")
                await connection.execute(open_schema(schema.name))
            await _run_sync(dsn, lambda sync: _upgrade_all(sync, behind))
        await ensure_topics(connection, topics)
        return [schema.name for schema in behind]
    finally:
        await connection.close(timeout=5)


async def pending(connection: "asyncpg.Connection[asyncpg.Record]", schemas: Iterable[Schema]) -> list[Schema]:
    """The schemas that are not at their head; Misconfigured when the database is ahead of this code."""
    behind = []
    for schema in schemas:
        current = None
        if await connection.fetchval("SELECT to_regclass($1)", f"{schema.name}.alembic_version"):
            current = await connection.fetchval(f"SELECT version_num FROM {schema.name}.alembic_version")
        if current is not None and current > schema.head:
            raise Misconfigured(
                f"schema {schema.name} is at revision {current}, newer than this program's {schema.head}: "
                "run the newer program"
            )
        if current != schema.head:
            behind.append(schema)
    return behind


async def ensure_topics(connection: "asyncpg.Connection[asyncpg.Record]", topics: Mapping[str, int]) -> None:
    """Creates the shards of topics that lack them."""
    await connection.execute(
        "INSERT INTO log.shard (topic, partition) "
        "SELECT t, p FROM unnest($1::text[], $2::int[]) AS w(t, n), generate_series(0, n - 1) AS p "
        "ON CONFLICT DO NOTHING",
        list(topics),
        list(topics.values()),
    )


async def system(dsn: str) -> str:
    """Which system a database is; it has been migrated."""
    connection = await _connect(dsn)
    try:
        return str(await connection.fetchval("SELECT id FROM log.system"))
    finally:
        await connection.close(timeout=5)


async def _connect(dsn: str) -> "asyncpg.Connection[asyncpg.Record]":
    try:
        return await asyncpg.connect(dsn, timeout=10, command_timeout=300)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise Retryable(f"the database is away: {error}") from error


async def _check_server(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    ctype, encoding = await connection.fetchrow(
        "SELECT datctype, pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()"
    )
    if encoding != "UTF8" or ctype in {"C", "POSIX"}:
        raise Misconfigured(
            f"the database has encoding {encoding} and ctype {ctype}: search in most languages would silently find "
            "nothing. Create it with: CREATE DATABASE baton ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0"
        )


async def _run_sync(dsn: str, work: Any) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    engine = create_async_engine(
        "postgresql+asyncpg://", poolclass=NullPool, async_creator=lambda: asyncpg.connect(dsn, timeout=10)
    )
    try:
        async with asyncio.timeout(600), engine.begin() as connection:
            await connection.run_sync(work)
    finally:
        await engine.dispose()


def _script(schema: Schema) -> "ScriptDirectory":
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(schema.folder), version_locations=[str(schema.folder)])


def _options(schema: Schema) -> dict[str, Any]:
    def include(name: str | None, kind: str, _: Any) -> bool:
        return kind != "schema" or name == schema.name

    return {
        "target_metadata": schema.metadata,
        "version_table_schema": schema.name,
        "include_schemas": True,
        "include_name": include,
        "compare_type": True,
        "compare_server_default": False,
    }


def _upgrade_all(connection: sa.Connection, schemas: Iterable[Schema]) -> None:
    for schema in schemas:
        _upgrade(connection, schema)


def _upgrade(connection: sa.Connection, schema: Schema) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext

    script = _script(schema)

    def revisions(current: Any, _: Any) -> Any:
        return script._upgrade_revs("head", current)  # noqa: SLF001 - alembic's own command does exactly this

    with EnvironmentContext(Config(), script, fn=revisions) as environment:
        environment.configure(connection=connection, **_options(schema))
        connection.execute(sa.text("SET LOCAL lock_timeout = '5s'"))
        environment.run_migrations()


def differences(connection: sa.Connection, schema: Schema) -> list[Any]:
    """What the database has that the tables do not say, and the other way round; empty when they agree."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    context = MigrationContext.configure(connection, opts=_options(schema))
    return [entry for entry in compare_metadata(context, schema.metadata) if "alembic_version" not in str(entry)]


async def check(dsn: str, schemas: Iterable[Schema]) -> dict[str, list[Any]]:
    """The differences of every schema that has some."""
    found: dict[str, list[Any]] = {}
    await _run_sync(dsn, lambda sync: found.update({schema.name: differences(sync, schema) for schema in schemas}))
    return {name: entries for name, entries in found.items() if entries}


async def draft_revision(dsn: str, schema: Schema, message: str) -> str:
    """The text of the next migration: what separates the database from the tables, and their row security."""
    text: list[str] = []
    await _run_sync(dsn, lambda sync: text.append(_draft(sync, schema, message)))
    return text[0]


def _draft(connection: sa.Connection, schema: Schema, message: str) -> str:
    from alembic.autogenerate import produce_migrations, render_python_code
    from alembic.migration import MigrationContext
    from alembic.operations import ops

    context = MigrationContext.configure(connection, opts=_options(schema))
    upgrade = produce_migrations(context, schema.metadata).upgrade_ops
    assert upgrade is not None  # noqa: S101 - alembic always fills it for one database
    code = render_python_code(upgrade)
    code = re.sub(r"^ *# ### .*\n?", "", code, flags=re.MULTILINE).rstrip()
    code = re.sub(r",\n *info=\{[^}]*\}", "", code)
    code = code.replace("(Text())", "(sa.Text())").replace("=Text())", "=sa.Text())")
    created = [entry.table_name for entry in upgrade.ops if isinstance(entry, ops.CreateTableOp)]
    tables = {table.name: table for table in schema.metadata.tables.values()}
    secured: dict[str, list[str]] = {}
    for name in sorted(created):
        table = tables[name]
        if "workspace_id" in table.c:
            secured.setdefault(str(table.info.get("scan", "")), []).append(name)
    for scan, names in sorted(secured.items()):
        code += f"\n    op.execute(secure({schema.name!r}, {names!r}, scan={scan!r}))"
    if not schema.head:
        for name in sorted(sequence.name for sequence in schema.metadata._sequences.values()):  # noqa: SLF001
            code += f'\n    op.execute("CREATE SEQUENCE {schema.name}.{name}")'
            code += f'\n    op.execute("GRANT USAGE ON SEQUENCE {schema.name}.{name} TO baton_workspace, baton_batch")'
    number = f"{int(schema.head or 0) + 1:04}"
    down = repr(schema.head) if schema.head else "None"
    return (
        f'"""{message}."""\n\nimport sqlalchemy as sa\nfrom alembic import op\n'
        "from sqlalchemy.dialects import postgresql\n\nfrom shared.db.roles import secure\n\n"
        f'revision = "{number}"\ndown_revision = {down}\n\n\n'
        f'def upgrade() -> None:\n    """Forward only."""\n{code}\n'
    )
