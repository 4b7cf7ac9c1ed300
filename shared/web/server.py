"""The HTTP server of a process: uvicorn on a socket that is bound before anything else starts."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Final, cast

import uvicorn

from shared.errors import Misconfigured
from shared.web.app import App
from shared.web.hooks import HookProtocol

KEEP_ALIVE: Final = timedelta(seconds=75)
"""Longer than load balancers keep idle connections, so that they never send into one that we just closed."""


class _Server(uvicorn.Server):
    """Leaves signals to the host, and says when it is up."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._started = started

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started()


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes any free one. Misconfigured says who else may have it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise Misconfigured(
            f"cannot listen on {host} port {port} ({error.strerror}): another process has it, or the address is not "
            "this machine's; see BATON_HOST and BATON_PORT"
        ) from error


def url_of(listener: socket.socket) -> str:
    """Where clients on this machine find the server."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(
    app: App,
    listener: socket.socket,
    *,
    stop: asyncio.Event,
    grace: timedelta,
    started: Callable[[], None],
    keep_alive: timedelta = KEEP_ALIVE,
) -> None:
    """Serves until stopped; then accepts nothing more, and gives running requests so long to finish."""
    config = uvicorn.Config(
        app,
        # What uvicorn calls with a configuration, to get a protocol: a class only by its annotation.
        http=cast("Any", partial(HookProtocol, hooks=app.hooks)),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=round(keep_alive.total_seconds()),
        timeout_graceful_shutdown=max(1, round(grace.total_seconds())),
    )
    server = _Server(config, started)

    async def end() -> None:
        await stop.wait()
        server.should_exit = True

    with closing(listener):
        async with asyncio.TaskGroup() as group:
            ending = group.create_task(end())
            try:
                await server.serve(sockets=[listener])
            finally:
                ending.cancel()
                # Cut off, uvicorn leaves the loop watching a descriptor that the next socket would get.
                for each in getattr(server, "servers", ()):
                    each.close()
