"""Options that several commands share, and how a command reaches a running system."""

import json
import os
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.errors import Misconfigured
from shared.settings import KernelSettings

Json = Annotated[bool, typer.Option("--json", help="Print JSON, one document a line.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Overrides BATON_DATA_DIR.")]
Url = Annotated[str | None, typer.Option("--url", envvar="BATON_URL", help="A running system; default: the one here.")]
Key = Annotated[str | None, typer.Option("--key", envvar="BATON_KEY", help="An API key; default: the demo admin's.")]


def _instant(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text} is no instant such as 2026-12-24T18:00+01:00") from error
    if instant.tzinfo is None:
        raise typer.BadParameter(f"{text} has no offset, such as +01:00 or Z")
    return instant.isoformat()


At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="INSTANT",
        callback=_instant,
        help="When it takes effect, such as 2026-12-24T18:00+01:00; default: at once.",
    ),
]

ACCESS_FILE = "access.json"
"""In the data directory, mode 0600: where `baton up` runs and the demo workspace's keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach a running system."""

    url: str
    key: str
    document: dict[str, Any]
    """All that `baton up` wrote: workspace and the agents' keys; empty when url and key came from outside."""


def settings_with(data_dir: Path | None = None, **overrides: Any) -> KernelSettings:
    """The kernel's settings, with what the command line says on top."""
    given = {name: value for name, value in overrides.items() if value is not None}
    if data_dir is not None:
        given["data_dir"] = data_dir
    return KernelSettings.load(**given)


def access(url: str | None, key: str | None, data_dir: Path | None) -> Access:
    """From the options, else from the data directory of the system that runs here."""
    if url and key:
        return Access(url=url.rstrip("/"), key=key, document={})
    path = settings_with(data_dir).data_dir / ACCESS_FILE
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise Misconfigured(
            f"no system is known here ({path}: {error.strerror}): start one with `baton up`, or give --url and --key"
        ) from error
    return Access(url=(url or document["url"]).rstrip("/"), key=key or document["keys"]["admin"], document=document)


def write_private(path: Path, text: str) -> None:
    """Replaces a file in one step, readable by its owner only."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def finish(work: Coroutine[Any, Any, Any]) -> Any:
    """Runs a command's coroutine."""
    import uvloop

    return uvloop.run(work)
