"""`baton structure`: how the services hang together, and structures of teams to apply to a workspace."""

import json
from typing import Annotated, Any

import typer

from services.cli import inspect
from services.cli.operate import call
from services.cli.options import At, DataDir, Json, Key, Url


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
        at: At = None,
        url: Url = None,
        key: Key = None,
        data_dir: DataDir = None,
        as_json: Json = False,
    ) -> None:
        """Gives a workspace teams, schedules and rules to work by. A second time changes nothing."""
        when = {"dry_run": dry_run} | ({"at": at} if at else {})
        for name in names:
            people = {"zone": zone, "replace": replace} | when
            teams = call("POST", f"/v1/structures/{name}", url, key, data_dir, body=people)
            rules = call("POST", f"/v1/rulesets/structures/{name}", url, key, data_dir, body=when)
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
    plans = [side["plan"] for side in (teams, rules) if side.get("plan")]
    if rules["changed"] and not rules["dry_run"] and not plans:
        lines.append(f"ruleset {rules['version']} is in force")
    typer.echo(f"{name}: {_headline(lines, plans, dry_run=rules['dry_run'])}")
    for line in lines:
        typer.echo(f"  {line}")


def _headline(lines: list[str], plans: list[dict[str, Any]], *, dry_run: bool) -> str:
    if plans:
        at, ids = plans[0]["at"], ", ".join(plan["id"] for plan in plans)
        return f"planned for {at} ({ids}); now it would change " + ("nothing" if not lines else "this:")
    if not lines:
        return "nothing to change"
    return "would change:" if dry_run else "changed:"


def _step(step: dict[str, Any]) -> str:
    more = f": {', '.join(step['agents'])}" if step.get("agents") else ""
    kept = " (it has another one; --replace)" if step["change"] == "kept" else ""
    what = "team" if step["what"] == "team" else f"{step['what']} of"
    return f"{what} {step['team']} {step['change']}{more}{kept}"
