"""Commands that look: what a body becomes, how the system hangs together, what is wrong, what is configured."""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.options import DataDir, Json, finish, settings_with
from shared.errors import Misconfigured


def parse(
    network: Annotated[str, typer.Argument(help="The network that the bodies come from, such as facebook.")],
    files: Annotated[list[Path], typer.Argument(help="Files with one webhook body each; `-` reads standard input.")],
) -> None:
    """Shows what webhook bodies become, as JSON lines, without a server."""
    from services.ingest.domain.offline import parse_offline

    for path in files:
        try:
            raw = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        except OSError as error:
            raise Misconfigured(f"{path}: {error.strerror}") from error
        for line in parse_offline(network, raw):
            typer.echo(json.dumps({"file": str(path), **line}, ensure_ascii=False))


def structure(*, as_json: Json = False) -> None:
    """Shows the services: what each consumes, emits and serves."""
    from services import assembly
    from shared.events.catalogue import EVENT_TYPES

    found = [
        {
            "service": service.name,
            "consumes": sorted({topic for consume in service.consumes for topic in consume.topics}),
            "emits": sorted(name for name, entry in EVENT_TYPES.items() if entry.owner == service.name),
            "tasks": sorted(service.tasks),
            "routes": routes_of(service),
        }
        for service in assembly.blueprint()
    ]
    for entry in found:
        if as_json:
            typer.echo(json.dumps(entry))
            continue
        typer.echo(entry["service"])
        for part in ("consumes", "emits", "tasks", "routes"):
            typer.echo(f"  {part}")
            for line in entry[part]:
                typer.echo(f"    {line}")


def routes_of(service: Any) -> list[str]:
    """Method and path of everything that a service serves."""
    from fastapi.routing import APIRoute, iter_route_contexts

    routes = (context.original_route for context in iter_route_contexts(service.router.routes))
    served = [
        f"{'/'.join(sorted(route.methods or ()))} {route.path}" for route in routes if isinstance(route, APIRoute)
    ]
    return sorted([*served, *service.mount_paths])


def doctor(*, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Checks configuration and the invariants of live data; exit code 1 when something needs a hand."""
    from services.cli.doctor import examine

    findings = finish(examine(settings_with(data_dir)))
    for finding in findings:
        if as_json:
            typer.echo(json.dumps(finding.as_dict()))
        else:
            typer.echo(f"{finding.level:<7} {finding.check}: {finding.detail}")
            if finding.fix:
                typer.echo(f"        fix: {finding.fix}")
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(1)


def config(*, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Shows every setting as this environment sets it; secrets only say that they are set."""
    from services import assembly
    from shared.settings import redacted

    shown: dict[str, Any] = {}
    for settings in assembly.settings_classes():
        shown |= redacted(settings_with(data_dir) if settings.__name__ == "KernelSettings" else settings.load())
    if as_json:
        typer.echo(json.dumps(shown))
        return
    for name, value in shown.items():
        typer.echo(f"{name}={'' if value is None else value}")


def openapi() -> None:
    """Prints the OpenAPI document of all services."""
    typer.echo(json.dumps(openapi_document(), indent=2, ensure_ascii=False))


def asyncapi() -> None:
    """Prints the AsyncAPI document of all topics."""
    from shared.events.asyncapi import asyncapi as document

    typer.echo(json.dumps(document(version("baton")), indent=2, ensure_ascii=False))


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document of all services, built without a database."""
    from services import assembly
    from shared import host

    return host.openapi_document(assembly.blueprint())
