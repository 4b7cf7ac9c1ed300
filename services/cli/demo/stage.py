"""Where the demo plays: a system that runs already, or one of its own; and the table at the end."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from services.cli import options
from services.cli.demo.channels import System
from services.cli.demo.play import Day, Plan, play
from services.cli.demo.tour import Story, tour
from shared.errors import Misconfigured

START_SECONDS: Final = 60.0


def running_system(url: str | None, key: str | None, data_dir: Path | None) -> System:
    """The system that runs here, as `baton up` wrote it down."""
    found = options.access(url, key, data_dir)
    if not found.document:
        raise Misconfigured(
            "the demo needs the keys of two agents: run it beside `baton up`, with its --data-dir, or with --own"
        )
    return _system(found.document | {"url": found.url})


async def rehearse(plan: Plan, system: System | None, *, as_json: bool) -> None:
    """Plays, shows, and ends with exit code 1 when something was lost or doubled."""
    async with nullcontext(system) if system else own_system() as stage:
        stories = await tour(stage)
        if not as_json:
            _tell(stories)
        day = await _play(stage, plan, quiet=as_json)
    summary = summarize(stories, day)
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False))
    else:
        _show(summary)
    if summary["problems"]:
        raise typer.Exit(1)


async def _play(system: System, plan: Plan, *, quiet: bool) -> Day:
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
    ) as progress:
        bar = progress.add_task("messages", total=plan.messages)
        return await play(system, plan, progress=lambda count: progress.advance(bar, count))


@asynccontextmanager
async def own_system() -> AsyncIterator[System]:
    """A system on a temporary data directory, for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="baton-demo-", ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "services.cli.main", "up", "--json", "--port", "0", "--data-dir", folder),
            stdout=asyncio.subprocess.PIPE,
            env=_own_environment(),
        )
        try:
            assert process.stdout is not None  # noqa: S101 - it was asked for
            async with asyncio.timeout(START_SECONDS):
                line = await process.stdout.readline()
            if not line:
                raise Misconfigured("the demo's own system did not start: its reason stands above")
            yield _system(json.loads(line))
        finally:
            if process.returncode is None:
                process.terminate()
            async with asyncio.timeout(30):
                await process.wait()


def _own_environment() -> dict[str, str]:
    # Nothing of Baton's own: with the database or the Kafka of another system it would eat that one's events.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
    return kept | {"BATON_ALLOW_PRIVATE_EGRESS": "1", "BATON_LOG_LEVEL": "warning"}


def summarize(stories: list[Story], day: Day) -> dict[str, Any]:
    """The conversations, and the day in numbers."""
    findings = day.findings
    outcomes: dict[str, int] = {}
    for agent in day.agents:
        for code, count in agent.outcomes.items():
            outcomes[code] = outcomes.get(code, 0) + count
    return {
        "conversations": [asdict(story) for story in stories],
        "webhooks": day.webhooks,
        "duplicates": day.duplicates,
        "refused": day.refused,
        "messages": len(day.sent),
        "messages_per_second": round(len(day.sent) / day.seconds, 1) if day.seconds else 0.0,
        "tickets": findings.tickets,
        "tickets_per_team": dict(sorted(findings.owners.items())),
        "waiting_in_queue": dict(sorted(findings.unassigned.items())),
        "attempts_to_answer": dict(sorted(outcomes.items())),
        "replies": dict(sorted(findings.replies.items())),
        "collisions": dict(sorted(findings.collisions.items())),
        "latency_ms": {name: _percentile(day.latencies, share) for name, share in _SHARES.items()},
        "problems": [
            *(f"{story.network}, {story.what}: {story.problem}" for story in stories if story.problem),
            *findings.problems,
        ],
    }


_SHARES: Final = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "max": 1.0}


def _percentile(values: list[float], share: float) -> float | None:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 1) if ordered else None


def _tell(stories: list[Story]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for story in stories:
        console.print(f"[bold]{story.network}[/], {story.what}")
        console.print(f"  [cyan]→[/] {escape(story.customer)}: {escape(story.text)}")
        if story.problem:
            console.print(f"  [bold red]✗[/] {escape(story.problem)}\n")
            continue
        console.print(f"    ticket {story.ticket}, team {story.team}, owned by {story.owner}")
        console.print(f"  [green]←[/] {story.answered_by}: {escape(story.answer)}  [dim]({escape(story.known_as)})[/]")
        console.print(f"  [red]×[/] {story.refused} would answer too, and is refused: {story.because}\n")


def _show(summary: dict[str, Any]) -> None:
    table = Table("", "", title="A day on Facebook", show_header=False, title_justify="left")
    for name, value in summary.items():
        if name in {"conversations", "problems"}:
            continue
        shown = ", ".join(f"{key} {count}" for key, count in value.items()) if isinstance(value, dict) else str(value)
        table.add_row(name.replace("_", " "), shown or "none")
    console = Console()
    console.print(table)
    if summary["problems"]:
        for problem in summary["problems"]:
            console.print(f"[bold red]✗[/] {problem}")
    else:
        console.print("[bold green]✓[/] nothing was lost, nothing was doubled, nobody was answered twice")


def _system(document: dict[str, Any]) -> System:
    agents = tuple((agent["id"], agent["name"], agent["key"]) for agent in document["keys"]["agents"])
    return System(url=document["url"], admin=document["keys"]["admin"], agents=agents)
