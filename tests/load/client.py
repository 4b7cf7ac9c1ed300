"""The load generator: raw requests over keep-alive connections, from a process and a core of its own.

`python -m tests.load.client CORE` answers each line of its input (Asked) with one of output, and ends with its input.
"""

import asyncio
import contextlib
import sys
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import cycle
from typing import Any, Final

import msgspec
import uvloop

from tests.load import bodies, process
from tests.load.report import percentile

_END_OF_HEAD: Final = b"\r\n\r\n"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to send: `distinct` requests, in turn; each once only where `once`."""

    port: int
    path: str
    distinct: int
    once: bool = False
    connections: int = 64


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A line of input: prepare an order under a name, or measure what has that name."""

    name: str
    order: Order | None = None
    warm_up: float = 0.0
    seconds: float = 0.0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured after the warm-up."""

    per_second: float
    p50_ms: float
    p99_ms: float
    statuses: dict[str, int]
    busy: float
    """Share of its core that the client itself used: near 1 means that it was the limit."""


class Connection(asyncio.Protocol):
    """One request at a time; what comes back is only measured and looked at for its status."""

    def __init__(self, done: "Callable[[Connection, bytes], None]", lost: "Callable[[Connection], None]") -> None:
        self._done = done
        self._lost = lost
        self._buffer = b""
        self._usual = -1
        self._write: Any = None
        self._transport: Any = None
        self.sent = 0.0
        self.tag: Any = None
        """Whatever the owner wants to know when the answer comes."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._write = transport.write

    def send(self, request: bytes) -> None:
        """The next request; the one before was answered."""
        self.sent = time.perf_counter()
        self._write(request)

    def data_received(self, data: bytes) -> None:
        # Almost always the whole of an answer that is as long as the one before.
        if self._buffer:
            data = self._buffer + data
        if len(data) != self._usual:
            total = self._total(data)
            if total < 0 or len(data) < total:
                self._buffer = data
                return
            self._usual = total
        self._buffer = b""
        self._done(self, data)

    def connection_lost(self, error: Exception | None) -> None:
        self._lost(self)

    def close(self) -> None:
        """No more requests."""
        if self._transport is not None:
            self._transport.close()

    @staticmethod
    def _total(data: bytes) -> int:
        end = data.find(_END_OF_HEAD)
        if end < 0:
            return -1
        head = data[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        if at < 0:
            raise RuntimeError("the server answered without Content-Length")
        stop = head.find(b"\r\n", at + 2)
        return end + len(_END_OF_HEAD) + int(head[at + 17 : stop if stop > 0 else end])


@cache
def _requests(path: str, distinct: int) -> list[bytes]:
    return [bodies.request(path, body) for body in bodies.three_messages(distinct)]


class ClosedLoop:
    """Every connection sends its next request as soon as the last one is answered."""

    def __init__(self, order: Order) -> None:
        self._order = order
        made = _requests(order.path, order.distinct)
        self._requests: Iterator[bytes] = iter(made) if order.once else cycle(made)
        self._reset()

    def _reset(self) -> None:
        self._latencies = array("d")
        self._statuses: Counter[bytes] = Counter()
        self._is_measuring = False
        self._is_over = False
        self._dropped = 0
        self._ended = 0.0
        self._exhausted = asyncio.Event()

    async def measure(self, *, warm_up: float, seconds: float) -> Answer:
        """Sends for that long."""
        self._reset()
        loop = asyncio.get_running_loop()
        connections: list[Connection] = []
        for _ in range(self._order.connections):
            _, connection = await loop.create_connection(
                lambda: Connection(self._answered, self._lost), "127.0.0.1", self._order.port
            )
            connections.append(connection)
        for connection in connections:
            self._next(connection)
        await asyncio.sleep(warm_up)
        self._is_measuring = True
        started, used = time.perf_counter(), time.process_time()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._exhausted.wait()
        self._is_measuring = False
        took, busy = (self._ended or time.perf_counter()) - started, time.process_time() - used
        self._is_over = True
        await asyncio.sleep(0.2)
        for connection in connections:
            connection.close()
        ordered = sorted(self._latencies)
        statuses = {status.decode("latin-1"): count for status, count in self._statuses.items()}
        if self._dropped:
            statuses["connection lost"] = self._dropped
        return Answer(
            per_second=len(ordered) / took,
            p50_ms=percentile(ordered, 0.50) * 1000,
            p99_ms=percentile(ordered, 0.99) * 1000,
            statuses=statuses,
            busy=busy / took,
        )

    def _next(self, connection: Connection) -> None:
        if self._is_over:
            return
        request = next(self._requests, None)
        if request is None:
            self._is_over = True
            self._ended = time.perf_counter()
            self._exhausted.set()
            return
        connection.send(request)

    def _answered(self, connection: Connection, data: bytes) -> None:
        if self._is_measuring:
            self._latencies.append(time.perf_counter() - connection.sent)
        self._statuses[data[9:12]] += 1
        self._next(connection)

    def _lost(self, _: Connection) -> None:
        self._dropped += not self._is_over


async def _main() -> None:
    process.pin(int(sys.argv[1]))
    loop = asyncio.get_running_loop()
    loads: dict[str, ClosedLoop] = {}
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = msgspec.json.decode(line, type=Asked)
        if asked.order is not None:
            loads[asked.name] = ClosedLoop(asked.order)
            process.say({"ready": asked.name})
        else:
            answer = await loads[asked.name].measure(warm_up=asked.warm_up, seconds=asked.seconds)
            process.say(msgspec.to_builtins(answer))


if __name__ == "__main__":
    uvloop.run(_main())
