"""A process starts with everything or not at all, and leaves without dropping what it had accepted."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import structlog
from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from shared.db.scope import Owner, Workspace
from shared.db.transaction import Transaction
from shared.errors import Misconfigured
from shared.events import messages
from shared.events.catalogue import MESSAGES
from shared.events.envelope import Event
from shared.host import Runtime, Service, inert_runtime, migrate_database, openapi_document, serve
from shared.log.consumer import Consume
from shared.settings import KernelSettings
from tests.support import api
from tests.support.postgres import migrate_all, open_database


@pytest.fixture(autouse=True)
def logging_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`serve` configures the logging of its process, which here is the tests' too."""
    monkeypatch.setattr("shared.telemetry.logs.configure", lambda **_: None)
    yield
    structlog.reset_defaults()


def settings(dsn: str, **changes: Any) -> KernelSettings:
    """Any free port, on a database that is there."""
    return KernelSettings(
        database_url=dsn,
        port=0,
        log_partitions=4,
        sealing_keys="A" * 43 + "=",
        **{"shutdown_grace_ms": 5_000, **changes},
    )


@dataclass
class Demo:
    """A service with one of everything."""

    seen: list[str] = field(default_factory=list)
    events: asyncio.Event = field(default_factory=asyncio.Event)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: list[str] = field(default_factory=list)

    def build(self, runtime: Runtime) -> Service:
        router = APIRouter()

        @router.get("/v1/slow", operation_id="slow")
        async def slow(call: api.Anyone) -> Response:
            self.entered.set()
            await self.leave.wait()
            return call.answer({"done": True})

        @router.get("/v1/endless", operation_id="endless")
        async def endless(call: api.Anyone) -> Response:
            async def lines() -> AsyncIterator[bytes]:
                yield b"first\n"
                self.entered.set()
                await runtime.stopping.wait()
                yield f"last of {call.workspace_id}\n".encode()

            return StreamingResponse(lines())

        async def forever() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.append("forever")
                raise

        return Service(
            name=runtime.service,
            router=router,
            consumes=[Consume(group="demo", topics=[MESSAGES], schema="demo", handler=self.on_messages, members=2)],
            tasks={"forever": forever},
        )

    async def on_messages(self, _: Transaction, events: Sequence[Event]) -> None:
        self.seen += [event.key for event in events]
        self.events.set()


@asynccontextmanager
async def serving(
    builders: dict[str, Callable[[Runtime], Service]], chosen: KernelSettings, **options: Any
) -> AsyncIterator[tuple[str, asyncio.Event, "asyncio.Task[None]"]]:
    """A served process: its URL, what stops it, and its task."""
    urls: asyncio.Queue[str] = asyncio.Queue()
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(
            serve(builders, chosen, schemas=[], ready=lambda url, _: urls.put_nowait(url), stop=stop, **options)
        )
        yield await urls.get(), stop, task
        stop.set()


async def until(question: Callable[[], Awaitable[bool]]) -> None:
    """Asks until the answer is yes; the test's own time limit ends it otherwise."""
    while not await question():  # noqa: ASYNC110 - readiness can only be asked for
        await asyncio.sleep(0.02)


async def test_a_process_serves_consumes_and_leaves(dsn: str) -> None:
    demo = Demo()
    async with open_database(dsn) as database:
        await api.new_workspace(database)
        async with serving({"demo": demo.build}, settings(dsn)) as (url, _, _), httpx.AsyncClient(base_url=url) as http:

            async def is_ready() -> bool:
                return (await http.get("/readyz")).status_code == 200

            await until(is_ready)
            async with database.transaction(Workspace("w1")) as tx:
                tx.emit(_event(), key="conversation")
            await demo.events.wait()

    assert demo.seen == ["conversation"]
    assert demo.cancelled == ["forever"]


async def test_requests_that_run_are_finished_and_streams_end_before_the_process(dsn: str) -> None:
    demo = Demo()
    async with open_database(dsn) as database:
        await api.new_workspace(database)
        headers = {"Authorization": f"Bearer {await api.new_key(database)}"}
    async with (
        serving({"demo": demo.build}, settings(dsn)) as (url, stop, task),
        httpx.AsyncClient(base_url=url, headers=headers) as http,
        asyncio.TaskGroup() as group,
    ):
        slow = group.create_task(http.get("/v1/slow"))
        await demo.entered.wait()
        demo.entered.clear()
        endless = group.create_task(http.get("/v1/endless"))
        await demo.entered.wait()

        stop.set()
        streamed = await endless
        demo.leave.set()
        answered = await slow
        await task

    assert streamed.text == "first\nlast of w1\n"
    assert (answered.status_code, answered.json()) == (200, {"done": True})


