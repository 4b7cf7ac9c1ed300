"""Trying a ruleset: a backtest over stored messages, and what counting and a candidate cost live routing."""

import dataclasses
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final

from services.router.domain import compile as index
from services.router.domain.rules import parse
from services.router.handlers import deciding, shadows
from services.router.handlers.backtests import Backtests, Report
from services.router.store import decisions
from services.router.store.decisions import Decided
from shared import ids
from shared.db.pool import Database
from shared.db.scope import Batch, Owner, Workspace
from shared.events.envelope import Event
from shared.host import Runtime, inert_runtime
from shared.platform.store import workspaces
from tests.load.report import Check, Part, Row, median
from tests.load.rules import SEED, SPARSE, Incoming, World
from tests.load.stage import Stage
from tests.support.messages import message, received
from tests.support.postgres import beside

WORKSPACE: Final = "wsp_1"
RULES: Final = 1_000
SIZES: Final = (10_000, 100_000)
"""Stored messages."""

DAYS: Final = 7
CHUNK: Final = 1_000
BATCH: Final = 250
ROUTED: Final = 5_000
CHANGED: Final = 10
"""Of so many rules, the candidate sends one elsewhere."""


async def run(lab: Stage) -> Part:
    """The candidate against what was decided then, over HTTP's own source of lines."""
    part = Part(name="backtest", title=f"Trying a ruleset of {RULES:,} rules on stored messages")
    world = World(SEED, told=SPARSE)
    document = world.document(RULES)
    took = {}
    async with lab.database(size=4) as (_, database):
        version = await _rulesets(database, document)
        messages = world.messages(max(SIZES))
        stored = 0
        for size in SIZES:
            await _store(database, document, messages[stored:size], first=stored)
            stored = size
            took[size] = await _backtest(part, database, version, size)
    costs = []
    for name, is_shadowed in (("routing", False), ("routing beside a candidate", True)):
        async with lab.database(size=4) as (_, database):
            version = await _rulesets(database, document)
            if is_shadowed:
                async with _work(database) as tx:
                    await shadows.start(tx, WORKSPACE, version, author="bench")
            costs.append(await _route(part, name, database, messages[:ROUTED]))
    part.checks += [
        Check(what=f"{max(SIZES):,} messages", value=took[max(SIZES)], target=60, at_least=False, unit=" s"),
        Check(what="routing beside a candidate / alone, CPU", value=costs[1] / costs[0], target=None),
    ]
    return part


@asynccontextmanager
async def _work(database: Database) -> AsyncIterator[Any]:
    async with database.transaction(Workspace(WORKSPACE), schema="router") as tx:
        yield tx


async def _rulesets(database: Database, document: dict[str, Any]) -> int:
    """The document in force, and a candidate that sends a part elsewhere."""
    async with _work(database) as tx:
        await workspaces.create(tx, WORKSPACE, name=WORKSPACE)
    async with _work(database) as tx:
        first, _ = await deciding.create(tx, WORKSPACE, document=document, note=None, author="bench")
        await deciding.activate(tx, WORKSPACE, first.version, author="bench")
        rules = [
            rule if number % CHANGED else rule | {"then": {"team": "care", "priority": "high"}}
            for number, rule in enumerate(document["rules"])
        ]
        candidate, _ = await deciding.create(
            tx, WORKSPACE, document=document | {"rules": rules}, note=None, author="bench"
        )
    return candidate.version


async def _store(database: Database, document: dict[str, Any], messages: Sequence[Incoming], *, first: int) -> None:
    """As the router would have, over the last days."""
    ruleset = index.compile_rules(parse(document))
    for start in range(0, len(messages), CHUNK):
        chunk = messages[start : start + CHUNK]
        made = [_decided(ruleset, one, first + start + number) for number, one in enumerate(chunk)]
        async with database.transaction(Batch(frozenset({WORKSPACE})), schema="router") as tx:
            decisions.keep(tx, made)
    async with beside(database) as connection:
        await connection.execute(
            f"UPDATE router.decision SET created_at = now() - random() * interval '{DAYS - 1} days'", timeout=300
        )
        await connection.execute("VACUUM ANALYZE router.decision", timeout=300)


def _decided(ruleset: index.Ruleset, one: Incoming, number: int) -> Decided:
    facts = one.facts()
    verdict = ruleset.decide(facts)
    event_id = ids.digest("evt", str(number))
    return Decided(
        id=ids.digest("dec", event_id),
        workspace_id=WORKSPACE,
        event_id=event_id,
        message_id=ids.digest("msg", str(number)),
        ruleset_version=2,
        rule=verdict.rule,
        outcome="route",
        action=verdict.action,
        matched=verdict.matched,
        facts=facts,
    )


async def _backtest(part: Part, database: Database, version: int, size: int) -> float:
    home = Backtests(_runtime(database))
    async with _work(database) as tx:
        backtest = await home.prepare(tx, WORKSPACE, version, days=DAYS, against=None)
    started, used = time.perf_counter(), time.process_time()
    async with aclosing(backtest.steps()) as steps:
        [report] = [step async for step in steps if isinstance(step, Report)]
    took = time.perf_counter() - started
    assert report.found["messages"] == size
    figures = {
        "messages/s": size / took,
        "s": took,
        "our CPU µs/message": (time.process_time() - used) / size * 1e6,
        "different": report.found["different"],
    }
    part.rows.append(Row(name=f"backtest, {size:,} messages", kind="ours", figures=figures))
    return took


async def _route(part: Part, name: str, database: Database, messages: Sequence[Incoming]) -> float:
    runtime = _runtime(database)
    router = deciding.Router(shadows.Shadows(1, runtime.metrics))
    events = [_event(one, number) for number, one in enumerate(messages)]
    taken, used = [], []
    for start in range(0, len(events), BATCH):
        started, before = time.perf_counter(), time.process_time()
        async with database.transaction(Batch(frozenset({WORKSPACE})), schema="router") as tx:
            await router.on_messages(tx, events[start : start + BATCH])
        taken.append((time.perf_counter() - started) / BATCH)
        used.append((time.process_time() - before) / BATCH * 1e6)
    # The median of batches: the first one compiles, and neighbours' work is not ours.
    took, cpu = median(taken), median(used)
    async with database.transaction(Owner()) as tx:
        counted = await tx.fetchval("SELECT sum(decided) FROM router.rule_count")
    assert counted == len(events)
    figures = {"messages/s": 1 / took, "our CPU µs/message": cpu}
    part.rows.append(Row(name=f"{name}, batches of {BATCH}", kind="ours", figures=figures))
    return cpu


def _event(one: Incoming, number: int) -> Event:
    return received(
        message(
            f"m{number}",
            workspace=WORKSPACE,
            channel=one.channel,
            network=one.network,
            kind=one.kind,
            text=one.body,
            author=one.author_id,
        )
    )


def _runtime(database: Database) -> Runtime:
    return dataclasses.replace(inert_runtime("router"), database=database)
