"""`baton doctor`: what is wrong with the configuration or with live data, and what to do about it."""

import os
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, Final, Literal

from services import assembly
from services.cli.database import open_database
from shared import sealing
from shared.db import checks, migrate
from shared.db.checks import Check
from shared.db.pool import Database
from shared.db.scope import Batch, Scan
from shared.errors import BatonError
from shared.settings import KernelSettings, unknown_variables

Level = Literal["ok", "warning", "problem"]

STALE_SECONDS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The answer to one question. `fix` is empty where nothing needs to be done."""

    level: Level
    check: str
    detail: str
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


KERNEL: Final = (
    Check(
        name="log: events move on",
        sql=f"""
            SELECT q.shard, count(*) AS waiting FROM log.queue q JOIN log.event e ON e.id = q.event_id
            WHERE e.created_at < now() - interval '{STALE_SECONDS} seconds' GROUP BY q.shard
        """,
        meaning="events were appended minutes ago and are neither in the log nor on Kafka",
        fix="see that a process with this BATON_EVENT_LOG runs, and that it reaches Kafka where that is one",
        across=True,
    ),
    Check(
        name="log: groups keep up",
        sql=f"""
            SELECT c.consumer_group || ' on shard ' || c.shard FROM log.cursor c
            JOIN log.position p ON p.shard = c.shard AND p.position = c.position
            WHERE p.created_at < now() - interval '{STALE_SECONDS} seconds'
        """,
        meaning="a consumer has not taken an event that is minutes old",
        fix="see that its service runs, and what its log says",
        across=True,
    ),
)


async def examine(settings: KernelSettings) -> list[Finding]:
    """Every question, in order; a broken configuration is reported instead of raised."""
    findings = _configuration(settings)
    try:
        async with open_database(settings) as (database, dsn):
            findings += await _live(database, dsn)
    except BatonError as error:
        findings.append(
            Finding(
                level="problem",
                check="database",
                detail=str(error),
                fix="start Baton once with this data directory, or set BATON_DATABASE_URL",
            )
        )
    return findings


def _configuration(settings: KernelSettings) -> list[Finding]:
    findings = [
        Finding(
            level="warning",
            check="settings",
            detail=f"nothing reads {name}",
            fix=f"did you mean {meant}?" if meant else "remove it",
        )
        for name, meant in unknown_variables(assembly.settings_classes(), os.environ).items()
    ]
    if settings.allow_private_egress:
        findings.append(
            Finding(
                level="warning",
                check="egress",
                detail="webhooks and replies may reach private addresses",
                fix="unset BATON_ALLOW_PRIVATE_EGRESS in production",
            )
        )
    try:
        sealing.from_settings(settings)
        findings.append(Finding(level="ok", check="sealing keys", detail="readable"))
    except (BatonError, OSError) as error:
        findings.append(
            Finding(
                level="problem",
                check="sealing keys",
                detail=str(error),
                fix="restore the keys from your backup: without them channels' credentials are lost",
            )
        )
    return findings


async def _live(database: Database, dsn: str) -> list[Finding]:
    async with database.pool.acquire(timeout=10) as connection:
        behind = await migrate.pending(connection, assembly.schemas())
    if behind:
        names = ", ".join(schema.name for schema in behind)
        return [Finding(level="problem", check="migrations", detail=f"behind: {names}", fix="run `baton migrate`")]
    findings = [Finding(level="ok", check="migrations", detail="at their heads")]
    differences = await migrate.check(dsn, assembly.schemas())
    findings += [
        Finding(
            level="problem", check="tables", detail=f"{name} differs: {found}", fix="restore what was changed by hand"
        )
        for name, found in differences.items()
    ]
    async with database.transaction(Scan()) as tx:
        workspaces = frozenset(
            row["workspace_id"] for row in await tx.fetch("SELECT workspace_id FROM platform.workspace")
        )
    for check in (*KERNEL, *_service_checks()):
        broken = await checks.look(database, check, workspaces)
        if broken is None:
            findings.append(Finding(level="ok", check=check.name, detail="holds"))
            continue
        shown = ", ".join(broken.examples)
        findings.append(
            Finding(
                level="problem", check=check.name, detail=f"{broken.count}: {check.meaning} ({shown})", fix=check.fix
            )
        )
    findings += await _waiting(database, workspaces)
    return findings


def _service_checks() -> list[Check]:
    found: list[Check] = []
    for name in assembly.SERVICES:
        found += import_module(f"services.{name}.store.checks").CHECKS
    return found


async def _waiting(database: Database, workspaces: frozenset[str]) -> list[Finding]:
    findings = []
    for name in assembly.SERVICES:
        async with database.transaction(Batch(workspaces)) as tx:
            dead = await tx.fetchval(f"SELECT count(*) FROM {name}.dead_letter")
            parked = await tx.fetchval(f"SELECT count(*) FROM {name}.parked")
        if dead:
            findings.append(
                Finding(
                    level="problem",
                    check=f"{name}: dead letters",
                    detail=f"{dead} events were given up",
                    fix="`baton dlq list`, then replay or drop each",
                )
            )
        if parked:
            findings.append(
                Finding(
                    level="warning",
                    check=f"{name}: parked keys",
                    detail=f"{parked} keys wait behind an event that fails",
                    fix="`baton dlq parked` says why; they are tried again by themselves",
                )
            )
    return findings
