"""Whatever comes over a connection that is kept is a whole answer, or nobody knows what became of the request."""

import asyncio
import contextlib
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.egress import Egress, OutcomeUnknown, Response
from tests.integration.egress.conftest import HEAD, LOCAL, NAME, NO_AUTHORITIES, deliver, loopback
from tests.support.peers import OK, Peer, answering, authority, closing_after, serving


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n4;x=y\r\nhalf\r\n3\r\n+ok\r\n0\r\nX-Sum: 1\r\n\r\n", b"half+ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
async def test_an_answer_with_an_end_of_its_own_keeps_the_connection(answer: bytes, body: bytes) -> None:
    async with serving(answering(answer, answer)) as server, Egress(LOCAL, tls=NO_AUTHORITIES) as egress:
        bodies = [(await deliver(egress, server.port)).body for _ in range(2)]

    assert bodies == [body, body]
    assert server.connections == 1


async def test_a_body_without_a_length_ends_with_its_connection() -> None:
    async with serving(closing_after(HEAD + b"\r\nall of it")) as server, Egress(LOCAL, tls=NO_AUTHORITIES) as egress:
        response = await deliver(egress, server.port)

    assert (response.body, response.truncated) == (b"all of it", False)


async def test_over_tls_too_a_body_without_a_length_ends_with_its_connection(tmp_path: Path) -> None:
    trusted = authority(tmp_path, NAME)
    async with (
        serving(closing_after(HEAD + b"\r\nall of it"), tls=trusted.server) as server,
        Egress(LOCAL, resolve=loopback, tls=trusted.client) as egress,
    ):
        response = await egress.deliver(
            "POST", f"https://{NAME}:{server.port}/", headers={}, timeout=timedelta(seconds=20)
        )

    assert (response.body, response.truncated) == (b"all of it", False)


async def test_the_head_of_an_answer_is_enough_for_head() -> None:
    async with (
        serving(answering(HEAD + b"Content-Length: 5\r\n\r\n")) as server,
        Egress(LOCAL, tls=NO_AUTHORITIES) as egress,
    ):
        response = await deliver(egress, server.port, method="HEAD", body=b"")

    assert response == Response(status=200, headers={"content-length": "5"})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "ended early"),
        (HEAD + b"Content-Le", "ended early"),
        (HEAD + b"Content-Length: 10\r\n\r\nhalf", "cut short"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n", "cut short"),
        (b"220 mail.example.com ESMTP\r\n", "not HTTP"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + OK, "not HTTP"),
        (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "not HTTP"),
        (HEAD + b"X-A: b\r\n" * 10_000, "not HTTP"),
        (HEAD + b"X-A: " + b"b" * 70_000, "not HTTP"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X-A: b\r\n" * 10_000, "cut short"),
    ],
    ids=range(11),
)
async def test_whatever_is_no_whole_answer_is_unknown(answer: bytes, words: str) -> None:
    async with serving(closing_after(answer)) as server, Egress(LOCAL, tls=NO_AUTHORITIES) as egress:
        with pytest.raises(OutcomeUnknown, match=words):
            await deliver(egress, server.port)


@settings(max_examples=30)
@given(
    pieces=st.lists(
        st.sampled_from([HEAD, b"Content-Length: 5\r\n", b"\r\n", b"hello"]) | st.binary(max_size=30), max_size=6
    )
)
def test_whatever_bytes_come_the_call_ends_as_promised(pieces: list[bytes]) -> None:
    async def behave(peer: Peer) -> None:
        await peer.read_request()
        for piece in pieces:
            await peer.send(piece)
            await asyncio.sleep(0)

    async def run() -> None:
        async with serving(behave) as server, Egress(LOCAL, tls=NO_AUTHORITIES) as egress:
            with contextlib.suppress(OutcomeUnknown):
                assert isinstance(await deliver(egress, server.port), Response)

    asyncio.run(run())
