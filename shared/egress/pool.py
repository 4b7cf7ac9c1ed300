"""Connections that are kept: each is used by one request after another to the same scheme, host and port."""

import asyncio
from typing import Final, Self

from shared.egress.answer import Broken
from shared.egress.connection import Connection
from shared.egress.dialling import Dialler
from shared.egress.outcome import Attempt, Response
from shared.egress.policy import Target

KEPT_FOR: Final = 30.0
"""Seconds that a connection may be idle."""


class Pool:
    """At most so many connections, idle ones included. Of those to one target the last one used is used first."""

    def __init__(self, dialler: Dialler, loop: asyncio.AbstractEventLoop, *, connections: int) -> None:
        self._dialler = dialler
        self._loop = loop
        self._most = connections
        self._slots = asyncio.Semaphore(connections)
        self._busy = 0
        self._open: set[Connection] = set()
        self._kept: dict[Target, list[Connection]] = {}
        self._idle: dict[Connection, tuple[float, Target]] = {}
        """Since when, and to where: the longest idle one is the first."""
        self._sweeping: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._emptied = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in tuple(self._open):
            connection.abort()
        if self._open:
            self._emptied.clear()
            await self._emptied.wait()

    async def exchange(
        self,
        target: Target,
        request: bytes,
        *,
        attempt: Attempt,
        deadline: float,
        body_limit: int,
        expects_body: bool = True,
    ) -> Response:
        """One request and its answer by the loop's `deadline`; else OSError, or what the gate says of the name.

        Nothing is sent twice: that a kept connection has ended may be told only after a request was handed to it.
        """
        if self._slots.locked():
            async with asyncio.timeout_at(deadline):
                await self._slots.acquire()
        else:
            await self._slots.acquire()
        self._busy += 1
        try:
            connection = self._take(target) or await self._dial(target, deadline)
            try:
                return await connection.ask(
                    request, attempt=attempt, deadline=deadline, body_limit=body_limit, expects_body=expects_body
                )
            finally:
                self._give_back(connection, target)
        finally:
            self._busy -= 1
            self._slots.release()

    def _take(self, target: Target) -> Connection | None:
        while kept := self._kept.get(target):
            connection = kept.pop()
            if not kept:
                del self._kept[target]
            del self._idle[connection]
            if connection.is_silent():
                return connection
            connection.abort()
        return None

    async def _dial(self, target: Target, deadline: float) -> Connection:
        if self._is_closed:
            raise Broken("the way out is closed")
        if self._busy + len(self._idle) > self._most:
            self._drop(next(iter(self._idle)))
        async with asyncio.timeout_at(deadline):
            return await self._dialler.dial(target, self._new, deadline=deadline)

    def _new(self) -> Connection:
        return Connection(self._loop, opened=self._opened, lost=self._lost)

    def _give_back(self, connection: Connection, target: Target) -> None:
        if self._is_closed or not connection.is_free():
            connection.abort()
            return
        self._kept.setdefault(target, []).append(connection)
        self._idle[connection] = self._loop.time(), target
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(KEPT_FOR, self._sweep)

    def _drop(self, connection: Connection) -> None:
        _, target = self._idle.pop(connection)
        kept = self._kept[target]
        kept.remove(connection)
        if not kept:
            del self._kept[target]
        connection.abort()

    def _opened(self, connection: Connection) -> None:
        self._open.add(connection)
        if self._is_closed:
            connection.abort()

    def _lost(self, connection: Connection) -> None:
        if connection in self._idle:
            self._drop(connection)
        self._open.discard(connection)
        if not self._open:
            self._emptied.set()

    def _sweep(self) -> None:
        """One timer for all of them, set anew for the one that is idle for longest."""
        self._sweeping = None
        now = self._loop.time()
        while self._idle:
            connection, (since, _) = next(iter(self._idle.items()))
            if since + KEPT_FOR > now:
                self._sweeping = self._loop.call_at(since + KEPT_FOR, self._sweep)
                return
            self._drop(connection)
