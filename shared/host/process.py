"""One process: services built on one runtime, served, supervised, and stopped so that nobody notices."""

import asyncio
import gc
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import structlog

from shared.clock import Clock
from shared.db.migrate import Schema
from shared.errors import Misconfigured, Retryable
from shared.host.opening import answers, inert_runtime, open_runtime, pending
from shared.host.runtime import Runtime, Service
from shared.host.supervision import Supervisor
from shared.ids import Ids
from shared.log.consumer import Consume, Consumer
from shared.log.port import Subscription
from shared.platform.store import retention
from shared.settings import KernelSettings
from shared.telemetry import logs
from shared.web import idempotency, server
from shared.web.app import App, create_app
from shared.web.health import Health
from shared.web.settings import WebSettings

UPKEEP_EVERY: Final = timedelta(minutes=30)
YOUNG: Final = 10_000
"""Objects that a batch may make before Python looks for cycles among them."""

Build = Callable[[Runtime], Service]
Prepare = Callable[[Runtime], Awaitable[Any]]
"""Runs before anything is served; what it gives goes to `ready`."""
Ready = Callable[[str, Any], None]
"""Hears the URL and what `prepare` gave, once the server answers."""


async def serve(
    builders: Mapping[str, Build],
    settings: KernelSettings,
    *,
    schemas: Sequence[Schema],
    migrate: bool = True,
    prepare: Prepare | None = None,
    ready: Ready | None = None,
    stop: asyncio.Event | None = None,
    clock: Clock | None = None,
    ids: Ids | None = None,
) -> None:
    """Runs services until SIGTERM, SIGINT or `stop`; raises what an operator must act upon."""
    logs.configure(level=settings.log_level, form=settings.log_format)
    stop = stop or asyncio.Event()
    # Bound first: a port that is taken should not cost the start of a database.
    with closing(server.listen(settings.host, settings.port)) as listener, _signals(stop), _single_errors():
        async with AsyncExitStack() as stack:
            try:
                opening = open_runtime(settings, schemas=schemas, migrate=migrate, stop=stop, clock=clock, ids=ids)
                runtime = await stack.enter_async_context(opening)
            except Retryable:
                if stop.is_set():
                    return
                raise
            services = [build(replace(runtime, service=name)) for name, build in builders.items()]
            prepared = await prepare(runtime) if prepare else None

            def up() -> None:
                _settle_memory()
                url = server.url_of(listener)
                structlog.get_logger().info("serving", url=url, services=list(builders))
                if ready:
                    ready(url, prepared)

            await _Process(runtime, services, schemas).run(listener, stop=stop, up=up)


def new_app(runtime: Runtime, services: Sequence[Service], health: Health) -> App:
    """The HTTP face of these services."""
    return create_app(
        services,
        database=runtime.database,
        clock=runtime.clock,
        ids=runtime.ids,
        metrics=runtime.metrics,
        health=health,
        settings=runtime.settings,
        keyring=runtime.keyring,
        web=WebSettings.load(),
        spans=runtime.spans,
    )


def openapi_document(services: Sequence[Service]) -> dict[str, Any]:
    """The OpenAPI document of these services, without a database."""
    runtime = inert_runtime("platform")
    return new_app(runtime, services, Health(runtime.clock)).openapi()


