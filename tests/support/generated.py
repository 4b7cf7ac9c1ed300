"""The committed files that are written from code: `python -m tests.support.generated [--check] [openapi|asyncapi]`."""

import json
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from services import assembly
from services.cli import inspect, main
from services.cli.reference import cli_reference, events_reference
from services.notifier.domain import event_types
from services.router.domain import reference as rules
from services.router.domain import schema as ruleset
from shared import settings
from shared.events import asyncapi
from shared.events.catalogue import EVENT_TYPES
from shared.telemetry import metrics

ROOT: Final = Path(__file__).parents[2]


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def files(only: str | None = None) -> Mapping[str, Callable[[], str]]:
    """Path from the root, and what makes its text."""
    events = {
        f"shared/events/schemas/{name}.json": (lambda schema=schema: _json(schema))
        for name, schema in asyncapi.schemas().items()
    }
    events["docs/reference/asyncapi.json"] = lambda: _json(asyncapi.asyncapi(version("baton")))
    feed_only = {name: event_types.description(name) for name in event_types.FEED_TYPES if name not in EVENT_TYPES}
    events["docs/reference/events.md"] = lambda: events_reference(feed_only)
    http = {"docs/reference/openapi.json": lambda: _json(inspect.openapi_document())}
    rest = {
        "docs/reference/settings.md": lambda: settings.reference(*assembly.settings_classes()),
        "docs/reference/metrics.md": metrics.reference,
        "docs/reference/rules.md": rules.reference,
        "docs/reference/ruleset.schema.json": lambda: _json(ruleset.schema()),
        "docs/reference/cli.md": lambda: cli_reference(main.build()),
    }
    return {None: events | http | rest, "openapi": http, "asyncapi": events}[only]


def stale() -> list[str]:
    """Generated files that are not what the code says."""
    return [
        path
        for path, make in files().items()
        if not (ROOT / path).exists() or (ROOT / path).read_text("utf-8") != make()
    ]


def _main(arguments: list[str]) -> int:
    if "--check" in arguments:
        found = stale()
        if found:
            sys.stderr.write("stale, run `make fix`:\n" + "".join(f"  {path}\n" for path in found))
        return bool(found)
    for path, make in files(next(iter(arguments), None)).items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(make(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
