"""`make bench`: every part measured against the bare limit and the usual way, side by side, in one run."""

import argparse
import asyncio
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import uvloop
from rich.console import Console

from tests.load import apply, backtest, deliveries, intake, journey, kafka, lease, listing, rules
from tests.load.report import Part, show
from tests.load.stage import Missing, Stage

Measure = Callable[[Stage], Awaitable[Part]]

PARTS: Final[Mapping[str, tuple[Measure, float]]] = {
    "intake": (intake.run_decoded, 90),
    "durable": (intake.run_durable, 120),
    "lease": (lease.run, 60),
    "rules": (rules.run, 150),
    "backtest": (backtest.run, 180),
    "apply": (apply.run, 60),
    "listing": (listing.run, 300),
    "deliveries": (deliveries.run, 150),
    "latency": (journey.run_latency, 120),
    "sustained": (journey.run_sustained, 180),
    "log-kafka": (kafka.run_log, 120),
    "latency-kafka": (kafka.run_latency, 150),
    "sustained-kafka": (kafka.run_sustained, 210),
}
"""What there is to measure, and how many seconds it may take at most at the default length."""

SECONDS: Final = 5.0
LOOPS: Final = 5_000_000


async def measure(names: Sequence[str], stage: Stage, *, done: Callable[[Part], None]) -> list[Part]:
    """All of these, one after the other; one that fails does not take the others with it."""
    task = asyncio.current_task()
    assert task is not None
    # Whatever was started is ended on the way out.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    found = []
    try:
        for name in names:
            part = await _one(name, stage)
            done(part)
            found.append(part)
    finally:
        await stage.close()
    return found


async def _one(name: str, stage: Stage) -> Part:
    run, most = PARTS[name]
    load, started = os.getloadavg()[0], time.monotonic()
    try:
        async with asyncio.timeout(most * max(1.0, stage.seconds / SECONDS)):
            part = await run(stage)
    except (Missing, ImportError) as error:
        part = Part(name=name, title=name, missing=f"{type(error).__name__}: {error}")
    except TimeoutError:
        part = Part(name=name, title=name, missing="it took longer than it may")
    except Exception as error:  # noqa: BLE001 - the other parts still have something to say
        part = Part(name=name, title=name, missing=f"it failed: {type(error).__name__}: {_reason(error)}")
    part.load_before = load
    part.seconds = time.monotonic() - started
    return part


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def machine() -> dict[str, Any]:
    """What it ran on."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "system": platform.platform(),
        "load": os.getloadavg()[0],
        "loops_per_second": _loops_per_second(),
    }


def _loops_per_second() -> float:
    """How fast this Python is here: limits in C do not depend on it, everything else does."""
    started = time.thread_time()
    for _ in range(LOOPS):
        pass
    return LOOPS / (time.thread_time() - started)


def main() -> None:
    """Exit code 1 when a part could not be measured; with --strict also when a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.bench", description=__doc__)
    parser.add_argument("--only", default=",".join(PARTS), help=f"comma-separated: {', '.join(PARTS)}")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of one measurement")
    parser.add_argument("--rows", type=int, default=100_000, help="tickets in the list")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    parser.add_argument("--strict", action="store_true", help="fail when a target is missed")
    options = parser.parse_args()
    names = [name for name in options.only.split(",") if name]
    if unknown := sorted(set(names) - set(PARTS)):
        parser.error(f"there is no part {', '.join(unknown)}: take some of {', '.join(PARTS)}")
    console = Console(stderr=options.json)
    here = machine()
    speed = here["loops_per_second"] / 1e6
    console.print(
        f"[dim]{here['cores']} cores, Python {here['python']} at {speed:.0f} M bare loops/s, {here['system']}[/]\n"
    )
    stage = Stage(seconds=options.seconds, rows=options.rows)
    parts = uvloop.run(measure(names, stage, done=lambda part: show(part, console)))
    if options.json:
        print(json.dumps({"machine": here, "parts": [part.document() for part in parts]}, indent=2))  # noqa: T201
    missed = [check for part in parts for check in part.checks if check.is_met is False]
    if any(part.missing for part in parts) or (options.strict and missed):
        sys.exit(1)


if __name__ == "__main__":
    main()
