"""The command's entry point: which commands there are, and how failures end."""

import sys
from collections.abc import Callable

import typer

from services.cli import inspect, operate, plans, rules, run, structures, workspaces
from shared.errors import BatonError


def build() -> typer.Typer:
    """All commands."""
    app = typer.Typer(
        name="baton",
        help="An event-driven backend for brands' social inboxes: exactly one person answers.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    commands: tuple[Callable[..., None], ...] = (
        run.up,
        run.run,
        run.migrate,
        run.demo,
        inspect.parse,
        inspect.doctor,
        inspect.config,
        inspect.openapi,
        inspect.asyncapi,
    )
    for command in commands:
        app.command()(command)
    groups = {
        "workspaces": workspaces.workspaces_group(),
        "keys": operate.keys(),
        "dlq": operate.dlq(),
        "webhooks": operate.webhooks(),
        "rules": rules.rules(),
        "structure": structures.structure(),
        "plans": plans.plans(),
    }
    for name, group in groups.items():
        app.add_typer(group, name=name)
    return app


def main() -> None:
    """A failure that Baton can explain is one line on stderr and exit code 1; wrong usage is 2."""
    try:
        build()()
    except BatonError as error:
        sys.stderr.write(f"baton: {error}\n")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
