"""What services get of the outside, and what they give to the host."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter

from shared.clock import Clock
from shared.db.pool import Database
from shared.db.scope import Batch, Scan, Workspace
from shared.db.transaction import Transaction
from shared.egress import Egress
from shared.ids import Ids
from shared.log.consumer import Consume
from shared.log.port import Log
from shared.sealing import KeyRing
from shared.settings import KernelSettings
from shared.telemetry.metrics import Metrics
from shared.telemetry.spans import OFF, Spans
from shared.web.hooks import Hook


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Everything a service may use of the outside, built once per process."""

    service: str
    """The service's name, which is also its schema."""
    settings: KernelSettings
    database: Database
    log: Log
    egress: Egress
    keyring: KeyRing
    metrics: Metrics
    clock: Clock
    ids: Ids
    spans: Spans = OFF
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process begins to leave: streams end then, long polls answer."""

    def transaction(
        self, workspace: str, *, traceparent: str | None = None
    ) -> AbstractAsyncContextManager[Transaction]:
        """A transaction bound to one workspace."""
        return self.database.transaction(Workspace(workspace), schema=self.service, traceparent=traceparent)

    def batch(self, workspaces: Sequence[str]) -> AbstractAsyncContextManager[Transaction]:
        """A transaction bound to the workspaces of a batch."""
        return self.database.transaction(Batch(frozenset(workspaces)), schema=self.service)

    def scan(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that sees the log, look-ups and due timers of all workspaces, and can `admit` some."""
        return self.database.transaction(Scan(), schema=self.service)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What a service gives to the host."""

    name: str
    router: APIRouter
    consumes: Sequence[Consume] = ()
    tasks: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    """Loops that run until they are cancelled; each is supervised and restarted with back-off when it raises."""
    mounts: Mapping[str, Any] = field(default_factory=dict)
    """Raw ASGI callables by path prefix, in front of FastAPI and its authentication."""
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    """What takes usual requests below ASGI, by path prefix; a mount of that prefix answers all others."""
    mount_paths: Mapping[str, Any] = field(default_factory=dict)
    """OpenAPI path items of the mounts, which FastAPI can't know."""
    body_limits: Mapping[str, int] = field(default_factory=dict)
    """Bytes that requests of some paths may have, where these are more than others may."""
    resources: Sequence[object] = ()
    """What routes may ask for with `call.resource(type)`: the runtime itself, handlers, streams."""
