"""Connections that are kept carry one request after another, and no answer ever reaches whoever did not ask for it."""

import asyncio
import contextlib
import os
import socket
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.egress import AddressPolicy, Egress, NotSent, OutcomeUnknown, Response, dialling, pool
from tests.support.peers import OK, Peer, authority, serving, unused_port
from tests.support.waiting import eventually

LOCAL = AddressPolicy(allow_private=True)
NAME = "hooks.example.test"
HEAD = b"HTTP/1.1 200 OK\r\n"
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Loading the real ones takes longer than a test."""


async def _loopback(_name: str) -> list[str]:
    return ["127.0.0.1"]


async def _deliver(
    egress: Egress, port: int, *, path: str = "/", seconds: float = 20.0, method: str = "POST", body: bytes = b"{}"
) -> Response:
    return await egress.deliver(
        method,
        f"http://127.0.0.1:{port}{path}",
        headers={},
        body=body,
        timeout=timedelta(seconds=seconds),
        body_limit=1000,
    )


def _answering(*answers: bytes):
    """Answers the requests of each connection with these, and then says no more."""

    async def behave(peer: Peer) -> None:
        for answer in answers:
            await peer.read_request()
            await peer.send(answer)
        await peer.gone()

    return behave


def _closing_after(answer: bytes):
    async def behave(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(answer)

    return behave


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
            first, second = (group.create_task(_deliver(egress, server.port)) for _ in range(2))
        assert first.result() == second.result()
        del taken[:]
        await _deliver(egress, server.port)
        await _deliver(egress, server.port)

    assert server.connections == 2
    assert taken[0] is taken[1]


async def test_a_connection_over_tls_is_kept_and_the_name_is_checked(tmp_path: Path) -> None:
    trusted, other = authority(tmp_path, NAME), authority(tmp_path, "other.example.test")
    async with (
        serving(tls=trusted.server) as right,
        serving(tls=other.server) as wrong,
        Egress(LOCAL, resolve=_loopback, tls=trusted.client) as egress,
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
        await _deliver(egress, server.port)
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
            await _deliver(egress, server.port)
            async with asyncio.TaskGroup() as group:
                silent = group.create_task(_unknown(egress, server.port))
                await asyncio.sleep(0)
                await egress.__aexit__()
            assert "ended early" in silent.result()
        await eventually(lambda: left == 1)


async def _unknown(egress: Egress, port: int) -> str:
    with pytest.raises(OutcomeUnknown) as caught:
        await _deliver(egress, port)
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
        await _deliver(egress, server.port)
        told.set()
        await eventually(lambda: not egress._pool._open)
        assert (await _deliver(egress, server.port)).body == b"ok"

    assert server.connections == 2


async def test_a_connection_that_the_other_side_closes_while_it_is_idle_is_not_used_again() -> None:
    async with serving(_closing_after(OK)) as server, Egress(LOCAL, tls=NO_AUTHORITIES) as egress:
        for _ in range(3):
            assert (await _deliver(egress, server.port)).status == 200

    assert server.connections == 3


@pytest.mark.parametrize("second", [b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 5", b"H"])
async def test_a_second_answer_is_never_taken_for_the_next_request(second: bytes) -> None:
    async def splitting(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.send(OK + second)

    async with serving(splitting) as server, Egress(LOCAL, tls=NO_AUTHORITIES) as egress:
        statuses = [(await _deliver(egress, server.port)).status for _ in range(5)]

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
        assert (await _deliver(egress, server.port)).status == 200
        # From here to the request the loop does not turn.
        sockets[0].send(second)
        sockets[0].shutdown(socket.SHUT_WR)
        assert (await _deliver(egress, server.port)).status == 200
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
    async with serving(_answering(answer, answer)) as server, Egress(LOCAL, tls=NO_AUTHORITIES) as egress:
        for _ in range(2):
            assert (await _deliver(egress, server.port)).status == 200

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
            assert (await _deliver(egress, server.port, body=b"x" * 9_000_000)).status == 200
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
        await _deliver(egress, server.port)
        second = group.create_task(_second(egress, server.port, seconds=0.1 if gives_up == "timeout" else 20))
        if gives_up == "cancel":
            await asked.wait()
            second.cancel()
        await left.wait()

    assert server.connections == 1


async def _second(egress: Egress, port: int, *, seconds: float) -> None:
    with pytest.raises((OutcomeUnknown, asyncio.CancelledError)):
        await _deliver(egress, port, seconds=seconds)


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


# -- answers of every kind --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n4;x=y\r\nhalf\r\n3\r\n+ok\r\n0\r\nX-Sum: 1\r\n\r\n", b"half+ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
async def test_an_answer_with_an_end_of_its_own_keeps_the_connection(answer: bytes, body: bytes) -> None:
    async with serving(_answering(answer, answer)) as server, Egress(LOCAL, tls=NO_AUTHORITIES) as egress:
        bodies = [(await _deliver(egress, server.port)).body for _ in range(2)]

    assert bodies == [body, body]
    assert server.connections == 1


async def test_a_body_without_a_length_ends_with_its_connection() -> None:
    async with serving(_closing_after(HEAD + b"\r\nall of it")) as server, Egress(LOCAL, tls=NO_AUTHORITIES) as egress:
        response = await _deliver(egress, server.port)

    assert (response.body, response.truncated) == (b"all of it", False)


async def test_over_tls_too_a_body_without_a_length_ends_with_its_connection(tmp_path: Path) -> None:
    trusted = authority(tmp_path, NAME)
    async with (
        serving(_closing_after(HEAD + b"\r\nall of it"), tls=trusted.server) as server,
        Egress(LOCAL, resolve=_loopback, tls=trusted.client) as egress,
    ):
        response = await egress.deliver(
            "POST", f"https://{NAME}:{server.port}/", headers={}, timeout=timedelta(seconds=20)
        )

    assert (response.body, response.truncated) == (b"all of it", False)


async def test_the_head_of_an_answer_is_enough_for_head() -> None:
    async with (
        serving(_answering(HEAD + b"Content-Length: 5\r\n\r\n")) as server,
        Egress(LOCAL, tls=NO_AUTHORITIES) as egress,
    ):
        response = await _deliver(egress, server.port, method="HEAD", body=b"")

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
    async with serving(_closing_after(answer)) as server, Egress(LOCAL, tls=NO_AUTHORITIES) as egress:
        with pytest.raises(OutcomeUnknown, match=words):
            await _deliver(egress, server.port)


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
                assert isinstance(await _deliver(egress, server.port), Response)

    asyncio.run(run())


# -- how many, and where to -------------------------------------------------------------------------------------------


async def test_who_waits_for_a_connection_gets_the_one_that_is_free_next() -> None:
    async with (
        serving() as server,
        Egress(LOCAL, tls=NO_AUTHORITIES, connections=2) as egress,
        asyncio.TaskGroup() as group,
    ):
        calls = [group.create_task(_deliver(egress, server.port)) for _ in range(20)]

    assert [task.result().status for task in calls] == [200] * 20
    assert server.connections == 2


async def test_an_idle_connection_makes_room_for_one_to_somebody_else() -> None:
    async with serving() as one, serving() as other, Egress(LOCAL, tls=NO_AUTHORITIES, connections=1) as egress:
        for server in (one, other, one, other):
            assert (await _deliver(egress, server.port)).status == 200
            assert len(egress._pool._idle) == 1

    assert (one.connections, other.connections) == (2, 2)


async def test_who_finds_none_free_in_time_was_not_sent_and_takes_nobodys_place() -> None:
    async def silent_once(peer: Peer) -> None:
        await peer.read_request()
        connected.set()
        await over.wait()
        await peer.send(OK)
        await peer.read_request()
        await peer.send(OK)

    connected, over = asyncio.Event(), asyncio.Event()
    async with (
        serving(silent_once) as server,
        Egress(LOCAL, tls=NO_AUTHORITIES, connections=1) as egress,
        asyncio.TaskGroup() as group,
    ):
        first = group.create_task(_deliver(egress, server.port))
        await connected.wait()
        patient = group.create_task(_deliver(egress, server.port))
        with pytest.raises(NotSent, match="in time"):
            await _deliver(egress, server.port, seconds=0.05)
        over.set()

    assert [first.result().status, patient.result().status] == [200, 200]
    assert server.connections == 1


async def test_a_name_is_asked_once_by_all_who_want_it_at_the_same_time() -> None:
    async def slow(name: str) -> list[str]:
        asked.append(name)
        await asyncio.sleep(0.01)
        return ["127.0.0.1"]

    asked: list[str] = []
    async with serving() as server, Egress(LOCAL, tls=NO_AUTHORITIES, resolve=slow) as egress:
        url = f"http://{NAME}:{server.port}/"
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(egress.deliver("POST", url, headers={}, timeout=timedelta(seconds=20)))

    assert asked == [NAME]


async def test_a_name_is_asked_for_again_once_it_is_forgotten() -> None:
    async def resolve(name: str) -> list[str]:
        asked.append(name)
        return ["127.0.0.1"]

    asked: list[str] = []
    async with serving(_closing_after(OK)) as server, Egress(LOCAL, tls=NO_AUTHORITIES, resolve=resolve) as egress:
        url = f"http://{NAME}:{server.port}/"
        for _ in range(2):
            await egress.deliver("POST", url, headers={}, timeout=timedelta(seconds=20))
        assert asked == [NAME]
        egress._pool._dialler._names[NAME].until = 0.0
        await egress.deliver("POST", url, headers={}, timeout=timedelta(seconds=20))

    assert asked == [NAME, NAME]


async def test_names_that_lead_nowhere_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nowhere(_name: str) -> list[str]:
        return []

    monkeypatch.setattr(dialling, "_MOST_NAMES", 3)
    async with Egress(LOCAL, tls=NO_AUTHORITIES, resolve=nowhere) as egress:
        for number in range(10):
            with pytest.raises(NotSent, match="does not resolve"):
                await egress.deliver("POST", f"http://{number}.{NAME}/", headers={}, timeout=timedelta(seconds=20))

        assert len(egress._pool._dialler._names) <= 3


async def test_who_still_waits_when_the_way_out_closes_was_not_sent() -> None:
    async def silent(peer: Peer) -> None:
        await peer.read_request()
        connected.set()
        await peer.gone()

    async def waits() -> str:
        with pytest.raises(NotSent) as caught:
            await _deliver(egress, server.port)
        return str(caught.value)

    connected = asyncio.Event()
    async with (
        serving(silent) as server,
        asyncio.TaskGroup() as group,
        Egress(LOCAL, tls=NO_AUTHORITIES, connections=1) as egress,
    ):
        group.create_task(_unknown(egress, server.port))
        await connected.wait()
        waiting = group.create_task(waits())
        await asyncio.sleep(0)

    assert "closed" in waiting.result()


async def test_nobody_at_any_address_was_not_sent() -> None:
    async def two(_name: str) -> list[str]:
        return ["::1", "127.0.0.1"]

    async with Egress(LOCAL, tls=NO_AUTHORITIES, resolve=two) as egress:
        with pytest.raises(NotSent, match="refused"):
            await egress.deliver("POST", f"http://{NAME}:{unused_port()}/", headers={}, timeout=timedelta(seconds=20))
