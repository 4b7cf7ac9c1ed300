"""Commands that run: everything in one process, some services, migrations, a demo."""

import json
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from services.cli import options
from services.cli.options import DataDir, Json, Key, Url, finish, settings_with
from shared.settings import KernelSettings

Port = Annotated[int | None, typer.Option("--port", help="Overrides BATON_PORT; 0 takes any free one.")]
Host = Annotated[str | None, typer.Option("--host", help="Overrides BATON_HOST.")]


def up(*, port: Port = None, host: Host = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Starts everything on one port, with an embedded Postgres unless BATON_DATABASE_URL names one."""
    from services import assembly
    from services.cli.welcome import prepare_demo
    from shared.host import serve

    settings = settings_with(data_dir, port=port, host=host)
    finish(
        serve(
            assembly.builders(),
            settings,
            schemas=assembly.schemas(),
            migrate=True,
            prepare=prepare_demo,
            ready=_announce(settings, as_json=as_json),
        )
    )


def run(
    services: Annotated[list[str], typer.Argument(help="Some of ingest, router, tickets, notifier.")],
    *,
    port: Port = None,
    host: Host = None,
    as_json: Json = False,
) -> None:
    """Starts some services, each with all it serves, on one port; the database must be migrated already."""
    from services import assembly
    from shared.host import serve

    settings = settings_with(port=port, host=host)

    def ready(url: str, _: Any) -> None:
        typer.echo(json.dumps({"url": url, "services": services}) if as_json else f"{', '.join(services)} on {url}")
        sys.stdout.flush()

    finish(serve(assembly.builders(services), settings, schemas=assembly.schemas(), migrate=False, ready=ready))


def migrate(*, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Brings every schema to its newest revision and creates missing topics."""
    from services import assembly
    from shared.host import migrate_database

    changed = finish(migrate_database(settings_with(data_dir), assembly.schemas()))
    typer.echo(json.dumps({"migrated": changed}) if as_json else f"migrated: {', '.join(changed) or 'nothing to do'}")


def demo(
    *,
    messages: Annotated[int, typer.Option(min=1, max=1_000_000, help="Inbound messages of the day.")] = 400,
    rate: Annotated[float, typer.Option(min=0.1, max=10_000, help="Webhooks per second.")] = 40.0,
    customers: Annotated[int, typer.Option(min=1, max=1_000_000, help="People who write.")] = 150,
    seed: Annotated[int, typer.Option(help="The same seed plays the same day.")] = 7,
    own: Annotated[bool, typer.Option("--own", help="Start a system for the demo, and stop it at the end.")] = False,
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Plays a conversation on every network, then a busy day with two agents who collide, and audits what is left."""
    from services.cli.demo.play import Plan
    from services.cli.demo.stage import rehearse, running_system

    plan = Plan(messages=messages, rate=rate, seed=seed, customers=customers)
    system = None if own else running_system(url, key, data_dir)
    finish(rehearse(plan, system, as_json=as_json))


def _announce(settings: KernelSettings, *, as_json: bool) -> Callable[[str, Any], None]:
    def announce(url: str, demo: dict[str, Any]) -> None:
        document = {"url": url, "workspace": demo["workspace"], "keys": demo["keys"]}
        private = document | {"database_url": demo.get("database_url")}
        options.write_private(settings.data_dir / options.ACCESS_FILE, json.dumps(private, indent=2) + "\n")
        if as_json:
            typer.echo(json.dumps(document))
        else:
            _welcome(document, settings)
        sys.stdout.flush()

    return announce


def _welcome(document: dict[str, Any], settings: KernelSettings) -> None:
    keys = document["keys"]
    lines = [
        "",
        f"  Baton is ready   {document['url']}",
        f"  workspace        {document['workspace']}",
        f"  admin            {keys['admin']}",
        *(f"  {agent['name']:<16} {agent['key']}" for agent in keys["agents"]),
        "",
        f"  These keys stay in {settings.data_dir / options.ACCESS_FILE} (mode 0600).",
        f"  Try: curl -s {document['url']}/v1/tickets -H 'Authorization: Bearer <key>'",
        "  Play: baton demo                Stop: Ctrl-C",
        "",
    ]
    typer.echo("\n".join(lines))
