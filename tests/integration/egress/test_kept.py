"""Connections that are kept carry one request after another, and no answer ever reaches whoever did not ask for it."""

import asyncio
import os
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from shared.egress import Egress, NotSent, OutcomeUnknown, pool
from tests.integration.egress.conftest import HEAD, LOCAL, NAME, NO_AUTHORITIES, deliver, loopback
from tests.support.peers import OK, Peer, answering, authority, closing_after, serving
from tests.support.waiting import eventually

# -- one request after another ----------------------------------------------------------------------------------------


async def test_the_last_one_used_is_used_first() -> None:
    taken: list[Peer] = []
    both = asyncio.Barrier(2)

    async def together(peer: Peer) -> None:
        for number in range(3):
            await peer.read_request()
            if number == 0:
                await both.wait()
            taken.append(peer)
            await peer.send(OK)
        await peer.gone()

    async with serving(together) as server, Egress(LOCAL, tls=NO_AUTHORITIES) as egress:
        async with asyncio.TaskGroup() as group:
            first, second = (group.create_task(deliver(egress, server.port)) for _ in range(2))
        assert first.result() == second.result()
        del taken[:]
        await deliver(egress, server.port)
        await deliver(egress, server.port)

    assert server.connections == 2
    assert taken[0] is taken[1]


async def test_a_connection_over_tls_is_kept_and_the_name_is_checked(tmp_path: Path) -> None:
    trusted, other = authority(tmp_path, NAME), authority(tmp_path, "other.example.test")
    async with (
        serving(tls=trusted.server) as right,
        serving(tls=other.server) as wrong,
        Egress(LOCAL, resolve=loopback, tls=trusted.client) as egress,
    ):
        trusted.client.load_verify_locations(tmp_path / "server.pem")
        for _ in range(3):
            response = await egress.deliver(
                "POST", f"https://{NAME}:{right.port}/", headers={}, timeout=timedelta(seconds=20)
            )
            assert response.body == b"ok"
        with pytest.raises(NotSent, match="certificate is not trusted"):
            await egress.deliver("POST", f"https://{NAME}:{wrong.port}/", headers={}, timeout=timedelta(seconds=20))

    assert (right.connections, wrong.requests) == (1, [])


async def test_what_is_idle_for_too_long_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "KEPT_FOR", 0.05)
    left = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(OK)
        await peer.gone()
        left.set()

    async with serving(behave) as server, Egress(LOCAL, tls=NO_AUTHORITIES) as egress:
        await deliver(egress, server.port)
        await left.wait()


async def test_closing_closes_what_is_idle_and_ends_what_is_in_use() -> None:
    left = 0

    async def behave(peer: Peer) -> None:
        nonlocal left
        await peer.read_request()
        await peer.send(OK)
        await peer.gone()
        left += 1

    async with serving(behave) as server:
        async with Egress(LOCAL, tls=NO_AUTHORITIES) as egress:
            await deliver(egress, server.port)
            async with asyncio.TaskGroup() as group:
                silent = group.create_task(_unknown(egress, server.port))
                await asyncio.sleep(0)
                await egress.__aexit__()
            assert "ended early" in silent.result()
        await eventually(lambda: left == 1)


async def _unknown(egress: Egress, port: int) -> str:
    with pytest.raises(OutcomeUnknown) as caught:
        await deliver(egress, port)
    return str(caught.value)


