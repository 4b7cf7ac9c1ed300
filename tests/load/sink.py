"""An endpoint that takes webhooks as fast as it can, and says when each came; under /hang it takes and never answers.

`python -m tests.load.sink CORE` prints its port, and answers each line of its input with a Tally of what came since.
"""

import asyncio
import re
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec
import uvloop

from tests.load import process
from tests.load.report import percentile

_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_STAMP: Final = re.compile(rb'"timestamp":"([^"]+)"')


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What came since the last one; milliseconds from the event's own time, where it has one."""

    count: int
    per_second: float
    p50_ms: float
    p99_ms: float
    hanging: int
    """Since the beginning."""
    busy: float
    """Share of its core that the sink itself used: near 1 means that it was the limit."""


class Endpoint(asyncio.Protocol):
    """One connection."""

    def __init__(self, taken: Callable[[bytes], None], hung: Callable[[], None]) -> None:
        self._taken = taken
        self._hung = hung
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer = data = self._buffer + data if self._buffer else data
        while (head := data.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(data, 0, head + 2)
            end = head + 4 + (int(length[1]) if length else 0)
            if len(data) < end:
                break
            if data.startswith(b"POST /hang"):
                self._hung()
            else:
                self._taken(data[head + 4 : end])
                self._transport.write(_ANSWER)
            data = data[end:]
        self._buffer = data


class Sink:
    """All of them together."""

    def __init__(self) -> None:
        self._hanging = 0
        self._reset()

    def _reset(self) -> None:
        self._came: list[tuple[float, bytes]] = []
        self._used = time.process_time()

    def taken(self, body: bytes) -> None:
        """One webhook; only its time stamp is looked at, and that later."""
        self._came.append((time.time(), body[:200]))

    def hung(self) -> None:
        """One that gets no answer."""
        self._hanging += 1

    def tally(self) -> Tally:
        """And from the beginning."""
        came, used = self._came, time.process_time() - self._used
        taken = sorted(
            at - datetime.fromisoformat(stamp[1].decode()).timestamp()
            for at, body in came
            if (stamp := _STAMP.search(body))
        )
        length = came[-1][0] - came[0][0] if len(came) > 1 else 0.0
        found = Tally(
            count=len(came),
            per_second=len(came) / length if length else 0.0,
            p50_ms=percentile(taken, 0.50) * 1000,
            p99_ms=percentile(taken, 0.99) * 1000,
            hanging=self._hanging,
            busy=used / length if length else 0.0,
        )
        self._reset()
        return found

    @property
    def count(self) -> int:
        """How many came so far."""
        return len(self._came)


async def _main() -> None:
    process.pin(int(sys.argv[1]))
    loop = asyncio.get_running_loop()
    sink = Sink()
    server = await loop.create_server(lambda: Endpoint(sink.taken, sink.hung), "127.0.0.1", 0, backlog=1024)
    process.say({"port": server.sockets[0].getsockname()[1]})
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        if line.strip() == '"count"':
            process.say(sink.count)
        else:
            process.say(msgspec.to_builtins(sink.tally()))


if __name__ == "__main__":
    uvloop.run(_main())
