"""One simulated process: everything that `baton up` runs, which dies without a word, or stands still for a while."""

import asyncio
import contextvars
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import Any, Final, cast

from fastapi import FastAPI

from services import assembly
from shared.db.pool import Database, Topology
from shared.db.timers import Timers
from shared.host import Runtime, Service, inert_runtime, new_app
from shared.host.supervision import Supervisor
from shared.ids import Ids
from shared.log.consumer import Consumer
from shared.log.port import Log
from shared.sealing import KeyRing
from shared.settings import KernelSettings, Settings
from shared.telemetry.metrics import Metrics
from shared.web.auth import Authenticator
from shared.web.bodies import Limits
from shared.web.calls import RouteFacts
from shared.web.edge import Edge
from shared.web.health import Health
from shared.web.limits import RateLimiter
from tests.simulation.connections import Pool
from tests.simulation.database import IDLE_TIMEOUT, Postgres
from tests.simulation.loop import OWNER, VirtualClock, VirtualLoop

RING: Final = KeyRing([b"k" * 32])

LEFT_OUT: Final = frozenset({"retention", "refusals", "webhooks", "indexing"})
"""Housekeeping that nothing of what a seed checks depends upon."""

POLL: Final = timedelta(seconds=5)
"""Between two looks of whoever was not woken: each look is a statement, and so costs the seed real time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an HTTP request got."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Lost(Exception):
    """The connection to a process went away before its answer came."""


class Blueprint:
    """What all processes of all seeds share, because building it takes a quarter of a second: the routes."""

    def __init__(self) -> None:
        # Every life of a process has the same environment, and reading it costs more than building all services.
        for kind in Settings.__subclasses__():
            kind.load = cache(kind.load)  # type: ignore[method-assign]
        self.builders = assembly.builders()
        self.settings = KernelSettings.load()
        runtimes = {name: inert_runtime(name) for name in self.builders}
        services = [build(runtimes[name]) for name, build in self.builders.items()]
        self.groups = [(one.group, topic) for service in services for one in service.consumes for topic in one.topics]
        """Consumer groups, and the topics that they read."""
        clock = runtimes["ingest"].clock
        app = new_app(runtimes["ingest"], services, Health(clock))
        self.face = app.face
        self.api = cast("FastAPI", cast("Edge", app._api)._app)
        self.topology = Topology()

    def facts(self, services: Sequence[Service]) -> dict[int, RouteFacts]:
        """The same routes, with what these services lend to theirs."""
        lent = {service.name: service.resources for service in services}
        return {
            route: replace(known, resources=lent[known.service]) if known.service in lent else known
            for route, known in self.face.routes.items()
        }


@dataclass(slots=True, kw_only=True, eq=False)
class Process:
    """One life of one process."""

    name: str
    loop: VirtualLoop
    blueprint: Blueprint
    postgres: Postgres
    ids: Ids
    egress: Any
    open_log: Any
    blame: Callable[[str], None]
    is_dead: bool = False
    stash: list[asyncio.Handle] | None = None
    _context: contextvars.Context = field(default_factory=contextvars.Context)
    _pools: list[Pool] = field(default_factory=list)
    _calls: "dict[asyncio.Future[Answer], None]" = field(default_factory=dict)
    _edge: Edge | None = None
    _mounts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_up(self) -> bool:
        """Whether it answers."""
        return self._edge is not None and not self.is_dead

    def start(self) -> None:
        """Begins to run."""
        self._context.run(OWNER.set, self)
        self._spawn(self._run())

    def die(self) -> None:
        """SIGKILL: nothing of it runs any more, and nobody gets an answer."""
        self.is_dead = True
        self.stash = None
        for pool in self._pools:
            pool.lose()
        for call in self._calls:
            if not call.done():
                call.set_exception(Lost("the process died"))
        self._calls.clear()

    def pause(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so long; Postgres does not wait for a transaction all that time."""
        self.stash = []
        nobody = contextvars.Context()
        if seconds > IDLE_TIMEOUT:
            self.loop.call_later(IDLE_TIMEOUT, self._idle_out, context=nobody)
        self.loop.call_later(seconds, self._resume, context=nobody)

    def _idle_out(self) -> None:
        if self.stash is not None:
            for pool in self._pools:
                pool.idle_out()

    def _resume(self) -> None:
        handles, self.stash = self.stash, None
        if handles and not self.is_dead:
            self.loop.resume(handles)

    def call(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> "asyncio.Future[Answer]":
        """One HTTP request; Lost when the process dies first."""
        answer: asyncio.Future[Answer] = self.loop.create_future()
        if not self.is_up:
            answer.set_exception(Lost("nobody listens"))
            return answer
        self._calls[answer] = None
        self._spawn(self._serve(answer, method, path, headers, body))
        return answer

    def _spawn(self, work: Any) -> None:
        task = self._context.copy().run(self.loop.create_task, work)
        task.add_done_callback(self._ended, context=contextvars.Context())

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()):
            self.blame(f"{self.name} broke: {''.join(traceback.format_exception(error))}")

    async def _serve(
        self, answer: "asyncio.Future[Answer]", method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> None:
        path, _, query = path.partition("?")
        given = {"content-length": str(len(body)), "content-type": "application/json", **headers}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "scheme": "http",
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        events = [{"type": "http.request", "body": body, "more_body": False}]
        told: dict[str, Any] = {"body": b"", "status": 500, "headers": ()}

        async def receive() -> dict[str, Any]:
            return events.pop() if events else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                told["status"], told["headers"] = message["status"], message.get("headers", ())
            else:
                told["body"] += message.get("body", b"")

        mount = next((app for prefix, app in self._mounts.items() if path.startswith(prefix)), self._edge)
        assert mount
        try:
            await mount(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - what a server would do with it
            told["status"] = getattr(error, "status", 503)
        self._calls.pop(answer, None)
        if not answer.done():
            found = {name.decode().lower(): value.decode() for name, value in told["headers"]}
            answer.set_result(Answer(told["status"], found, told["body"]))

    async def _run(self) -> None:
        clock = VirtualClock(self.loop)
        self._pools = [Pool(self.postgres, 16), Pool(self.postgres, 4, is_lookout=True)]
        database = Database(
            pool=cast("Any", self._pools[0]),
            lookouts=cast("Any", self._pools[1]),
            clock=clock,
            ids=self.ids,
            topology=self.blueprint.topology,
        )
        metrics = Metrics()
        opening: AbstractAsyncContextManager[Log] = self.open_log(database)
        async with opening as log:
            runtime = Runtime(
                service="",
                settings=self.blueprint.settings,
                database=database,
                log=log,
                egress=self.egress.of(self),
                keyring=RING,
                metrics=metrics,
                clock=clock,
                ids=self.ids,
            )
            services = [build(replace(runtime, service=name)) for name, build in self.blueprint.builders.items()]
            self._serve_api(services, runtime)
            supervisor = Supervisor(clock, metrics, runtime.stopping)
            async with asyncio.TaskGroup() as group:
                for service in services:
                    for name, task in service.tasks.items():
                        if name not in LEFT_OUT:
                            _slow_down(task)
                            group.create_task(supervisor.keep(f"{service.name}.{name}", task))
                    for consume in service.consumes:
                        slower = replace(consume, max_wait=POLL, drain_every=POLL)
                        for name in consume.names:
                            consumer = _Consumer(database, log, slower, metrics=metrics)
                            group.create_task(supervisor.keep(f"consumer.{name}", consumer.run))

    def _serve_api(self, services: Sequence[Service], runtime: Runtime) -> None:
        face = replace(
            self.blueprint.face,
            database=runtime.database,
            clock=runtime.clock,
            ids=self.ids,
            keyring=RING,
            authenticator=Authenticator(runtime.database, runtime.clock),
            routes=self.blueprint.facts(services),
        )
        self._mounts = {prefix: mount for service in services for prefix, mount in service.mounts.items()}
        self._edge = Edge(
            self.blueprint.api,
            face=face,
            limiter=RateLimiter(runtime.clock, rate=1e6, burst=10**6),
            metrics=runtime.metrics,
            limits=Limits(size=runtime.settings.api_body_limit, depth=runtime.settings.json_depth),
        )


class _Consumer(Consumer):
    """One that measures nothing."""

    async def _watch_turn(self) -> None:
        await asyncio.sleep(86_400)


def _slow_down(task: Any) -> None:
    timers = getattr(task, "__self__", None)
    if isinstance(timers, Timers):
        timers._poll = timedelta(seconds=2)
