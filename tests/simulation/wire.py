"""asyncpg without an event loop: what is sent is waited for by hand, for a loop costs more than most statements."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

import asyncpg

PATIENCE: Final = 0.003
"""Seconds after which somebody should look whether a statement waits for a lock."""

_TIMEVAL: Final = struct.pack("ll", 0, round(PATIENCE * 1e6))
_MOST: Final = 1 << 18


class Wire(asyncio.Transport):
    """A socket that asyncpg writes to and, once it is connected, hears of only when it is asked to."""

    def __init__(self, loop: "Loop", sock: socket.socket, protocol: Any) -> None:
        super().__init__({"socket": sock})
        self._loop = loop
        self._socket = sock
        self._protocol = protocol
        loop.add_reader(sock.fileno(), self.receive)

    def by_hand(self) -> None:
        """From now on `receive` waits, and nobody else calls it."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.setblocking(True)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL)

    def receive(self) -> bool:
        """What the server says next; False if it says nothing for a while."""
        try:
            said = self._socket.recv(_MOST)
        except BlockingIOError:
            return False
        if not said:
            self.abort()
            self._protocol.connection_lost(None)
            return True
        self._protocol.data_received(said)
        return True

    def write(self, data: Any) -> None:
        """All of it, at once."""
        self._socket.sendall(data)

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """Likewise."""
        self.write(b"".join(list_of_data))

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self._socket.fileno() < 0

    def abort(self) -> None:
        """Closes the socket."""
        if not self.is_closing():
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    close = abort


class Loop(asyncio.SelectorEventLoop):
    """Runs while something connects; of the futures of what is driven by hand nobody else needs to hear."""

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        """As asyncio's, while it runs."""
        return super().call_soon(callback, *args, context=context) if asyncio._get_running_loop() is self else None

    def complete(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Runs until this is done, inside a step of another loop."""
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            task = self.create_task(work)
            while not task.done():
                self._run_once()  # type: ignore[attr-defined]
            return task.result()
        finally:
            asyncio._set_running_loop(outer)

    def _make_socket_transport(
        self, sock: socket.socket, protocol: Any, waiter: Any = None, *, extra: Any = None, server: Any = None
    ) -> Wire:
        del extra, server
        wire = Wire(self, sock, protocol)
        self.call_soon(protocol.connection_made, wire)
        self.call_soon(lambda: waiter is None or waiter.done() or waiter.set_result(None))
        return wire


class Work:
    """Something that is asked of the server: begun at once, done when it is."""

    __slots__ = ("_coroutine", "_waiter", "_wire", "error", "is_done", "result")

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", coroutine: Coroutine[Any, Any, Any]) -> None:
        self._wire = wire_of(connection)
        self._coroutine = coroutine
        self._waiter: Any = None
        self.is_done = False
        self.result: Any = None
        self.error: Exception | None = None
        self._advance()

    def wait(self) -> bool:
        """Until it is done (True), or the server says nothing for a while."""
        while not self.is_done:
            if not self._wire.receive():
                return False
            self._advance()
        return True

    def _advance(self) -> None:
        try:
            while self._waiter is None or self._waiter.done():
                self._waiter = self._coroutine.send(None)
        except StopIteration as end:
            self.is_done, self.result = True, end.value
        except Exception as error:  # noqa: BLE001 - goes to whoever asked
            self.is_done, self.error = True, error


def wire_of(connection: "asyncpg.Connection[asyncpg.Record]") -> Wire:
    """What a connection was made on."""
    wire = connection._transport
    assert isinstance(wire, Wire)
    return wire


def done(connection: "asyncpg.Connection[asyncpg.Record]", coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What comes of it, however long it takes."""
    work = Work(connection, coroutine)
    while not work.wait():
        pass
    if work.error:
        raise work.error
    return work.result


def closed(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Ends a connection."""
    with contextlib.suppress(OSError):
        connection.terminate()
