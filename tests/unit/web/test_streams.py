"""A response that goes out as it is made ends, and its source with it, however its client behaves."""

import asyncio

import pytest

from shared.web.streams import Streamed


class Client:
    """One that reads so many chunks and then does nothing, or leaves."""

    def __init__(self, *, reads: int, leaves: bool = False) -> None:
        self.read: list[bytes] = []
        self._reads = reads
        self._gone = asyncio.Event()
        self._leaves = leaves

    async def receive(self):
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        if message["type"] == "http.response.body":
            if len(self.read) == self._reads:
                if self._leaves:
                    self._gone.set()
                await asyncio.Event().wait()
            self.read.append(message["body"])


class Source:
    """Chunks, without end or up to one, and whether somebody closed it."""

    def __init__(self, last: int | None = None) -> None:
        self.closed = False
        self._last = last

    async def chunks(self):
        try:
            number = 0
            while number != self._last:
                number += 1
                yield b"%d" % number
                await asyncio.sleep(0)
        finally:
            self.closed = True


async def answer(source: Source, client: Client, *, patience: float = 10, lifetime: float | None = None) -> list[bytes]:
    response = Streamed(source.chunks(), headers={}, patience=patience, lifetime=lifetime)
    await response({"type": "http"}, client.receive, client.send)
    assert source.closed
    return client.read


async def test_all_chunks_arrive_and_then_the_end():
    assert await answer(Source(3), Client(reads=10)) == [b"1", b"2", b"3", b""]


@pytest.mark.parametrize("ends", [{"leaves": True}, {"patience": 0.01}, {"lifetime": 0.01}])
async def test_a_client_who_leaves_or_stops_reading_ends_the_source(ends):
    client = Client(reads=2, leaves=ends.pop("leaves", False))
    assert await answer(Source(), client, **ends) == [b"1", b"2"]


async def test_a_client_who_reads_on_for_ever_is_left_at_the_end_of_the_lifetime():
    read = await answer(Source(), Client(reads=10_000_000), lifetime=0.05)
    assert read[:2] == [b"1", b"2"]
    assert read[-1] != b""
