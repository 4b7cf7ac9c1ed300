"""What our webhook path is compared with, each in a process and on a core of its own.

`python -m tests.load.servers floor|raw|idiom|row-per-request CORE [DSN]` prints its port, and serves until it is ended.
"""

import asyncio
import hashlib
import hmac
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import httptools
import uvicorn
import uvloop

from tests.load import bodies, process

POOL: Final = 16

_KEY: Final = bodies.SECRET.encode()
_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nEVENT_RECEIVED"
_REFUSAL: Final = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"


def is_authentic(given: str, body: bytes) -> bool:
    """The least that the work is: one HMAC, compared in constant time."""
    return hmac.compare_digest(given, "sha256=" + hmac.digest(_KEY, body, hashlib.sha256).hex())


class Floor(asyncio.Protocol):
    """Nothing but a parser, the signature and a typed decode."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)
        self._signature = ""
        self._body = b""

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-hub-signature-256":
            self._signature = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        body, self._body = self._body, b""
        if is_authentic(self._signature, body):
            bodies.DECODE(body)
            self._transport.write(_ANSWER)
        else:
            self._transport.write(_REFUSAL)


class Raw:
    """Raw ASGI with the floor's work: what uvicorn leaves of it."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        signature = dict(scope["headers"]).get(b"x-hub-signature-256", b"").decode("latin-1")
        status = 401
        if is_authentic(signature, body):
            bodies.DECODE(body)
            await self.keep(body)
            status = 200
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def keep(self, body: bytes) -> None:
        """Nothing."""


class RowPerRequest(Raw):
    """The same, with one INSERT of its own through a pool."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def keep(self, body: bytes) -> None:
        """Durable once it returns."""
        await self._pool.execute(
            "INSERT INTO inbox (channel_id, delivery_key, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            "chn_1",
            hashlib.sha256(body).hexdigest(),
            body,
        )


@asynccontextmanager
async def _pool(dsn: str) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    async with asyncpg.create_pool(dsn, min_size=POOL, max_size=POOL) as pool:
        await pool.execute(
            "CREATE TABLE IF NOT EXISTS inbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, channel_id text,"
            " delivery_key text, body bytea, received_at timestamptz DEFAULT now(), UNIQUE (channel_id, delivery_key))"
        )
        yield pool


async def _serve_floor(stop: asyncio.Event) -> None:
    server = await asyncio.get_running_loop().create_server(Floor, "127.0.0.1", 0)
    process.say({"port": server.sockets[0].getsockname()[1]})
    await stop.wait()
    server.close()


async def _serve_uvicorn(app: Any, stop: asyncio.Event) -> None:
    """As `uvicorn app:app` with the [standard] extras would, without the access log."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    running = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(running.serve(sockets=[listener]))
        while not running.started:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.01)
        process.say({"port": listener.getsockname()[1]})
        await stop.wait()
        running.should_exit = True
        await serving


async def _main() -> None:
    name, core, *rest = sys.argv[1:]
    process.pin(int(core))
    stop = process.until_told()
    match name:
        case "floor":
            await _serve_floor(stop)
        case "raw":
            await _serve_uvicorn(Raw(), stop)
        case "idiom":
            from tests.load import idiom

            await _serve_uvicorn(idiom.app(is_authentic), stop)
        case "row-per-request":
            async with _pool(rest[0]) as pool:
                await _serve_uvicorn(RowPerRequest(pool), stop)
        case _:
            raise SystemExit(f"there is no server {name}")


if __name__ == "__main__":
    uvloop.run(_main())
