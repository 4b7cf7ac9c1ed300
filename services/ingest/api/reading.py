"""Bodies of webhooks: bounded while they are read, given up when they do not arrive, and cheap when they are there."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from shared.clock import Clock
from shared.errors import BadRequest, BodyTooLarge

WITHIN: Final = 30.0
"""Seconds that a body may take to arrive."""

_EVERY: Final = 1.0


class Reader:
    """Almost every body is there when it is asked for: one watch over all that are not costs less than a timer each."""

    def __init__(self, clock: Clock, *, limit: int, within: float = WITHIN) -> None:
        self._clock = clock
        self._limit = limit
        self._within = within
        self._reading: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()

    async def read(self, receive: Receive, headers: Mapping[str, str], *, since: float) -> bytes:
        """A whole body; BodyTooLarge as soon as that is certain, BadRequest when it comes too slowly."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._reading[task] = since
        try:
            message = await receive()
            if message.get("more_body") or message["type"] != "http.request":
                return await self._rest(message, receive, headers)
            return self._whole(message.get("body", b""))
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            self._late.discard(task)
            task.uncancel()
            raise BadRequest(
                f"the body did not arrive within {self._within:.0f} s", headers={"Connection": "close"}
            ) from None
        finally:
            del self._reading[task]

    async def watch(self) -> None:
        """Gives up what takes too long, until cancelled."""
        while True:
            await asyncio.sleep(min(_EVERY, self._within))
            too_old = self._clock.elapsed() - self._within
            for task, since in self._reading.items():
                if since < too_old and task not in self._late:
                    self._late.add(task)
                    task.cancel()

    async def _rest(self, message: Any, receive: Receive, headers: Mapping[str, str]) -> bytes:
        announced = headers.get("content-length", "")
        if announced.isascii() and announced.isdigit() and int(announced) > self._limit:
            raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        while True:
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._limit:
                raise self._too_large()
            chunks.append(chunk)
            if not message.get("more_body"):
                return b"".join(chunks)
            message = await receive()

    def _whole(self, body: bytes) -> bytes:
        if len(body) > self._limit:
            raise self._too_large()
        return body

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"a body may have {self._limit} bytes here", limit=self._limit)
