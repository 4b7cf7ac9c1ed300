"""Bodies of webhooks: whole, within bounds, or given up."""

import asyncio

import pytest
from starlette.requests import ClientDisconnect

from services.ingest.api.reading import Reader
from shared.clock import SystemClock
from shared.errors import BadRequest, BodyTooLarge
from shared.log.background import running


def arriving(*chunks: bytes):
    """A body in pieces, then nothing more."""
    left = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    left[-1]["more_body"] = False

    async def receive():
        return left.pop(0)

    return receive


async def never():
    """A body that does not come."""
    await asyncio.Event().wait()


async def read(reader: Reader, receive, **headers: str) -> bytes:
    """Reads as a request does."""
    return await reader.read(receive, headers, since=SystemClock().elapsed())


@pytest.mark.parametrize("chunks", [(b"abc",), (b"a", b"", b"bc"), (b"",)])
async def test_a_body_is_read_whole_however_it_arrives(chunks):
    assert await read(Reader(SystemClock(), limit=3), arriving(*chunks)) == b"".join(chunks)


@pytest.mark.parametrize("chunks", [(b"abcd",), (b"ab", b"cd"), (b"abcd", b"never asked for")])
async def test_a_body_beyond_the_limit_is_refused_as_soon_as_it_is(chunks):
    with pytest.raises(BodyTooLarge):
        await read(Reader(SystemClock(), limit=3), arriving(*chunks))


async def test_a_body_that_announces_too_much_is_not_read():
    receive = arriving(b"a", b"b")

    with pytest.raises(BodyTooLarge):
        await read(Reader(SystemClock(), limit=3), receive, **{"content-length": "4"})

    assert await receive() == {"type": "http.request", "body": b"b", "more_body": False}


async def test_a_client_that_goes_away_is_no_error_of_ours():
    async def gone():
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect):
        await read(Reader(SystemClock(), limit=3), gone)


async def test_a_body_that_does_not_arrive_is_given_up_and_its_request_lives_on():
    reader = Reader(SystemClock(), limit=3, within=0.05)
    async with running(reader.watch):
        with pytest.raises(BadRequest, match="did not arrive"):
            await read(reader, never)

        # Nothing is left of the cancellation.
        await asyncio.sleep(0)
        assert await read(reader, arriving(b"abc")) == b"abc"


async def test_a_request_that_is_cancelled_by_somebody_else_stays_cancelled():
    reader = Reader(SystemClock(), limit=3)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await read(reader, never)
