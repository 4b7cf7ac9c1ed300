"""Reference pages that are written from the code: the command line and the events."""

from collections.abc import Mapping
from typing import Any, Final

import click
import typer

from shared.events import asyncapi
from shared.events.catalogue import EVENT_TYPES, TOPICS

_EXIT_CODES: Final = (
    "Exit codes: 0 done; 1 Baton says why on stderr; 2 the command was not used rightly; 130 interrupted. "
    "With `--json` a command prints one JSON document a line and nothing else on stdout."
)
_ENVELOPE: Final = (
    "CloudEvents 1.0 in binary mode: headers `ce_id`, `ce_type`, `ce_source`, `ce_time`, `ce_partitionkey`, "
    "`ce_workspaceid`, `ce_dataschema`, `traceparent`; a JSON value. Schemas lie in `shared/events/schemas/`, all of "
    "them in one [AsyncAPI document](asyncapi.json). Within a major version only optional fields are added."
)
_FEED: Final = (
    "On no topic: shown by `GET /v1/stream`, `GET /v1/changes` and webhooks, beside all of `baton.tickets.v1`. "
    "`GET /v1/event-types` has the schemas."
)


def cli_reference(app: typer.Typer) -> str:
    """Every command with its arguments, as markdown."""
    command = typer.main.get_command(app)
    lines = ["# Command line", "", command.help or "", ""]
    lines += [_EXIT_CODES, ""]
    _describe(command, "baton", lines)
    return "\n".join(lines).rstrip() + "\n"


def _describe(command: Any, path: str, lines: list[str]) -> None:
    for name, child in sorted(getattr(command, "commands", {}).items()):
        full = f"{path} {name}"
        is_group = bool(getattr(child, "commands", None))
        if not is_group or child.invoke_without_command:
            _describe_one(child, full, lines)
        if is_group:
            _describe(child, full, lines)


def _describe_one(command: Any, path: str, lines: list[str]) -> None:
    arguments = [_argument(one) for one in command.params if one.param_type_name == "argument"]
    lines += [f"## `{' '.join([path, *arguments])}`", "", (command.help or "").strip(), ""]
    options = [one for one in command.params if one.param_type_name == "option" and one.name != "help"]
    if options:
        lines += ["| option | meaning |", "|---|---|"]
        lines += [f"| `{'`, `'.join(one.opts)}` | {_meaning(one)} |" for one in options]
        lines.append("")


def _argument(parameter: Any) -> str:
    name = parameter.name.upper()
    return f"{name}…" if parameter.nargs == -1 else name


def _meaning(option: Any) -> str:
    text = (option.help or "").rstrip(".")
    default = option.default
    if default is not None and default is not False and not callable(default) and not _is_unset(default):
        text += f" (default: {default})"
    return text


def _is_unset(default: Any) -> bool:
    return (
        isinstance(default, (list, tuple))
        or type(default).__name__ in {"Sentinel", "UNSET"}
        or default is click.UNPROCESSED
    )


def events_reference(feed: Mapping[str, str]) -> str:
    """Topics, their keys and their types, as markdown; `feed`: what only the feed shows, and its meaning."""
    lines = [
        "# Events",
        "",
        _ENVELOPE,
        "",
    ]
    for topic, key in TOPICS.items():
        entries = [entry for entry in EVENT_TYPES.values() if entry.topic == topic]
        lines += [
            f"## `{topic}`",
            "",
            f"Key: {key}. Written by {entries[0].owner}.",
            "",
            "| type | meaning |",
            "|---|---|",
        ]
        lines += [f"| `{entry.name}` | {asyncapi.describe(entry)} |" for entry in entries]
        lines.append("")
    lines += [
        "## Only in the feed",
        "",
        _FEED,
        "",
        "| type | meaning |",
        "|---|---|",
        *(f"| `{name}` | {meaning} |" for name, meaning in feed.items()),
    ]
    return "\n".join(lines).rstrip() + "\n"
