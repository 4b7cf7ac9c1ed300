"""Routing one message by its rules: the index against a loop over the rules and two rule engines, and how all grow."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from services.router.domain import compile as index
from services.router.domain import rules, text
from tests.load import engines, process
from tests.load.report import Check, Kind, Part, Row, percentile
from tests.load.rulebook import DENSE, SEED, SPARSE, Incoming, World
from tests.load.stage import Stage

SIZES: Final = (10, 100, 1_000, 10_000)
MESSAGES: Final = 2_000
LOOKED_AT: Final = 2_000_000
"""Rules that the loop may look at for all its messages together: milliseconds a message at 10,000 rules."""

LOOKED_AT_BY_ENGINES: Final = 40_000
"""The same for the engines, which need ten times as long."""


async def run(lab: Stage) -> Part:
    """On one core; what a message costs includes its normalization."""
    part = Part(name="rules", title="Routing one message by its rules, one core")
    seconds = lab.seconds / len(SIZES)
    process.pin(process.SERVER_CORE)
    try:
        found = {size: _measure(part, size, told=SPARSE, seconds=seconds) for size in SIZES}
        dense = _measure(part, SIZES[-1], told=DENSE, seconds=seconds)
    finally:
        process.unpin()
    many = found[10_000]
    part.checks += [
        Check(what="p50 with 10,000 rules", value=many.ours.p50, target=25, at_least=False, unit=" µs"),
        Check(what="p99 with 10,000 rules", value=many.ours.p99, target=60, at_least=False, unit=" µs"),
        Check(what="cost(10,000) / cost(100)", value=many.ours.mean / found[100].ours.mean, target=2, at_least=False),
        Check(what="index of 10,000 rules", value=max(many.built, dense.built), target=0.5, at_least=False, unit=" s"),
        Check(what="times the loop over 10,000 rules", value=many.loop.mean / many.ours.mean, target=200),
        Check(what="times the faster engine at 1,000 rules", value=found[1_000].faster_engine, target=None),
        Check(what="times the faster engine at 10,000 rules", value=many.faster_engine, target=None),
        Check(
            what="mismatches",
            value=dense.mismatches + sum(one.mismatches for one in found.values()),
            target=0,
            at_least=False,
        ),
        Check(what="p50 where dozens of rules match", value=dense.ours.p50, target=None, unit=" µs"),
    ]
    part.notes.append("all stop at the first rule that holds; all times are of the thread's own clock")
    part.notes.append("for the engines a keyword is any part of the text: words would cost them more")
    return part


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds a message."""

    p50: float
    p99: float
    mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one size of ruleset costs."""

    ours: Cost
    loop: Cost
    engines: tuple[Cost, ...]
    built: float
    mismatches: int

    @property
    def faster_engine(self) -> float:
        """How many times our cost the faster engine's is."""
        return min(cost.mean for cost in self.engines) / self.ours.mean


def _measure(part: Part, size: int, *, told: float, seconds: float) -> Found:
    world = World(SEED, told=told)
    document = world.document(size)
    messages = world.messages(MESSAGES)
    parsed = rules.parse(document)
    started = time.thread_time()
    ruleset = index.compile_rules(parsed)
    built = time.thread_time() - started
    loop = engines.Loop(document["rules"])
    few = messages[: min(MESSAGES // 4, LOOKED_AT // size)]
    decided = [ruleset.decide(message.facts()).rule for message in messages]
    ours = _time(lambda message: ruleset.decide(message.facts()), messages, seconds=seconds)
    usual = _time(lambda message: loop.decide(message.facts()), few, seconds=seconds / 2)
    facts = {
        "normalizing µs": _time(lambda message: text.normalize(message.body), messages, seconds=0.05).p50,
        "a rule matches": sum(rule != index.FALLBACK for rule in decided) / len(decided),
        "build s": built,
    }
    which = f"{size:,} rules" + (", dense" if told == DENSE else "")
    part.rows += [_row("loop", "alternative", which, usual), _row("index", "ours", which, ours, facts)]
    others = {}
    if told == SPARSE:
        fewer = messages[: min(MESSAGES // 4, LOOKED_AT_BY_ENGINES // size)]
        for name, make in (("rule-engine", engines.by_rule_engine), ("zen-engine", engines.by_zen)):
            engine = make(document["rules"])
            others[name] = _time(lambda message, engine=engine: engine.decide(message.facts()), fewer, seconds=0)
            part.rows.append(_row(name, "alternative", which, others[name]))
    mismatches = sum(loop.decide(message.facts()) != rule for message, rule in zip(few, decided, strict=False))
    return Found(ours=ours, loop=usual, engines=tuple(others.values()), built=built, mismatches=mismatches)


def _row(name: str, kind: Kind, which: str, cost: Cost, more: Mapping[str, float] = MappingProxyType({})) -> Row:
    figures = {"p50 µs": cost.p50, "p99 µs": cost.p99, "mean µs": cost.mean, **more}
    return Row(name=f"{name}, {which}", kind=kind, figures=figures)


def _time(work: Callable[[Incoming], Any], messages: Sequence[Incoming], *, seconds: float) -> Cost:
    # By the thread's own clock: nothing here waits, and neighbours' work is not ours.
    taken: list[float] = []
    clock = time.thread_time_ns
    until = time.perf_counter() + seconds
    while not taken or time.perf_counter() < until:
        for message in messages:
            started = clock()
            work(message)
            taken.append((clock() - started) / 1000)
    taken.sort()
    return Cost(percentile(taken, 0.50), percentile(taken, 0.99), statistics.fmean(taken))