# -- what ends a connection -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother", b"x", b"\r\n"])
async def test_what_nobody_asked_for_ends_an_idle_connection(more: bytes) -> None:
    async def behave(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(OK)
        await told.wait()
        await peer.send(more)
        await peer.gone()

    told = asyncio.Event()
    async with serving(behave) as server, Egress(LOCAL, tls=NO_AUTHORITIES) as egress:
        await deliver(egress, server.port)
        told.set()
        await eventually(lambda: not egress._pool._open)
        assert (await deliver(egress, server.port)).body == b"ok"

    assert server.connections == 2


async def test_a_connection_that_the_other_side_closes_while_it_is_idle_is_not_used_again() -> None:
    async with serving(closing_after(OK)) as server, Egress(LOCAL, tls=NO_AUTHORITIES) as egress:
        for _ in range(3):
            assert (await deliver(egress, server.port)).status == 200
            await eventually(lambda: not egress._pool._open)

    assert server.connections == 3


@pytest.mark.parametrize("second", [b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 5", b"H"])
async def test_a_second_answer_is_never_taken_for_the_next_request(second: bytes) -> None:
    async def splitting(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.send(OK + second)

    async with serving(splitting) as server, Egress(LOCAL, tls=NO_AUTHORITIES) as egress:
        statuses = [(await deliver(egress, server.port)).status for _ in range(5)]

    assert statuses == [200] * 5
    assert server.connections == 5


@pytest.mark.parametrize("second", [b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", b""])
async def test_what_has_arrived_and_is_not_read_yet_ends_a_connection_too(second: bytes) -> None:
    sockets: list[socket.socket] = []

    async def behave(peer: Peer) -> None:
        sockets.append(socket.socket(fileno=os.dup(peer.writer.get_extra_info("socket").fileno())))
        await peer.read_request()
        await peer.send(OK)
        await peer.gone()

    async with serving(behave) as server, Egress(LOCAL, tls=NO_AUTHORITIES) as egress:
        assert (await deliver(egress, server.port)).status == 200
        # From here to the request the loop does not turn.
        sockets[0].send(second)
        sockets[0].shutdown(socket.SHUT_WR)
        assert (await deliver(egress, server.port)).status == 200
        assert server.connections == 2
        for opened in sockets:
            opened.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 2000,
    ],
)
async def test_a_last_or_a_cut_answer_ends_its_connection(answer: bytes) -> None:
    async with serving(answering(answer, answer)) as server, Egress(LOCAL, tls=NO_AUTHORITIES) as egress:
        for _ in range(2):
            assert (await deliver(egress, server.port)).status == 200

    assert server.connections == 2


async def test_an_answer_before_the_whole_request_was_sent_ends_the_connection() -> None:
    async def hasty(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.writer.transport.pause_reading()
        await peer.send(OK)
        await over.wait()

    over = asyncio.Event()
    async with serving(hasty) as server, Egress(LOCAL, tls=NO_AUTHORITIES) as egress:
        for _ in range(2):
            assert (await deliver(egress, server.port, body=b"x" * 9_000_000)).status == 200
        over.set()

    assert server.connections == 2


@pytest.mark.parametrize("gives_up", ["timeout", "cancel"])
async def test_whoever_gives_up_in_the_middle_ends_the_connection(gives_up: str) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def behave(peer: Peer) -> None:
        try:
            await peer.read_request()
            await peer.send(OK)
            await peer.read_request()
            await peer.send(HEAD + b"Content-Length: 10\r\n\r\nhalf")
            asked.set()
            await peer.gone()
        finally:
            left.set()

    async with (
        serving(behave) as server,
        Egress(LOCAL, tls=NO_AUTHORITIES) as egress,
        asyncio.TaskGroup() as group,
    ):
        await deliver(egress, server.port)
        second = group.create_task(_second(egress, server.port, seconds=0.1 if gives_up == "timeout" else 20))
        if gives_up == "cancel":
            await asked.wait()
            second.cancel()
        await left.wait()

    assert server.connections == 1


async def _second(egress: Egress, port: int, *, seconds: float) -> None:
    with pytest.raises((OutcomeUnknown, asyncio.CancelledError)):
        await deliver(egress, port, seconds=seconds)


async def test_a_handshake_that_is_given_up_leaves_no_connection_behind() -> None:
    async def silent(peer: Peer) -> None:
        connected.set()
        await peer.gone()
        left.set()

    connected, left = asyncio.Event(), asyncio.Event()
    async with (
        serving(silent) as server,
        Egress(LOCAL, tls=NO_AUTHORITIES) as egress,
        asyncio.TaskGroup() as group,
    ):
        url = f"https://127.0.0.1:{server.port}/"
        call = group.create_task(egress.deliver("POST", url, headers={}, timeout=timedelta(seconds=20)))
        await connected.wait()
        call.cancel()
        await left.wait()
