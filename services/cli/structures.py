"""`baton structure`: how the services hang together, and structures of teams to apply to a workspace."""

import json
from typing import Annotated, Any

import typer

from services.cli import inspect
from services.cli.operate import call
from services.cli.options import DataDir, Json, Key, Url


def structure() -> typer.Typer:
    """Show how the services hang together; apply structures of teams."""
    group = typer.Typer(
        help="Shows the services: what each consumes, emits and serves. Its commands apply structures of teams.",
        invoke_without_command=True,
    )

    @group.callback()
    def _group(context: typer.Context, *, as_json: Json = False) -> None:
        if context.invoked_subcommand is None:
            inspect.structure(as_json=as_json)

    @group.command("list")
    def list_structures(*, as_json: Json = False) -> None:
        """Structures of teams that can be applied."""
        from shared import structures

        for name in structures.names():
            about = structures.load(name).about
            typer.echo(json.dumps({"name": name, "about": about}) if as_json else f"{name:<11} {about}")

    @group.command("apply")
    def apply(
        names: Annotated[list[str], typer.Argument(help="One or more; of several the last one decides first.")],
        zone: Annotated[str, typer.Option(help="The time zone of schedules.")] = "UTC",
        *,
        replace: Annotated[bool, typer.Option("--replace", help="Put schedules in place of others.")] = False,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would change.")] = False,
        url: Url = None,
        key: Key = None,
        data_dir: DataDir = None,
        as_json: Json = False,
    ) -> None:
        """Gives a workspace teams, schedules and rules to work by. A second time changes nothing."""
        for name in names:
            people = {"zone": zone, "replace": replace, "dry_run": dry_run}
            teams = call("POST", f"/v1/structures/{name}", url, key, data_dir, body=people)
            rules = call("POST", f"/v1/rulesets/structures/{name}", url, key, data_dir, body={"dry_run": dry_run})
            if as_json:
                typer.echo(json.dumps({"structure": name, "teams": teams, "rules": rules}))
            else:
                _show(name, teams, rules)

    return group


def _show(name: str, teams: dict[str, Any], rules: dict[str, Any]) -> None:
    lines = [_step(step) for step in teams["changes"]]
    changes = rules["changes"]
    lines += [f"rule {rule!r} added" for rule in changes["rules"]["added"]]
    lines += [f"rule {one['rule']!r} changed" for one in changes["rules"]["changed"]]
    lines += [f"{part} changed" for part in changes if part != "rules"]
    if rules["changed"] and not rules["dry_run"]:
        lines.append(f"ruleset {rules['version']} is in force")
    typer.echo(
        f"{name}: " + ("nothing to change" if not lines else "would change:" if rules["dry_run"] else "changed:")
    )
    for line in lines:
        typer.echo(f"  {line}")


def _step(step: dict[str, Any]) -> str:
    more = f": {', '.join(step['agents'])}" if step.get("agents") else ""
    kept = " (it has another one; --replace)" if step["change"] == "kept" else ""
    what = "team" if step["what"] == "team" else f"{step['what']} of"
    return f"{what} {step['team']} {step['change']}{more}{kept}"
