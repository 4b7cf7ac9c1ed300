"""A response that goes out as it is made: it ends when its source ends, when its client leaves, or stops reading."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class Streamed(Response):
    """Streams chunks. `patience`: seconds that a client may take to read one; `lifetime`: for all, None for ever."""

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        *,
        headers: Mapping[str, str],
        patience: float,
        lifetime: float | None = None,
    ) -> None:
        # Proxies that collect a response before they pass it on would deliver nothing.
        super().__init__(headers={"X-Accel-Buffering": "no", **headers})
        del self.headers["content-length"]
        self._chunks = chunks
        self._patience = patience
        self._lifetime = lifetime

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
            async with asyncio.timeout(self._lifetime):
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
