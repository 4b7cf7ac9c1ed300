"""`baton plans`: what takes effect at a date, in both services that keep plans, as one list."""

import json
from typing import Annotated, Any, Final, NamedTuple

import typer

from services.cli.operate import Refused, call, pages, show
from services.cli.options import DataDir, Json, Key, Url

PATHS: Final = ("/v1/structures/plans", "/v1/rulesets/plans")


class Access(NamedTuple):
    """The options by which a system is reached."""

    url: str | None
    key: str | None
    data_dir: Any


def plans() -> typer.Typer:
    """List and cancel plans."""
    group = typer.Typer(help="What takes effect at a date: structures and rulesets.", no_args_is_help=True)

    @group.command("list")
    def list_plans(
        *,
        everything: Annotated[
            bool, typer.Option("--all", help="Also those that are over, and what came of them.")
        ] = False,
        url: Url = None,
        key: Key = None,
        data_dir: DataDir = None,
        as_json: Json = False,
    ) -> None:
        """What is to come, by its date."""
        rows = _kept(Access(url, key, data_dir), everything=everything)
        if not as_json:
            rows = [one | {"what": _what(one), "outcome": _outcome(one)} for one in rows]
        show(rows, ("id", "at", "what", "author", "state", "outcome"), as_json=as_json)

    @group.command("cancel")
    def cancel(
        ids: Annotated[list[str], typer.Argument(help="One or more.")],
        *,
        url: Url = None,
        key: Key = None,
        data_dir: DataDir = None,
        as_json: Json = False,
    ) -> None:
        """Takes plans back before their date. A structure has two: of its people, and of its rules."""
        paths = {one["id"]: one["path"] for one in _kept(Access(url, key, data_dir), everything=False)}
        if unknown := [plan for plan in ids if plan not in paths]:
            raise Refused(f"nothing is to come by the plan {unknown[0]}")
        for plan in ids:
            cancelled = call("DELETE", f"{paths[plan]}/{plan}", url, key, data_dir)
            typer.echo(json.dumps(cancelled) if as_json else f"{plan} is cancelled")

    return group


def _kept(access: Access, *, everything: bool) -> list[dict[str, Any]]:
    query = {} if everything else {"state": "upcoming"}
    found = [one | {"path": path} for path in PATHS for one in pages(path, *access, query=query)]
    return sorted(found, key=lambda one: (one["at"], one["created_at"]))


def _what(plan: dict[str, Any]) -> str:
    what = plan["what"]
    if "ruleset" in what:
        return f"ruleset {what['ruleset']}"
    return f"{'rules' if plan['path'] == PATHS[1] else 'people'} of {what['structure']}"


def _outcome(plan: dict[str, Any]) -> str:
    outcome = plan["outcome"]
    if outcome is None:
        return plan["reason"] or ""
    if not outcome["changed"]:
        return "nothing to change"
    return f"ruleset {outcome['version']}" if "version" in outcome else "changed"
