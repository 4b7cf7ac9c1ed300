"""Server-sent events over ASGI: a response that ends when its source ends, when its client leaves, or stops reading."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.events.payload import Payload

HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    # Proxies that collect a response before they pass it on would deliver nothing.
    "X-Accel-Buffering": "no",
}

_ENCODER: Final = msgspec.json.Encoder()


def retry(milliseconds: int) -> bytes:
    """How soon the client should come back."""
    return b"retry: %d\n\n" % milliseconds


def event(name: str, data: bytes, *, number: int | None = None) -> bytes:
    """One event; `number` becomes the id from which the client resumes. JSON has no line breaks of its own."""
    head = b"" if number is None else b"id: %d\n" % number
    return b"%bevent: %b\ndata: %b\n\n" % (head, name.encode(), data)


def notice(name: str, facts: Payload | dict[str, object], *, number: int | None = None) -> bytes:
    """An event of the stream's own, or one without a place in the feed."""
    return event(name, _ENCODER.encode(facts), number=number)


def heartbeat(number: int) -> bytes:
    """A comment that keeps the connection; the id moves the client on past what its filters left out."""
    return b":\nid: %d\n\n" % number


class EventStream(Response):
    """Streams chunks; `patience` is how many seconds a client may take to read one."""

    def __init__(self, chunks: AsyncIterator[bytes], *, patience: float) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._chunks = chunks
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pumps until the source ends or the client is gone; the source is closed in either case."""
        del scope
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with asyncio.TaskGroup() as group:
            pumping = group.create_task(self._pump(send))
            watching = group.create_task(self._until_gone(receive))
            await asyncio.wait((pumping, watching), return_when=asyncio.FIRST_COMPLETED)
            pumping.cancel()
            watching.cancel()

    async def _pump(self, send: Send) -> None:
        try:
            async for chunk in self._chunks:
                async with asyncio.timeout(self._patience):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            async with asyncio.timeout(self._patience):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            # It does not read; whatever we add would only wait in memory. The server drops the connection.
            return
        finally:
            await self._close()

    async def _close(self) -> None:
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
