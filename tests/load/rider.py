"""One process that sends signed webhooks and follows the live stream: it knows when each message began and was pushed.

`python -m tests.load.rider` reads one Ticket as a line of JSON, answers each further line (Leg) with a Report, and
ends with its input. It is pinned to no core: the journey has all of them, the client included.
"""

import asyncio
import re
import sys
import time
from array import array
from collections import deque
from typing import Any, Final

import httptools
import msgspec
import uvloop

from tests.load import bodies, process
from tests.load.client import Connection
from tests.load.report import percentile

PATIENCE: Final = 30.0
"""Seconds that the last messages get to arrive."""

PAUSE: Final = 0.02
TICK: Final = 0.001

_MESSAGE: Final = re.compile(rb'"external_id":"m_(\d{12})"')
_ID: Final = re.compile(rb"^id: (\d+)$", re.MULTILINE)


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """Where to go, and how many messages to sign beforehand."""

    port: int
    path: str
    key: str
    prepared: int
    connections: int = 64


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """Either so many messages a second, whatever comes back, or at most so many on their way at once."""

    warm_up: float
    seconds: float
    rate: float = 0.0
    window: int = 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What happened after the warm-up; `first` and `last` are the numbers of all messages of this leg."""

    first: int
    last: int
    sent: int
    pushed: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    answer_p99_ms: float
    refused: list[int]
    missing: int
    """Acknowledged, and not on the stream in the end."""
    doubled: int
    reconnects: int
    used: float
    """Seconds of a core that this process used for the leg."""
    late_ms: float
    """How late, at worst, the open loop released a message: near the latencies it means that the client was too slow."""


class Stream(asyncio.Protocol):
    """The live stream, read as it comes; back with the last id whenever it ends."""

    def __init__(self, rider: "Rider") -> None:
        self._rider = rider
        self._parser = httptools.HttpResponseParser(self)
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        resume = f"Last-Event-ID: {self._rider.cursor}\r\n" if self._rider.cursor else ""
        request = (
            f"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self._rider.key}\r\n{resume}\r\n"
        )
        transport.write(request.encode())

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        if self._parser.get_status_code() == 200:
            self._rider.following.set()

    def on_body(self, body: bytes) -> None:
        whole, end, self._buffer = (self._buffer + body).rpartition(b"\n\n")
        if end:
            self._rider.read(whole)

    def connection_lost(self, error: Exception | None) -> None:
        self._rider.stream_lost()


class Rider:
    """All that is on its way."""

    def __init__(self, ticket: Ticket) -> None:
        self.key = ticket.key
        self.cursor = 0
        self.following = asyncio.Event()
        self._ticket = ticket
        self._requests = [bodies.request(ticket.path, bodies.one_message(number)) for number in range(ticket.prepared)]
        self._begun = array("d")
        self._seen = bytearray()
        self._waiting: deque[int] = deque()
        self._free: deque[Connection] = deque()
        self._reconnects = 0
        self._lost: asyncio.Event = asyncio.Event()
        self._start_leg(Leg(warm_up=0, seconds=0))

    def _start_leg(self, leg: Leg) -> None:
        self._leg = leg
        self._first = len(self._begun)
        self._outstanding = 0
        self._measured_from = float("inf")
        self._measured_to = float("inf")
        self._latencies = array("d")
        self._answers = array("d")
        self._refused: list[int] = []
        self._pushed = self._doubled = self._sent = 0
        self._is_open = False
        self._late = 0.0

    # -- connections ----------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """All connections, and the stream."""
        loop = asyncio.get_running_loop()
        for _ in range(self._ticket.connections):
            _, connection = await loop.create_connection(
                lambda: Connection(self._answered, self._connection_lost), "127.0.0.1", self._ticket.port
            )
            self._free.append(connection)
        await self._follow()

    async def _follow(self) -> None:
        self.following.clear()
        await asyncio.get_running_loop().create_connection(lambda: Stream(self), "127.0.0.1", self._ticket.port)
        async with asyncio.timeout(10):
            await self.following.wait()

    async def keep_following(self) -> None:
        """Comes back whenever the stream ends."""
        while True:
            await self._lost.wait()
            self._lost.clear()
            self._reconnects += 1
            await self._follow()

    def stream_lost(self) -> None:
        """The server ended the stream."""
        self._lost.set()

    def _connection_lost(self, connection: Connection) -> None:
        raise RuntimeError(f"a connection was lost with message {connection.tag} on it")

    # -- there and back -------------------------------------------------------------------------------------------------

    def _release(self) -> None:
        """One more message begins now."""
        number = len(self._begun)
        self._begun.append(time.perf_counter())
        self._seen.append(0)
        self._outstanding += 1
        if self._free:
            self._send(self._free.popleft(), number)
        else:
            self._waiting.append(number)

    def _send(self, connection: Connection, number: int) -> None:
        connection.tag = number
        if number < len(self._requests):
            connection.send(self._requests[number])
        else:
            connection.send(bodies.request(self._ticket.path, bodies.one_message(number)))

    def _answered(self, connection: Connection, data: bytes) -> None:
        number = connection.tag
        if data[9:12] != b"200":
            self._refused.append(number)
            self._outstanding -= 1
        elif self._begun[number] >= self._measured_from:
            self._answers.append(time.perf_counter() - self._begun[number])
        if self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._free.append(connection)

    def read(self, events: bytes) -> None:
        """Events of the stream, whole ones."""
        now = time.perf_counter()
        for found in _MESSAGE.findall(events):
            number = int(found)
            if self._seen[number]:
                self._doubled += 1
                continue
            self._seen[number] = 1
            self._outstanding -= 1
            begun = self._begun[number]
            if self._measured_from <= begun < self._measured_to:
                self._latencies.append(now - begun)
            self._pushed += self._measured_from <= now < self._measured_to
        ids = _ID.findall(events)
        if ids:
            self.cursor = int(ids[-1])
        self._fill()

    def _fill(self) -> None:
        while self._is_open and self._outstanding < self._leg.window:
            self._release()

    # -- a leg ----------------------------------------------------------------------------------------------------------

    async def ride(self, leg: Leg) -> Report:
        """Sends for so long, then waits for what is on its way."""
        self._start_leg(leg)
        self._is_open = leg.window > 0
        started = time.perf_counter()
        self._measured_from = started + leg.warm_up
        self._measured_to = self._measured_from + leg.seconds
        used = time.process_time()
        if leg.window:
            self._fill()
            await asyncio.sleep(self._measured_to - time.perf_counter())
        else:
            await self._pace(started)
        self._is_open = False
        await self._settle()
        return self._report(time.process_time() - used)

    async def _pace(self, started: float) -> None:
        released = 0
        while (now := time.perf_counter()) < self._measured_to:
            due = int((now - started) * self._leg.rate)
            if due > released and now >= self._measured_from:
                self._late = max(self._late, now - started - released / self._leg.rate)
            for _ in range(due - released):
                self._release()
            released = due
            await asyncio.sleep(TICK)

    async def _settle(self) -> None:
        for _ in range(round(PATIENCE / PAUSE)):
            if self._outstanding <= 0 and not self._waiting:
                return
            await asyncio.sleep(PAUSE)

    def _report(self, used: float) -> Report:
        ordered, answers = sorted(self._latencies), sorted(self._answers)
        last = len(self._begun)
        refused = set(self._refused)
        missing = sum(1 for number in range(self._first, last) if not self._seen[number] and number not in refused)
        sent = sum(1 for number in range(self._first, last) if self._measured_from <= self._begun[number])
        return Report(
            first=self._first,
            last=last,
            sent=sent,
            pushed=self._pushed,
            seconds=self._measured_to - self._measured_from,
            p50_ms=percentile(ordered, 0.50) * 1000,
            p99_ms=percentile(ordered, 0.99) * 1000,
            max_ms=percentile(ordered, 1.0) * 1000,
            answer_p99_ms=percentile(answers, 0.99) * 1000,
            refused=self._refused,
            missing=missing,
            doubled=self._doubled,
            reconnects=self._reconnects,
            used=used,
            late_ms=self._late * 1000,
        )


async def _main() -> None:
    loop = asyncio.get_running_loop()
    rider = Rider(msgspec.json.decode(await loop.run_in_executor(None, sys.stdin.readline), type=Ticket))
    await rider.connect()
    process.say({"ready": True})
    async with asyncio.TaskGroup() as group:
        following = group.create_task(rider.keep_following())
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            report = await rider.ride(msgspec.json.decode(line, type=Leg))
            process.say(msgspec.to_builtins(report))
        following.cancel()


if __name__ == "__main__":
    uvloop.run(_main())
