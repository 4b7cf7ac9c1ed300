"""A connection whose transactions begin with their first statement and end with their last, each in one round trip."""

import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final

import asyncpg
from asyncpg import protocol as asyncpg_protocol

Asked = tuple[str, ...]
"""SQL and its arguments, as Postgres writes them."""

_HEAD: Final = struct.Struct("!ci")
"""Of a message of the protocol: its kind, and its length without the kind."""

_BIND: Final = ord("B")
_DONE: Final = b"C"
_ERROR: Final = b"E"
_FOR_ANYBODY: Final = b"SNA"
"""A changed setting, a notice, a notification: they come at any time, and asyncpg expects them."""

_SHORT: Final = struct.Struct("!h")
_LONG: Final = struct.Struct("!i")


def _message(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return _HEAD.pack(kind, len(body) + 4) + body


_SYNC: Final = _message(b"S")
_EXECUTE: Final = _message(b"E", b"\0", _LONG.pack(0))
"""All rows of the portal without a name."""


class Session(asyncpg.Connection):  # type: ignore[misc]
    """asyncpg's, and what goes ahead of a statement or behind it."""

    __slots__ = ("_is_last",)

    def __init__(self, *connected: Any) -> None:
        super().__init__(*connected)
        self._is_last = False

    def send_ahead(self, *asked: Asked, end: str = "") -> None:
        """Sends these with the next statement, before it. Nobody gets their rows; if one fails, the connection is lost.

        The server does none of what comes behind a failure (PostgreSQL documentation, "Pipelining"). `end` is for
        `fetchrow_and_end`.
        """
        self._protocol.lane.send_ahead(asked, end)

    async def fetchrow_and_end(self, sql: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row of a statement, once the `end` that was said last is done, too; the error of either.

        Where the statement fails, that is not done: its transaction is still open.
        """
        self._is_last = True
        try:
            return await self.fetchrow(sql, *arguments)
        finally:
            self._is_last = self._protocol.lane.ends = False

    async def _do_execute(self, query: str, executor: Any, *rest: Any, **named: Any) -> Any:
        if not self._is_last:
            return await super()._do_execute(query, executor, *rest, **named)
        self._is_last = False

        def executing(statement: Any, timeout: float | None) -> Any:
            # Only now: to prepare a statement, asyncpg may have to ask for the types in it.
            self._protocol.lane.ends = True
            return executor(statement, timeout)

        return await super()._do_execute(query, executing, *rest, **named)


class _Lane:
    """asyncpg's transport: adds to what is sent, and keeps from asyncpg the answers to what it did not ask."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._prepared: dict[str, bytes] = {}
        """Names that the server knows statements by, or will before it is asked for them."""
        self._ahead: list[bytes] = []
        self._kept = 0
        """Answers that are still kept from asyncpg; all that come after these are its own."""
        self._unread = b""
        self._end = b""
        """The name of what goes behind the last statement."""
        self.ends = False
        """Whether that is the one whose arguments are sent next."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def send_ahead(self, asked: Iterable[Asked], end: str) -> None:
        # Prepared here, because a failure of the statement before it would keep the server from doing so.
        if end:
            self._end = self._prepare(end)
        for sql, *arguments in asked:
            self._ahead += [_bound(self._prepare(sql), arguments), _EXECUTE]
            self._kept += 1

    def write(self, data: bytes | memoryview) -> None:
        parts, self._ahead = [*self._ahead, data], []
        if self.ends and data[0] == _BIND:
            self.ends = False
            parts[-1:] = [data[: -len(_SYNC)], _bound(self._end, ()), _EXECUTE, _SYNC]
        self._transport.write(b"".join(parts) if len(parts) > 1 else data)

    def writelines(self, several: Iterable[bytes | memoryview]) -> None:
        self.write(b"".join(several))

    def answered(self, data: bytes) -> bytes:
        """What of this is for asyncpg."""
        if not self._kept:
            return data
        data = self._unread + data
        passed: list[bytes] = []
        at = 0
        while self._kept and len(data) >= at + _HEAD.size:
            kind, length = _HEAD.unpack_from(data, at)
            end = at + 1 + length
            if len(data) < end:
                break
            if kind == _ERROR:
                # Whoever waits for the next statement hears that the connection is lost.
                self._transport.abort()
                return b"".join(passed)
            if kind in _FOR_ANYBODY:
                passed.append(data[at:end])
            self._kept -= kind == _DONE
            at = end
        self._unread = data[at:] if self._kept else b""
        return b"".join(passed) + (b"" if self._kept else data[at:])

    def _prepare(self, sql: str) -> bytes:
        name = self._prepared.get(sql)
        if name is None:
            name = self._prepared[sql] = b"baton_%d" % len(self._prepared)
            self._ahead.append(_message(b"P", name, b"\0", sql.encode(), b"\0", _SHORT.pack(0)))
        return name


def _bound(name: bytes, arguments: Sequence[str]) -> bytes:
    """Arguments and rows as text."""
    values = [part for raw in map(str.encode, arguments) for part in (_LONG.pack(len(raw)), raw)]
    return _message(b"B", b"\0", name, b"\0", _SHORT.pack(0), _SHORT.pack(len(arguments)), *values, _SHORT.pack(0))


class _Protocol(asyncpg_protocol.Protocol):  # type: ignore[misc]
    """asyncpg's, on a lane."""

    lane: _Lane

    def connection_made(self, transport: Any) -> None:
        self.lane = _Lane(transport)
        super().connection_made(self.lane)

    def data_received(self, data: bytes) -> None:
        if data := self.lane.answered(data):
            super().data_received(data)


# asyncpg has no other place to say so. Where nothing is sent ahead or behind, it is the same.
asyncpg_protocol.Protocol = _Protocol
