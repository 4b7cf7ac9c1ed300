"""Whether a failed request can have arrived: "not sent" is only said when it is certain, for it will be sent again."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from shared.egress import AddressPolicy, Egress, NotSent, OutcomeUnknown
from tests.integration.egress.conftest import Call
from tests.support.peers import OK, Behaviour, Peer, authority, never_accepting, serving, unused_port

LOCAL = AddressPolicy(allow_private=True)
NAME = "hooks.example.test"


async def _loopback(_name: str) -> list[str]:
    return ["127.0.0.1"]


async def _nothing(_name: str) -> list[str]:
    raise OSError("secret-nameserver.internal does not know")


async def _hanging(_name: str) -> list[str]:
    await asyncio.Event().wait()
    return []


async def test_nobody_listens(call: Call) -> None:
    async with Egress(LOCAL) as egress:
        with pytest.raises(NotSent, match="refused"):
            await call(egress, f"http://127.0.0.1:{unused_port()}/")


async def test_a_name_that_does_not_resolve(call: Call) -> None:
    async with Egress(LOCAL, resolve=_nothing) as egress:
        with pytest.raises(NotSent, match="does not resolve") as caught:
            await call(egress, f"https://{NAME}/")
    assert "nameserver" not in str(caught.value)


async def test_a_resolver_that_hangs(call: Call) -> None:
    async with Egress(LOCAL, resolve=_hanging) as egress:
        with pytest.raises(NotSent, match="in time"):
            await call(egress, f"https://{NAME}/", seconds=0.1)


async def test_a_connection_that_is_never_made(call: Call) -> None:
    with never_accepting() as port:
        async with Egress(LOCAL) as egress:
            with pytest.raises(NotSent, match="in time"):
                await call(egress, f"http://127.0.0.1:{port}/", seconds=0.2)


async def test_no_free_connection_in_time(call: Call) -> None:
    connected = asyncio.Event()

    async def silent(peer: Peer) -> None:
        connected.set()
        await peer.gone()

    async with serving(silent) as server, Egress(LOCAL, connections=1) as egress, asyncio.TaskGroup() as group:
        url = f"http://127.0.0.1:{server.port}/"
        first = group.create_task(call(egress, url))
        await connected.wait()
        with pytest.raises(NotSent, match="in time"):
            await call(egress, url, seconds=0.1)
        first.cancel()


async def test_a_server_that_does_not_speak_tls(call: Call) -> None:
    async def plain(peer: Peer) -> None:
        await peer.send(OK)

    async with serving(plain) as server, Egress(LOCAL) as egress:
        with pytest.raises(NotSent):
            await call(egress, f"https://127.0.0.1:{server.port}/")


async def test_a_handshake_that_hangs(call: Call) -> None:
    async def silent(peer: Peer) -> None:
        await peer.gone()

    async with serving(silent) as server, Egress(LOCAL) as egress:
        with pytest.raises(NotSent, match="in time"):
            await call(egress, f"https://127.0.0.1:{server.port}/", seconds=0.2)


async def test_a_certificate_that_nobody_vouches_for(call: Call, tmp_path: Path) -> None:
    async with serving(tls=authority(tmp_path, NAME).server) as server, Egress(LOCAL, resolve=_loopback) as egress:
        with pytest.raises(NotSent, match="certificate is not trusted"):
            await call(egress, f"https://{NAME}:{server.port}/")
    assert server.requests == []


async def test_a_certificate_of_another_name(call: Call, tmp_path: Path) -> None:
    trusted = authority(tmp_path, "other.example.test")
    async with (
        serving(tls=trusted.server) as server,
        Egress(LOCAL, resolve=_loopback, tls=trusted.client) as egress,
    ):
        with pytest.raises(NotSent, match="certificate is not trusted"):
            await call(egress, f"https://{NAME}:{server.port}/")
    assert server.requests == []


async def _closes_at_once(_peer: Peer) -> None:
    return


async def _closes_after_reading(peer: Peer) -> None:
    await peer.read_request()


async def _resets_at_once(peer: Peer) -> None:
    peer.reset()


async def _resets_after_reading(peer: Peer) -> None:
    await peer.read_request()
    peer.reset()


async def _never_answers(peer: Peer) -> None:
    await peer.read_request()
    await peer.gone()


async def _never_reads(peer: Peer) -> None:
    peer.writer.transport.pause_reading()
    await asyncio.sleep(2)


async def _answers_nonsense(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"220 mail.example.com ESMTP\r\n\r\n")


async def _answers_half_a_head(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Le")


async def _answers_half_a_body(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")


async def _answers_a_broken_chunk(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot-a-length\r\n")


async def _stalls_in_the_body(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    await peer.gone()


@pytest.mark.parametrize(
    "behave",
    [
        _closes_at_once,
        _closes_after_reading,
        _resets_at_once,
        _resets_after_reading,
        _never_answers,
        _never_reads,
        _answers_nonsense,
        _answers_half_a_head,
        _answers_half_a_body,
        _answers_a_broken_chunk,
        _stalls_in_the_body,
    ],
)
async def test_what_was_handed_to_a_connection_is_unknown(call: Call, behave: Behaviour) -> None:
    async with serving(behave) as server, Egress(LOCAL) as egress:
        with pytest.raises(OutcomeUnknown):
            await call(egress, f"http://127.0.0.1:{server.port}/", body=b"x" * 900_000, seconds=0.5)


async def test_after_the_handshake_it_is_unknown_too(call: Call, tmp_path: Path) -> None:
    trusted = authority(tmp_path, NAME)
    async with (
        serving(_closes_after_reading, tls=trusted.server) as server,
        Egress(LOCAL, resolve=_loopback, tls=trusted.client) as egress,
    ):
        with pytest.raises(OutcomeUnknown):
            await call(egress, f"https://{NAME}:{server.port}/")


async def test_an_answer_before_the_request_was_read_is_an_answer(call: Call) -> None:
    async def hasty(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await peer.gone()

    async with serving(hasty) as server, Egress(LOCAL) as egress:
        assert (await call(egress, f"http://127.0.0.1:{server.port}/", body=b"x" * 100_000)).status == 413


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_kept_connection_that_dies_is_unknown_and_nothing_is_repeated(method: str) -> None:
    requests = 0

    async def answers_once(peer: Peer) -> None:
        nonlocal requests
        await peer.read_request()
        requests += 1
        if requests == 1:
            await peer.send(OK)
            await peer.read_request()
            requests += 1
        peer.reset()

    async with serving(answers_once) as server, Egress(LOCAL) as egress:
        url = f"http://127.0.0.1:{server.port}/"
        await _deliver(egress, method, url)
        with pytest.raises(OutcomeUnknown):
            await _deliver(egress, method, url)
    assert requests == 2


async def _deliver(egress: Egress, method: str, url: str) -> None:
    await egress.deliver(method, url, headers={}, body=b"{}", timeout=timedelta(seconds=2))


async def test_cancelling_leaves_no_connection_behind(call: Call) -> None:
    left = asyncio.Event()

    async def silent(peer: Peer) -> None:
        await peer.read_request()
        await peer.gone()
        left.set()

    async with serving(silent) as server, Egress(LOCAL) as egress:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await call(egress, f"http://127.0.0.1:{server.port}/")
        async with asyncio.timeout(2):
            await left.wait()
