"""A face behind a real socket, and clients that decide about every byte they send."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from shared.web import server
from shared.web.app import App

TURNS = 5
"""Rounds of the event loop in which bytes that were written surely reach the other end of a loopback socket."""


@dataclass(frozen=True, slots=True)
class Read:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes


class Line:
    """A connection, raw."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *parts: bytes) -> None:
        """Each part in a packet of its own."""
        for part in parts:
            self._writer.write(part)
            for _ in range(TURNS):
                await asyncio.sleep(0)

    async def read(self) -> Read:
        """The next response, whole."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return Read(int(head[0].split()[1]), headers, body)

    async def is_closed(self) -> bool:
        """Whether the server has nothing more to say; waits until that is known."""
        return await self._reader.read(1) == b""

    def close(self) -> None:
        """Leaves, whatever is on its way."""
        self._writer.close()


@dataclass(slots=True)
class Served:
    """A server that runs."""

    url: str
    stop: asyncio.Event
    task: "asyncio.Task[None]"

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        """A connection to it."""
        at = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(at.hostname, at.port)
        try:
            yield Line(reader, writer)
        finally:
            writer.close()

    async def asked(self, *parts: bytes, answers: int = 1) -> Sequence[Read]:
        """What comes back on a connection of its own."""
        async with self.line() as line:
            await line.send(*parts)
            return [await line.read() for _ in range(answers)]


@asynccontextmanager
async def served(app: App, *, keep_alive: timedelta = server.KEEP_ALIVE) -> AsyncIterator[Served]:
    """A face on a socket of its own; it stops with the block and finishes what runs."""
    listener = server.listen("127.0.0.1", 0)
    stop, started = asyncio.Event(), asyncio.Event()
    grace = timedelta(seconds=5)
    async with asyncio.TaskGroup() as group:
        serving = server.serve(app, listener, stop=stop, grace=grace, started=started.set, keep_alive=keep_alive)
        task = group.create_task(serving)
        await started.wait()
        yield Served(server.url_of(listener), stop, task)
        stop.set()
