"""Commands about rulesets of a running system: trying one on what came in the past, and putting one in force."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from services.cli import options
from services.cli.operate import WIDE, Refused, call, refused
from services.cli.options import At, DataDir, Json, Key, Url


def rules() -> typer.Typer:
    """Try rulesets, and put them in force."""
    group = typer.Typer(help="Rulesets: before they touch anybody, and when they do.", no_args_is_help=True)

    @group.command("backtest")
    def backtest(
        version: int,
        days: Annotated[int, typer.Option(help="How far back.")] = 7,
        against: Annotated[
            int | None, typer.Option(help="A version to compare with; default: what was decided.")
        ] = None,
        *,
        as_csv: Annotated[
            bool, typer.Option("--csv", help="Print every difference as a table for a spreadsheet.")
        ] = False,
        url: Url = None,
        key: Key = None,
        data_dir: DataDir = None,
        as_json: Json = False,
    ) -> None:
        """What a version would have decided about the messages of the last days; changes nothing."""
        body = {"days": days} | ({"against": against} if against is not None else {})
        with _lines(version, body, as_csv=as_csv, access=options.access(url, key, data_dir)) as lines:
            if as_csv or as_json:
                for line in lines:
                    typer.echo(line)
            else:
                _show(_last(lines))

    @group.command("activate")
    def activate(
        version: int,
        *,
        at: At = None,
        url: Url = None,
        key: Key = None,
        data_dir: DataDir = None,
        as_json: Json = False,
    ) -> None:
        """Puts a version in force, at once or at a date."""
        told = call("POST", f"/v1/rulesets/{version}/activate", url, key, data_dir, body={"at": at} if at else {})
        if as_json:
            typer.echo(json.dumps(told))
        elif plan := told.get("plan"):
            typer.echo(f"ruleset {version} will be in force at {plan['at']} ({plan['id']})")
        else:
            typer.echo(f"ruleset {version} is in force")

    return group


@contextmanager
def _lines(version: int, body: Any, *, as_csv: bool, access: options.Access) -> Iterator[Iterator[str]]:
    import httpx

    headers = {"Authorization": f"Bearer {access.key}", "Accept": "text/csv" if as_csv else "application/x-ndjson"}
    path = f"{access.url}/v1/rulesets/{version}/backtest"
    try:
        with httpx.stream("POST", path, json=body, headers=headers, timeout=60, trust_env=False) as response:
            if response.is_error:
                response.read()
                raise refused(response)
            yield response.iter_lines()
    except httpx.HTTPError as error:
        raise Refused(f"{access.url} does not answer: {error}") from error


def _last(lines: Iterator[str]) -> dict[str, Any]:
    """The report; progress is shown on a terminal."""
    from rich.progress import Progress

    with Progress(transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("Deciding again", total=1.0)
        for line in lines:
            told: dict[str, Any] = json.loads(line)
            match told["type"]:
                case "progress":
                    bar.update(task, completed=told["share"], description=f"{told['messages']:,} messages")
                case "problem":
                    problem = told["problem"]
                    raise Refused(f"{problem['status']} {problem['code']}: {problem['detail']}")
                case _:
                    return told
    raise Refused("the answer ended before its report")


def _show(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)
    console.print(
        f"{report['messages']:,} messages since {report['since']}: {report['elsewhere']:,} would go elsewhere, "
        f"{report['different']:,} would be different" + ("" if report["ended"] == "done" else f" ({report['ended']})")
    )
    for fact, count in report.get("unknown", {}).items():
        console.print(f"{count:,} were decided when no rule asked for {fact}: they have it not set")
    changes = Table("what", "before", "after", "messages", "for example")
    for aspect, found in report["changes"].items():
        for one in found:
            example = next((each["text"] for each in one["examples"]), "")
            cells = (aspect, one["before"] or "-", one["after"] or "-", f"{one['messages']:,}", example)
            changes.add_row(*map(escape, cells))
    rules_of = Table("rule", "decided before", "after", "added to before", "after")
    for one in report["rules"]:
        counts = [one[side][use] for use in ("decided", "added") for side in ("before", "after")]
        rules_of.add_row(escape(one["rule"]), *(f"{count:,}" for count in counts))
    for table in (changes, rules_of):
        if table.row_count:
            console.print(table)