async def test_readiness_names_a_consumer_that_has_not_joined(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def never(*_: object, **__: object) -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield

    monkeypatch.setattr("shared.log.postgres.PostgresLog.subscribe", never)
    chosen = settings(dsn, shutdown_grace_ms=100)
    async with serving({"demo": Demo().build}, chosen) as (url, _, _), httpx.AsyncClient(base_url=url) as http:
        answer = await http.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["waiting_for"] == {"consumers": "have not joined: consumer.demo, consumer.demo-2"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_process_in_order(dsn: str, number: signal.Signals) -> None:
    demo = Demo()
    async with serving({"demo": demo.build}, settings(dsn)) as (_, _, task):
        os.kill(os.getpid(), number)
        await task

    assert demo.cancelled == ["forever"]


async def test_what_an_operator_must_change_ends_the_process_by_its_own_name(dsn: str) -> None:
    async def broken() -> None:
        raise Misconfigured("the tea is cold")

    def build(runtime: Runtime) -> Service:
        return Service(name=runtime.service, router=APIRouter(), tasks={"broken": broken})

    with pytest.raises(Misconfigured, match="tea"):
        await serve({"demo": build}, settings(dsn), schemas=[])


async def test_a_task_that_fails_is_started_again_and_the_process_lives(dsn: str) -> None:
    runs: asyncio.Queue[int] = asyncio.Queue()

    async def fragile() -> None:
        runs.put_nowait(1)
        raise ValueError("bug")

    def build(runtime: Runtime) -> Service:
        return Service(name=runtime.service, router=APIRouter(), tasks={"fragile": fragile})

    async with serving({"demo": build}, settings(dsn)) as (url, _, _), httpx.AsyncClient(base_url=url) as http:
        await runs.get()
        await runs.get()
        metrics = await http.get("/metrics")

    assert 'baton_task_failures_total{task="demo.fragile"}' in metrics.text


async def test_a_taken_port_is_told_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        chosen = settings("postgresql://nobody@/none?host=/nowhere").model_copy(update={"port": taken.getsockname()[1]})
        with pytest.raises(Misconfigured, match="cannot listen"):
            await serve({}, chosen, schemas=[])


async def test_what_is_prepared_is_announced_with_the_url(dsn: str) -> None:
    heard: list[tuple[str, Any]] = []
    stop = asyncio.Event()

    async def prepare(runtime: Runtime) -> dict[str, str]:
        return {"schema": runtime.service}

    def ready(url: str, prepared: Any) -> None:
        heard.append((url, prepared))
        stop.set()

    await serve({}, settings(dsn), schemas=[], prepare=prepare, ready=ready, stop=stop)

    assert heard[0][0].startswith("http://127.0.0.1:")
    assert heard[0][1] == {"schema": "platform"}


async def test_a_process_that_does_not_migrate_waits_for_one_that_does(server: Any) -> None:
    from tests.support.demo import SCHEMA

    stop, started = asyncio.Event(), asyncio.Event()
    with server.database() as dsn:
        async with open_database(dsn) as database, database.transaction(Owner()) as tx:
            await tx.execute("DROP SCHEMA demo CASCADE")

        def ready(*_: object) -> None:
            started.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(serve({}, settings(dsn), schemas=[SCHEMA], migrate=False, ready=ready, stop=stop))
            await asyncio.sleep(0.2)
            assert not started.is_set()
            await migrate_all(dsn)
            await started.wait()
            stop.set()


@pytest.mark.parametrize("migrate", [False, True], ids=["unmigrated", "away"])
async def test_a_process_that_waits_to_start_can_be_stopped(server: Any, *, migrate: bool) -> None:
    from tests.support.demo import SCHEMA

    stop = asyncio.Event()
    with server.database() as dsn:
        async with open_database(dsn) as database, database.transaction(Owner()) as tx:
            await tx.execute("DROP SCHEMA demo CASCADE")
        where = settings("postgresql://nobody@/none?host=/nowhere" if migrate else dsn)
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            group.create_task(serve({}, where, schemas=[SCHEMA], migrate=migrate, stop=stop))
            await asyncio.sleep(0.2)
            stop.set()


async def test_migrating_twice_changes_nothing_the_second_time(dsn: str) -> None:
    from tests.support.demo import SCHEMA

    assert await migrate_database(settings(dsn), [SCHEMA]) == []


def test_documents_need_no_database() -> None:
    document = openapi_document([Demo().build(inert_runtime("demo"))])

    assert "/v1/slow" in document["paths"]
    assert json.dumps(document)


def _event() -> messages.ChannelChanged:
    return messages.ChannelChanged(
        workspace_id="w1", channel_id="c", network="n", name="x", external_id="e", purpose="brand", state="active"
    )
