"""What our pushing is compared with: clients alone, so many requests in flight, each signed.

`python -m tests.load.pusher bare|aiohttp CORE PORT IN_FLIGHT SECONDS` pushes to a sink, which counts them, and prints how
many seconds of its core that took.
"""

import asyncio
import base64
import hashlib
import hmac
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import aiohttp
import httptools
import uvloop

from tests.load import process

BODY: Final = b'{"type":"ticket.updated.v1","data":"' + b"x" * 960 + b'"}'
KEY: Final = b"key"

_REQUEST: Final = (
    "POST / HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-type: application/json\r\nwebhook-id: evt_%d\r\n"
    f"webhook-timestamp: 1795000000\r\nwebhook-signature: %s\r\ncontent-length: {len(BODY)}\r\n\r\n"
)


def sign(number: int) -> str:
    """The value of the signature header."""
    return "v1," + base64.b64encode(hmac.digest(KEY, b"evt_%d.1795000000.%b" % (number, BODY), hashlib.sha256)).decode()


def numbers(seconds: float) -> Iterator[int]:
    """One for each push until the time is over, whichever connection asks."""
    until = time.perf_counter() + seconds
    number = 0
    while time.perf_counter() < until:
        yield number
        number += 1


class Bare(asyncio.Protocol):
    """A kept connection and a parser, and nothing else: the next request leaves when the last one is answered."""

    def __init__(self, pushes: Iterator[int], port: int) -> None:
        self._pushes = pushes
        self._port = port
        self._parser = httptools.HttpResponseParser(self)
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._push()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() == 200:
            self._push()
        else:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_exception(error or ConnectionError("a push was not taken"))

    def _push(self) -> None:
        number = next(self._pushes, None)
        if number is None:
            self.over.set_result(None)
            self._transport.close()
        else:
            self._transport.write((_REQUEST % (self._port, number, sign(number))).encode() + BODY)


async def _bare(pushes: Iterator[int], port: int, in_flight: int) -> None:
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: Bare(pushes, port), "127.0.0.1", port) for _ in range(in_flight)]
    for _, connection in made:
        await connection.over


async def _aiohttp(pushes: Iterator[int], port: int, in_flight: int) -> None:
    url = f"http://127.0.0.1:{port}/"

    async def push(session: aiohttp.ClientSession) -> None:
        for number in pushes:
            headers = {
                "content-type": "application/json",
                "webhook-id": f"evt_{number}",
                "webhook-timestamp": "1795000000",
                "webhook-signature": sign(number),
            }
            async with session.post(url, data=BODY, headers=headers, raise_for_status=True) as response:
                await response.read()

    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as session,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(in_flight):
            group.create_task(push(session))


async def _main() -> None:
    kind, core, port, in_flight, seconds = sys.argv[1:]
    process.pin(int(core))
    client = {"bare": _bare, "aiohttp": _aiohttp}[kind]
    before = time.process_time()
    await client(numbers(float(seconds)), int(port), int(in_flight))
    process.say({"used": time.process_time() - before})


if __name__ == "__main__":
    uvloop.run(_main())
