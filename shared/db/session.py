"""A connection that can send a statement ahead of another one, so that both are answered in one round trip."""

import asyncio
import struct
from typing import Any, Final

import asyncpg

_HEAD: Final = struct.Struct("!ci")
"""Of a message of the protocol: its kind, and its length without the kind."""

_FOR_ANYBODY: Final = b"SNA"
"""A changed setting, a notice, a notification: they come at any time, and asyncpg expects them."""


class Session(asyncpg.Connection):  # type: ignore[misc]
    """asyncpg's, and `send_ahead`."""

    __slots__ = ("_lane",)

    def __init__(self, protocol: Any, transport: Any, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        self._lane = _Lane(protocol, transport)

    def send_ahead(self, sql: str) -> None:
        """Sends it before the next statement, and waits for nothing; if it fails, the connection is lost.

        It goes as a simple query (PostgreSQL documentation, "Message Flow"): any number of statements, without
        arguments. The next statement is on its way before the answer is known, so it must do no harm where this one
        failed.
        """
        self._lane.send(sql)


class _Lane(asyncio.Protocol):
    """Between transport and asyncpg: keeps from it the answers to what it did not ask."""

    def __init__(self, protocol: Any, transport: Any) -> None:
        self._protocol = protocol
        self._transport = transport
        self._expected = 0
        """Answers that are not for asyncpg; they come before the others."""
        self._unread = b""
        transport.set_protocol(self)

    def send(self, sql: str) -> None:
        if self._transport.is_closing():
            # Whatever comes next will find out.
            return
        self._expected += 1
        raw = sql.encode()
        self._transport.write(b"".join((_HEAD.pack(b"Q", len(raw) + 5), raw, b"\0")))

    def data_received(self, data: bytes) -> None:
        if self._expected:
            data = self._without_answers(self._unread + data)
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

    def _without_answers(self, data: bytes) -> bytes:
        passed = b""
        at = 0
        while self._expected and len(data) >= at + _HEAD.size:
            kind, length = _HEAD.unpack_from(data, at)
            end = at + 1 + length
            if len(data) < end:
                break
            if kind == b"E":
                # Whoever waits for the next statement hears that the connection is lost.
                self._transport.abort()
                return passed
            if kind in _FOR_ANYBODY:
                passed += data[at:end]
            self._expected -= kind == b"Z"
            at = end
        if self._expected:
            self._unread = data[at:]
            return passed
        self._unread = b""
        return passed + data[at:]