class _Process:
    def __init__(self, runtime: Runtime, services: Sequence[Service], schemas: Sequence[Schema]) -> None:
        self._runtime = runtime
        self._services = services
        self._schemas = schemas
        self._grace = timedelta(milliseconds=runtime.settings.shutdown_grace_ms)
        self._supervisor = Supervisor(runtime.clock, runtime.metrics, runtime.stopping)
        self._members = [
            _Member(runtime, consume, name)
            for service in services
            for consume in service.consumes
            for name in consume.names
        ]
        checks = {"database": self._database, "migrations": self._migrations, "consumers": self._consumers}
        self._health = Health(runtime.clock, checks)

    async def run(self, listener: socket.socket, *, stop: asyncio.Event, up: Callable[[], None]) -> None:
        """Everything at once, until asked to stop; then the one after the other."""
        app = new_app(self._runtime, self._services, self._health)
        keep = self._supervisor.keep
        started, quiet = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.serve(app, listener, stop=quiet, grace=self._grace, started=started.set))
            # Before anything that could fail: a server that is cut off while it starts leaks its socket into the loop.
            await started.wait()
            loops = [group.create_task(keep(name, loop)) for name, loop in self._loops()]
            consuming = [group.create_task(keep(member.name, member.consumer.run)) for member in self._members]
            up()
            await stop.wait()
            structlog.get_logger().info("stopping")
            self._health.leave()
            self._runtime.stopping.set()
            quiet.set()
            await serving
            await self._leave_groups(consuming)
            for task in loops:
                task.cancel()

    def _loops(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        for service in self._services:
            for name, loop in service.tasks.items():
                yield f"{service.name}.{name}", loop
        yield "host.upkeep", self._keep_up
        yield "host.event-loop", self._supervisor.watch_loop

    async def _leave_groups(self, consuming: "Sequence[asyncio.Task[None]]") -> None:
        for member in self._members:
            member.consumer.stop()
        if consuming:
            # A batch that is cut off is delivered again; better than a process that has to be killed.
            _, late = await asyncio.wait(consuming, timeout=self._grace.total_seconds())
            for task in late:
                task.cancel()

    async def _keep_up(self) -> None:
        database, days = self._runtime.database, self._runtime.settings.log_retention_days
        while True:
            await retention.purge(database, "platform.stream_ticket", "expires_at < now()")
            for service in self._services:
                await idempotency.purge(database, service.name)
                # Not before the events themselves are gone: until then they may be delivered again.
                await retention.purge(database, f"{service.name}.dedupe", "day < current_date - $1::int", days + 1)
            await asyncio.sleep(UPKEEP_EVERY.total_seconds())

    async def _database(self) -> str | None:
        await answers(self._runtime.database)
        return None

    async def _migrations(self) -> str | None:
        try:
            behind = await pending(self._runtime.database, self._schemas)
        except Misconfigured:
            # A newer program has migrated: its schema still fits us, or it would not have been rolled out.
            return None
        return f"schemas are behind: {', '.join(behind)}" if behind else None

    async def _consumers(self) -> str | None:
        waiting = [member.name for member in self._members if not member.has_joined]
        return f"have not joined: {', '.join(waiting)}" if waiting else None


class _Member:
    """A consumer, and whether it has been given its part of the group's work yet."""

    def __init__(self, runtime: Runtime, consume: Consume, name: str) -> None:
        self._log = runtime.log
        self._member = name
        self.name = f"consumer.{name}"
        self.has_joined = False
        self.consumer = Consumer(runtime.database, self, consume, metrics=runtime.metrics, spans=runtime.spans)
        self.tail: Final = runtime.log.tail
        self.lag: Final = runtime.log.lag

    @asynccontextmanager
    async def subscribe(
        self, group: str, topics: Sequence[str], *, member: str | None = None
    ) -> AsyncIterator[Subscription]:
        """As the log does it."""
        async with self._log.subscribe(group, topics, member=member or self._member) as subscription:
            self.has_joined = True
            yield subscription


def _settle_memory() -> None:
    """What was built once stays: looking through all of it again stops everything for 0.1 s."""
    gc.collect()
    gc.freeze()
    _, *older = gc.get_threshold()
    gc.set_threshold(YOUNG, *older)


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    known = (signal.SIGTERM, signal.SIGINT)

    def ask(number: signal.Signals) -> None:
        stop.set()
        # The second one ends the process at once, as if we had never listened.
        loop.remove_signal_handler(number)

    for number in known:
        loop.add_signal_handler(number, ask, number)
    try:
        yield
    finally:
        for number in known:
            loop.remove_signal_handler(number)


@contextmanager
def _single_errors() -> Iterator[None]:
    """Raises the first error of a group by itself, so that whoever started us can read it."""
    try:
        yield
    except BaseExceptionGroup as errors:
        error: BaseException = errors
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
