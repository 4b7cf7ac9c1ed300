"""The only place that knows all four services: what each is called, what it builds, and which schemas exist."""

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Final

from shared.db.migrate import Schema
from shared.errors import Misconfigured
from shared.host import Runtime, Service, inert_runtime
from shared.settings import KernelSettings, Settings
from shared.web.settings import WebSettings

SERVICES: Final = ("ingest", "router", "tickets", "notifier")

Build = Callable[[Runtime], Service]


def builders(names: Iterable[str] = SERVICES) -> dict[str, Build]:
    """What builds each service; a service is imported only when it is named."""
    found: dict[str, Build] = {}
    for name in names:
        if name not in SERVICES:
            raise Misconfigured(f"there is no service {name}: take some of {', '.join(SERVICES)}")
        found[name] = import_module(f"services.{name}.service").build
    return found


def schemas() -> Sequence[Schema]:
    """Every schema, in the order in which migrations run."""
    modules = ["shared.db.tables", "shared.platform.tables", *(f"services.{name}.store.tables" for name in SERVICES)]
    names = ["LOG_SCHEMA", *["SCHEMA"] * (len(modules) - 1)]
    return [getattr(import_module(module), name) for module, name in zip(modules, names, strict=True)]


def settings_classes() -> tuple[type[Settings], ...]:
    """Every settings class, for the reference page and for `baton config`."""
    found: list[type[Settings]] = [KernelSettings, WebSettings]
    for name in SERVICES:
        if importlib.util.find_spec(f"services.{name}.settings"):
            module = import_module(f"services.{name}.settings")
            found += [
                value
                for value in vars(module).values()
                if isinstance(value, type) and issubclass(value, Settings) and value.__module__ == module.__name__
            ]
    return tuple(found)


def blueprint() -> list[Service]:
    """All services, built on a runtime that reaches nothing: for documents about them."""
    return [build(inert_runtime(name)) for name, build in builders().items()]
