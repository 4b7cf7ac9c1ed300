"""Workspaces and their first keys, made on the database itself: there is no key yet that could ask for one."""

import json
from typing import Any

import typer

from services.cli.database import open_database
from services.cli.options import DataDir, Json, finish, settings_with
from shared.db.scope import Scan, Workspace
from shared.platform.store import keys, workspaces
from shared.settings import KernelSettings

PAGE = 200


def workspaces_group() -> typer.Typer:
    """Create and list workspaces."""
    group = typer.Typer(help="Workspaces, the tenants of a system.", no_args_is_help=True)

    @group.command("create")
    def create(name: str, *, data_dir: DataDir = None, as_json: Json = False) -> None:
        """Creates a workspace with its preset teams, and prints an admin's key, once."""
        made = finish(_create(settings_with(data_dir), name))
        typer.echo(json.dumps(made) if as_json else f"workspace  {made['workspace']}\nadmin      {made['key']}")

    @group.command("list")
    def list_all(*, data_dir: DataDir = None, as_json: Json = False) -> None:
        """Every workspace of the system."""
        for workspace in finish(_list(settings_with(data_dir))):
            typer.echo(json.dumps(workspace) if as_json else f"{workspace['id']}  {workspace['name']}")

    return group


async def _create(settings: KernelSettings, name: str) -> dict[str, str]:
    from services.tickets.settings import TicketsSettings

    environment = TicketsSettings.load().key_environment
    async with open_database(settings) as (database, _):
        workspace = database.ids.new("wsp")
        async with database.transaction(Workspace(workspace)) as tx:
            await workspaces.create(tx, workspace, name=name)
            _, token = await keys.issue(
                tx, workspace, key_id=database.ids.new("key"), name="admin", role="admin", environment=environment
            )
    return {"workspace": workspace, "key": token}


async def _list(settings: KernelSettings) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with open_database(settings) as (database, _):
        after = None
        while True:
            async with database.transaction(Scan()) as tx:
                page = await workspaces.page(tx, after=after, limit=PAGE)
            found += [{"id": workspace.id, "name": workspace.name} for workspace in page]
            if len(page) < PAGE:
                return found
            after = page[-1].id
