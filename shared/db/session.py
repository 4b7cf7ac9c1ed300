"""A connection that can send a statement ahead of another one, or behind it, so that both take one round trip."""

import asyncio
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from enum import Enum
from types import coroutine
from typing import Any, Final

import asyncpg

_HEAD: Final = struct.Struct("!ci")
"""Of a message of the protocol: its kind, and its length without the kind."""

_READY: Final = b"Z"
_DONE: Final = b"C"
_ERROR: Final = b"E"
_FOR_ANYBODY: Final = b"SNA"
"""A changed setting, a notice, a notification: they come at any time, and asyncpg expects them."""


class Session(asyncpg.Connection):  # type: ignore[misc]
    """asyncpg's, and what goes ahead of a statement or behind it."""

    __slots__ = ("_behind", "_lane")

    def __init__(self, protocol: Any, transport: Any, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        self._lane = _Lane(protocol, transport)
        self._behind: Callable[[], None] | None = None

    def send_ahead(self, sql: str) -> None:
        """Sends it before the next statement, and waits for nothing; if it fails, the connection is lost.

        It goes as a simple query (PostgreSQL documentation, "Message Flow"): any number of statements, without
        arguments. The next statement is on its way before the answer is known, so it must do no harm where this one
        failed.
        """
        self._lane.send_ahead(sql)

    async def fetchrow_and_end(
        self, end: str, sent: Callable[[], None], sql: str, *arguments: Any
    ) -> asyncpg.Record | None:
        """The first row of a statement, once what ends its transaction is done, too; the error of either.

        `end` goes with the statement, and is executed if that fails as well: the transaction is undone then. `sent` is
        called when both are on their way: whatever is raised before, the transaction is still open.
        """

        def follow() -> None:
            self._lane.send_behind(end)
            sent()

        self._behind = follow
        try:
            return await self.fetchrow(sql, *arguments)
        finally:
            self._behind = None

    async def _do_execute(self, query: str, executor: Any, *rest: Any, **named: Any) -> Any:
        if (follow := self._behind) is None:
            return await super()._do_execute(query, executor, *rest, **named)
        self._behind = None

        # By now the statement is prepared: what is written next is its arguments.
        def executing(statement: Any, timeout: float | None) -> Awaitable[Any]:
            return _followed(executor(statement, timeout), follow)

        # Once only: where it fails, the transaction has ended.
        return await super()._do_execute(query, executing, *rest, **{**named, "retry": False})


@coroutine
def _followed(awaited: Awaitable[Any], follow: Callable[[], None]) -> Generator[Any, Any, Any]:
    """Awaits, and calls `follow` once that waits for an answer; never, where it fails before."""
    steps = awaited.__await__()
    try:
        waits_for = next(steps)
        follow()
        while True:
            try:
                got = yield waits_for
            except BaseException as error:  # noqa: BLE001 - a cancellation, too, is for who waits
                waits_for = steps.throw(error)
            else:
                waits_for = steps.send(got)
    except StopIteration as done:
        return done.value


class _Turn(Enum):
    """Whose answer comes next, up to the message that says that the server is ready."""

    AHEAD = 1
    """Nobody's."""
    OWN = 2
    """asyncpg's, which hears only from the next that the server is ready."""
    BEHIND = 3
    """The end of that: what was done goes unsaid, an error does not."""

    def keeps(self, kind: bytes) -> bool:
        """Whether a message of this kind is kept from asyncpg."""
        if kind in _FOR_ANYBODY:
            return False
        return self is _Turn.AHEAD or kind == (_READY if self is _Turn.OWN else _DONE)


class _Lane(asyncio.Protocol):
    """Between transport and asyncpg: keeps from it the answers to what it did not ask."""

    def __init__(self, protocol: Any, transport: Any) -> None:
        self._protocol = protocol
        self._transport = transport
        self._turns: deque[_Turn] = deque()
        """After these come answers that asyncpg gets as they are."""
        self._unread = b""
        transport.set_protocol(self)

    def send_ahead(self, sql: str) -> None:
        self._send(sql, _Turn.AHEAD)

    def send_behind(self, sql: str) -> None:
        self._send(sql, _Turn.OWN, _Turn.BEHIND)

    def _send(self, sql: str, *turns: _Turn) -> None:
        if self._transport.is_closing():
            # Whatever comes next will find out.
            return
        self._turns.extend(turns)
        raw = sql.encode()
        self._transport.write(b"".join((_HEAD.pack(b"Q", len(raw) + 5), raw, b"\0")))

    def data_received(self, data: bytes) -> None:
        if self._turns:
            data = self._meant_for_asyncpg(self._unread + data)
        if data:
            self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()  # type: ignore[no-any-return]

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def _meant_for_asyncpg(self, data: bytes) -> bytes:
        passed: list[bytes] = []
        at = 0
        while self._turns and len(data) >= at + _HEAD.size:
            kind, length = _HEAD.unpack_from(data, at)
            end = at + 1 + length
            if len(data) < end:
                break
            turn = self._turns[0]
            if kind == _ERROR and turn is _Turn.AHEAD:
                # Whoever waits for the next statement hears that the connection is lost.
                self._transport.abort()
                return b"".join(passed)
            if not turn.keeps(kind):
                passed.append(data[at:end])
            if kind == _READY:
                self._turns.popleft()
            at = end
        self._unread = data[at:] if self._turns else b""
        return b"".join(passed) + (b"" if self._turns else data[at:])
