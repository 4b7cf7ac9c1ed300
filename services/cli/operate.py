"""Commands that operate a running system through its API: keys, dead letters, webhook endpoints."""

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from services.cli import options
from services.cli.options import DataDir, Json, Key, Url
from shared.errors import BatonError

WIDE: Final = 240
"""Columns of a table that goes into a file or another program."""


class Refused(BatonError):
    """The system answered with a problem."""


def keys() -> typer.Typer:
    """Issue, list and revoke API keys."""
    group = typer.Typer(help="API keys, and the keys that seal secrets at rest.", no_args_is_help=True)

    @group.command("list")
    def list_keys(*, url: Url = None, key: Key = None, data_dir: DataDir = None, as_json: Json = False) -> None:
        """Every key of the workspace, without its secret."""
        show(pages("/v1/keys", url, key, data_dir), ("id", "name", "role", "agent_id", "revoked_at"), as_json=as_json)

    @group.command("create")
    def create_key(
        name: str,
        role: Annotated[str, typer.Option(help="agent, lead, manager, admin, analyst, bot or integration.")] = "agent",
        agent: Annotated[str | None, typer.Option(help="The agent that the key speaks for.")] = None,
        *,
        url: Url = None,
        key: Key = None,
        data_dir: DataDir = None,
    ) -> None:
        """Issues a key and prints it, once."""
        body = {"name": name, "role": role} | ({"agent_id": agent} if agent else {})
        typer.echo(call("POST", "/v1/keys", url, key, data_dir, body=body)["token"])

    @group.command("revoke")
    def revoke_key(key_id: str, *, url: Url = None, key: Key = None, data_dir: DataDir = None) -> None:
        """Revokes a key; processes forget it within five seconds."""
        call("DELETE", f"/v1/keys/{key_id}", url, key, data_dir)

    @group.command("new")
    def new_sealing_key() -> None:
        """Makes a key for BATON_SEALING_KEYS: put it in front of the old ones, and secrets move to it when saved."""
        from shared.sealing import new_key

        typer.echo(new_key())

    return group


def dlq() -> typer.Typer:
    """Dead letters and parked keys."""
    group = typer.Typer(help="Events that no handler could take, and keys that wait.", no_args_is_help=True)

    @group.command("list")
    def list_letters(*, url: Url = None, key: Key = None, data_dir: DataDir = None, as_json: Json = False) -> None:
        """Dead letters, newest first."""
        columns = ("id", "service", "event_type", "key", "error_class", "error_message", "created_at")
        show(pages("/v1/dead-letters", url, key, data_dir), columns, as_json=as_json)

    @group.command("parked")
    def list_parked(*, url: Url = None, key: Key = None, data_dir: DataDir = None, as_json: Json = False) -> None:
        """Keys whose events wait behind a failure."""
        columns = ("service", "consumer_group", "key", "attempts", "reason", "next_at")
        show(pages("/v1/dead-letters/parked", url, key, data_dir), columns, as_json=as_json)

    @group.command("show")
    def show_letter(letter: str, *, url: Url = None, key: Key = None, data_dir: DataDir = None) -> None:
        """One dead letter with its event and its error."""
        typer.echo(json.dumps(call("GET", f"/v1/dead-letters/{letter}", url, key, data_dir), indent=2))

    @group.command("replay")
    def replay_letter(letter: str, *, url: Url = None, key: Key = None, data_dir: DataDir = None) -> None:
        """Puts a dead letter back into its group's queue of that key."""
        typer.echo(json.dumps(call("POST", f"/v1/dead-letters/{letter}/redrive", url, key, data_dir)))

    @group.command("drop")
    def drop_letter(letter: str, *, url: Url = None, key: Key = None, data_dir: DataDir = None) -> None:
        """Forgets a dead letter for good."""
        call("DELETE", f"/v1/dead-letters/{letter}", url, key, data_dir)

    return group


def webhooks() -> typer.Typer:
    """Webhook endpoints."""
    group = typer.Typer(help="Webhook endpoints and what was delivered to them.", no_args_is_help=True)

    @group.command("list")
    def list_endpoints(*, url: Url = None, key: Key = None, data_dir: DataDir = None, as_json: Json = False) -> None:
        """Every endpoint of the workspace."""
        show(pages("/v1/endpoints", url, key, data_dir), ("id", "url", "state", "event_types"), as_json=as_json)

    @group.command("create")
    def create_endpoint(
        target: str,
        event_type: Annotated[list[str] | None, typer.Option(help="Repeatable; default: all.")] = None,
        *,
        url: Url = None,
        key: Key = None,
        data_dir: DataDir = None,
    ) -> None:
        """Creates an endpoint and prints its id and secret, once."""
        body = {"url": target, "event_types": event_type or ["*"]}
        created = call("POST", "/v1/endpoints", url, key, data_dir, body=body)
        typer.echo(json.dumps({"id": created["id"], "secret": created["secret"]}))

    @group.command("deliveries")
    def list_deliveries(
        endpoint: str, *, url: Url = None, key: Key = None, data_dir: DataDir = None, as_json: Json = False
    ) -> None:
        """What was delivered to an endpoint, newest first."""
        found = pages(f"/v1/endpoints/{endpoint}/deliveries", url, key, data_dir)
        rows = found if as_json else [each | {"attempts": len(each["attempts"])} for each in found]
        show(rows, ("sequence", "type", "state", "attempts", "next_attempt"), as_json=as_json)

    @group.command("test")
    def test_endpoint(endpoint: str, *, url: Url = None, key: Key = None, data_dir: DataDir = None) -> None:
        """Sends a test event to an endpoint."""
        typer.echo(json.dumps(call("POST", f"/v1/endpoints/{endpoint}/test", url, key, data_dir)))

    return group


def call(
    method: str, path: str, url: str | None, key: str | None, data_dir: Any, *, body: Any = None, query: Any = None
) -> Any:
    """What the system answers; Refused with its problem."""
    import httpx

    found = options.access(url, key, data_dir)
    try:
        response = httpx.request(
            method,
            found.url + path,
            json=body,
            params=query,
            headers={"Authorization": f"Bearer {found.key}"},
            timeout=30,
            trust_env=False,
        )
    except httpx.HTTPError as error:
        raise Refused(f"{found.url} does not answer: {error}") from error
    if response.is_error:
        raise refused(response)
    return response.json() if response.content else None


def refused(response: Any) -> Refused:
    """A problem that was answered, in one line."""
    problem = response.json() if "json" in response.headers.get("content-type", "") else {}
    return Refused(f"{response.status_code} {problem.get('code', '')}: {problem.get('detail', response.text[:200])}")


def pages(
    path: str, url: str | None, key: str | None, data_dir: Any, *, query: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """A list with all its pages."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        asked = {**(query or {}), "limit": 200} | ({"cursor": cursor} if cursor else {})
        page = call("GET", path, url, key, data_dir, query=asked)
        found += page["data"]
        cursor = page.get("next_cursor")
        if cursor is None:
            return found


def show(rows: list[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool) -> None:
    """A table, or a line of JSON for each row."""
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for column in columns:
        # An id that is cut off cannot be given to the next command.
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
