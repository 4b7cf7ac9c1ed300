"""From a signed webhook to the live stream, through all services of one process: how fast, and how many."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import msgspec

from tests.load import process, system
from tests.load.process import Child
from tests.load.report import Check, Part, Row
from tests.load.rider import Leg, Report, Ticket
from tests.load.stage import Stage
from tests.load.system import System

RATES: Final = (100, 1_000)
WINDOW: Final = 1_000
"""Messages on their way at once: the next one begins when one was pushed."""

MINUTE: Final = 60.0
PREPARED: Final = 60_000
LIBREDESK: Final = 180
"""Inbound, durable, 16 clients, on two cores; without rules, assignment and live push (LIMITS)."""


@dataclass(slots=True, kw_only=True)
class Road:
    """A running system and a rider on it."""

    system: System
    rider: Child

    async def ride(self, leg: Leg) -> tuple[Report, dict[str, float]]:
        """One leg, and what a message cost whom."""
        before = self.system.cpu_seconds()
        await self.rider.say(msgspec.to_builtins(leg))
        report = msgspec.convert(await self.rider.line(within=leg.warm_up + leg.seconds + 90), Report)
        after = self.system.cpu_seconds()
        each = 1e6 / (report.last - report.first)
        return report, {
            "baton µs/message": (after[0] - before[0]) * each,
            "postgres µs": (after[1] - before[1]) * each,
            "client µs": report.used * each,
        }


@asynccontextmanager
async def road(prepared: int, environment: Mapping[str, str] | None = None) -> AsyncIterator[Road]:
    """Everything up and set up."""
    async with system.running(environment) as running, process.child("tests.load.rider") as rider:
        path = await system.set_up(running)
        await rider.say(msgspec.to_builtins(Ticket(port=running.port, path=path, key=running.key, prepared=prepared)))
        await rider.line()
        yield Road(system=running, rider=rider)


async def run_latency(lab: Stage) -> Part:
    """Embedded: the event log on Postgres."""
    part = Part(name="latency", title="Webhook → live stream, embedded, everything on the same cores")
    return await latency(lab, part, target=25)


async def run_sustained(lab: Stage) -> Part:
    """Embedded: the event log on Postgres."""
    part = Part(name="sustained", title="The whole journey, sustained: webhook → routed → ticket assigned → pushed")
    return await sustained(lab, part, target=2_000)


async def latency(lab: Stage, part: Part, *, target: float, environment: Mapping[str, str] | None = None) -> Part:
    """Open loop: messages begin when they are due, whatever came back."""
    seconds = lab.seconds * 3
    p99 = 0.0
    async with road(round(sum(RATES) * (seconds + 3)), environment) as on:
        for rate in RATES:
            report, cores = await on.ride(Leg(rate=rate, warm_up=3.0, seconds=seconds))
            p99 = report.p99_ms
            part.rows.append(Row(name=f"{rate:,} messages/s", kind="ours", figures={**_figures(report), **cores}))
            _note_trouble(part, f"{rate}/s", report)
    part.checks.append(Check(what=f"p99 at {RATES[-1]:,}/s", value=p99, target=target, at_least=False, unit=" ms"))
    return part


async def sustained(lab: Stage, part: Part, *, target: float, environment: Mapping[str, str] | None = None) -> Part:
    """Closed loop over the whole journey for a minute; then every acknowledged message is looked for."""
    seconds = MINUTE * min(1.0, lab.seconds / 5)
    async with road(PREPARED, environment) as on:
        report, cores = await on.ride(Leg(window=WINDOW, warm_up=5.0, seconds=seconds))
        counts = await on.system.counts()
    rate = report.pushed / report.seconds
    acknowledged = report.last - report.first - len(report.refused)
    part.rows += [
        Row(name=f"{WINDOW:,} on their way", kind="ours", figures={"messages/s": rate, **_figures(report), **cores}),
        Row(name="LibreDesk 2.7, inbound only", kind="published", figures={"messages/s": LIBREDESK}),
    ]
    _note_trouble(part, "sustained", report)
    lost = {name: acknowledged - counts[name] for name in ("on exactly one ticket", "in the feed exactly once")}
    part.checks += [
        Check(what="messages per second", value=rate, target=target),
        Check(what="times LibreDesk", value=rate / LIBREDESK, target=None),
        *(
            Check(what=f"acknowledged and not {name}", value=count, target=0, at_least=False)
            for name, count in lost.items()
        ),
        Check(what="acknowledged and not pushed", value=report.missing, target=0, at_least=False),
        Check(what="pushed twice", value=report.doubled, target=0, at_least=False),
        Check(
            what="tickets without an owner",
            value=counts["tickets"] - counts["tickets with an owner"],
            target=0,
            at_least=False,
        ),
    ]
    part.notes.append(
        f"{acknowledged:,} acknowledged; " + ", ".join(f"{count:,} {name}" for name, count in counts.items())
    )
    return part


def _figures(report: Report) -> dict[str, float | str]:
    return {
        "p50 ms": report.p50_ms,
        "p99 ms": report.p99_ms,
        "max ms": report.max_ms,
        "answer p99 ms": report.answer_p99_ms,
    }


def _note_trouble(part: Part, name: str, report: Report) -> None:
    for what, count in (
        ("refused", len(report.refused)),
        ("missing on the stream", report.missing),
        ("pushed twice", report.doubled),
        ("times the stream was opened again", report.reconnects),
    ):
        if count:
            part.notes.append(f"{name}: {count:,} {what}")
    if report.late_ms > 5:
        part.notes.append(f"{name}: the client released messages up to {report.late_ms:.0f} ms late")
