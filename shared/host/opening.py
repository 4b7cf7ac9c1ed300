"""Opening what services stand on, in order: Postgres, migrations, pool, log, the way out; closed in reverse."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, cast

import structlog

from shared import sealing
from shared.clock import Clock, SystemClock
from shared.db import migrate as migrations
from shared.db.embedded import EmbeddedPostgres
from shared.db.migrate import Schema
from shared.db.pool import Database
from shared.db.scope import Owner
from shared.egress import AddressPolicy, Egress
from shared.errors import Retryable
from shared.events.catalogue import PRESENCE, TOPICS
from shared.host.runtime import Runtime
from shared.ids import Ids, TimeOrderedIds
from shared.log.background import running
from shared.log.port import Log
from shared.log.postgres import Pace, PostgresLog
from shared.retry import pause, retrying
from shared.sealing import KeyRing
from shared.settings import KernelSettings
from shared.telemetry.export import exporting
from shared.telemetry.metrics import Metrics

PRESENCE_RETENTION: Final = 1 / 24
"""Days: who was looking an hour ago is of no interest."""

MILLISECOND: Final = timedelta(milliseconds=1)
DATABASE_PATIENCE: Final = timedelta(seconds=60)
"""How long a start waits for a database that is away: both are often started at once."""


@asynccontextmanager
async def open_runtime(
    settings: KernelSettings,
    *,
    schemas: Sequence[Schema],
    migrate: bool = True,
    service: str = "platform",
    stop: asyncio.Event | None = None,
    clock: Clock | None = None,
    ids: Ids | None = None,
) -> AsyncIterator[Runtime]:
    """The runtime of a process. Without `migrate`, it waits until somebody else has migrated the database.

    Raises Retryable when the database stays away, or when `stop` is set while it waits.
    """
    stop = stop or asyncio.Event()
    keyring = sealing.from_settings(settings)
    clock, ids = clock or SystemClock(), ids or TimeOrderedIds()
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(_postgres(settings))
        if migrate:
            await _migrate(dsn, settings, schemas, stop)
        database = await stack.enter_async_context(_database(dsn, clock, ids, settings.pool_size, stop))
        await _until_migrated(database, schemas, stop)
        await database.load_topology()
        metrics = Metrics()
        spans = await stack.enter_async_context(exporting())
        yield Runtime(
            service=service,
            settings=settings,
            database=database,
            log=await stack.enter_async_context(_log(settings, database, metrics)),
            egress=await stack.enter_async_context(Egress(_policy(settings), spans=spans)),
            keyring=keyring,
            metrics=metrics,
            clock=clock,
            ids=ids,
            spans=spans,
        )


async def migrate_database(settings: KernelSettings, schemas: Sequence[Schema]) -> list[str]:
    """Brings every schema to its head and creates missing topics; returns the schemas that changed."""
    async with _postgres(settings) as dsn:
        return await _migrate(dsn, settings, schemas, asyncio.Event())


def inert_runtime(service: str) -> Runtime:
    """A runtime that reaches nothing, for documents about services; whatever asks it for data fails."""
    clock, ids, settings = SystemClock(), TimeOrderedIds(), KernelSettings.load()
    database = Database(pool=cast("Any", None), lookouts=cast("Any", None), clock=clock, ids=ids)
    return Runtime(
        service=service,
        settings=settings,
        database=database,
        log=PostgresLog(database, pace=Pace()),
        egress=Egress(_policy(settings)),
        keyring=KeyRing([bytes(32)]),
        metrics=Metrics(),
        clock=clock,
        ids=ids,
    )


async def pending(database: Database, schemas: Sequence[Schema]) -> list[str]:
    """The names of schemas that are behind this program; Retryable while the database is away."""
    async with database.connection() as connection:
        return [schema.name for schema in await migrations.pending(cast("Any", connection), schemas)]


def _policy(settings: KernelSettings) -> AddressPolicy:
    return AddressPolicy(allow_private=settings.allow_private_egress)


@asynccontextmanager
async def _postgres(settings: KernelSettings) -> AsyncIterator[str]:
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    async with (
        EmbeddedPostgres.start(settings.data_dir, pg_bin=settings.pg_bin, pg_user=settings.pg_user) as server,
        running(server.keep_running),
    ):
        yield server.dsn


async def _migrate(dsn: str, settings: KernelSettings, schemas: Sequence[Schema], stop: asyncio.Event) -> list[str]:
    topics = dict.fromkeys(TOPICS, settings.log_partitions)
    changed = await retrying(
        lambda: migrations.migrate(dsn, schemas, topics=topics), within=DATABASE_PATIENCE, stop=stop
    )
    if settings.kafka_servers:
        system = await migrations.system(dsn)
        changed += await retrying(lambda: _migrate_kafka(settings, system), within=DATABASE_PATIENCE, stop=stop)
    return changed


async def _migrate_kafka(settings: KernelSettings, system: str) -> list[str]:
    from shared.log.kafka import Topic, ensure_topics, from_settings

    days = {topic: PRESENCE_RETENTION if topic == PRESENCE else settings.log_retention_days for topic in TOPICS}
    topics = {
        name: Topic(partitions=settings.log_partitions, retention_ms=round(timedelta(days=kept) / MILLISECOND))
        for name, kept in days.items()
    }
    cluster = replace(from_settings(settings), system=system)
    return await ensure_topics(cluster, topics, copies=settings.kafka_replication)


@asynccontextmanager
async def _database(dsn: str, clock: Clock, ids: Ids, size: int, stop: asyncio.Event) -> AsyncIterator[Database]:
    async with AsyncExitStack() as stack:

        async def connect() -> Database:
            return await stack.enter_async_context(Database.open(dsn, clock=clock, ids=ids, size=size))

        yield await retrying(connect, within=DATABASE_PATIENCE, stop=stop)


async def _until_migrated(database: Database, schemas: Sequence[Schema], stop: asyncio.Event) -> None:
    reported: list[str] = []
    while behind := await pending(database, schemas):
        if behind != reported:
            structlog.get_logger().info("waiting_for_migrations", schemas=behind, hint="run `baton migrate`")
            reported = behind
        if not await pause(timedelta(seconds=1), stop):
            raise Retryable(f"stopped while waiting for migrations of {', '.join(behind)}")


@asynccontextmanager
async def _log(settings: KernelSettings, database: Database, metrics: Metrics) -> AsyncIterator[Log]:
    if settings.kafka_servers:
        # Imported where it is used: a process on Postgres need not pay for it.
        from shared.log.kafka import KafkaLog, from_settings
        from shared.log.relay import RelayPace

        relay = RelayPace.of(timedelta(milliseconds=settings.relay_lease_ms))
        async with KafkaLog.open(database, from_settings(settings), metrics=metrics, relay=relay) as log:
            yield log
        return
    retention = timedelta(days=settings.log_retention_days)
    pace = Pace.of(timedelta(milliseconds=settings.log_lease_ms))
    async with PostgresLog.open(database, pace=pace, retention=retention) as log:
        yield log


async def answers(database: Database) -> None:
    """Retryable while the database is away."""
    async with database.transaction(Owner()) as tx:
        await tx.fetchval("SELECT 1")
