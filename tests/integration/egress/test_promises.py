"""What every call keeps: name and certificate, limits, deadlines, and nothing remembered or followed on the way."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from shared.egress import AddressPolicy, Egress, OutcomeUnknown, Response
from tests.integration.egress.conftest import Call
from tests.support.peers import OK, Peer, authority, serving

LOCAL = AddressPolicy(allow_private=True)
NAME = "hooks.example.test"


async def _loopback(_name: str) -> list[str]:
    return ["127.0.0.1"]


async def test_the_address_is_dialled_and_the_name_is_kept(call: Call, tmp_path: Path) -> None:
    trusted = authority(tmp_path, NAME)
    asked_for = []
    trusted.server.sni_callback = lambda _socket, name, _context: asked_for.append(name)
    async with serving(tls=trusted.server) as server, Egress(LOCAL, resolve=_loopback, tls=trusted.client) as egress:
        response = await call(egress, f"https://{NAME}:{server.port}/hook?a=1")

    assert response == Response(status=200, headers={"content-length": "2"}, body=b"ok")
    assert asked_for == [NAME]
    assert server.requests[0].startswith(b"POST /hook?a=1 HTTP/1.1\r\n")
    assert f"host: {NAME}:{server.port}".encode() in server.requests[0].lower().split(b"\r\n")


async def test_headers_and_body_arrive_and_nothing_compressed_is_asked_for(call: Call) -> None:
    async with serving() as server, Egress(LOCAL) as egress:
        await call(egress, f"http://127.0.0.1:{server.port}/", headers={"Webhook-Id": "msg_1"}, body=b"payload")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")

    assert body == b"payload"
    assert b"webhook-id: msg_1" in lines
    assert b"user-agent: baton" in lines
    assert b"accept-encoding: identity" in lines
    assert not any(line.startswith(b"content-type") for line in lines)


async def test_a_request_without_a_body_has_none(call: Call) -> None:
    async with serving() as server, Egress(LOCAL) as egress:
        await call(egress, f"http://127.0.0.1:{server.port}/", method="GET", body=b"")
        await call(egress, f"http://127.0.0.1:{server.port}/", method="POST", body=b"")
    get, post = server.requests

    assert b"content-length" not in get.lower()
    assert b"content-length: 0\r\n" in post.lower()


@pytest.mark.parametrize("path", ["/a%2Fb/%7Euser?sig=a%2Bb%3D&sp=%2Ftriggers", "/?q=a+b&x=%20", "/caf%C3%A9"])
async def test_a_signed_url_is_not_quoted_anew(call: Call, path: str) -> None:
    async with serving() as server, Egress(LOCAL) as egress:
        await call(egress, f"http://127.0.0.1:{server.port}{path}")

    assert server.requests[0].startswith(f"POST {path} HTTP/1.1\r\n".encode())


async def test_a_redirect_is_an_answer_like_any_other(call: Call) -> None:
    async def elsewhere(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")

    async with serving(elsewhere) as server, Egress(LOCAL) as egress:
        response = await call(egress, f"http://127.0.0.1:{server.port}/")

    assert (response.status, response.headers["location"]) == (302, "http://169.254.169.254/")


async def test_a_proxy_in_the_environment_is_not_used(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as proxy, serving() as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with Egress(LOCAL) as egress:
            await call(egress, f"http://127.0.0.1:{server.port}/")

    assert (len(server.requests), proxy.connections) == (1, 0)


async def test_no_cookie_is_kept(call: Call) -> None:
    requests = []

    async def baking(peer: Peer) -> None:
        requests.append(await peer.read_request())
        await peer.send(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    async with serving(baking) as server, Egress(LOCAL, resolve=_loopback) as egress:
        await call(egress, f"http://{NAME}:{server.port}/")
        await call(egress, f"http://{NAME}:{server.port}/")

    assert len(requests) == 2
    assert b"cookie" not in b"".join(requests).lower()


@pytest.mark.parametrize("framing", ["Content-Length: 1000000", "Connection: close"])
async def test_a_body_beyond_the_limit_is_cut(call: Call, framing: str) -> None:
    async def generous(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode() + b"x" * 1_000_000)

    async with serving(generous) as server, Egress(LOCAL) as egress:
        response = await call(egress, f"http://127.0.0.1:{server.port}/", body_limit=1000)

    assert (response.status, response.body, response.truncated) == (200, b"x" * 1000, True)


async def test_a_body_of_just_the_limit_is_whole(call: Call) -> None:
    async with serving() as server, Egress(LOCAL) as egress:
        response = await call(egress, f"http://127.0.0.1:{server.port}/", body_limit=2)

    assert (response.body, response.truncated) == (b"ok", False)


async def test_a_compressed_body_stays_as_it_is(call: Call) -> None:
    async def compressing(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nbomb")

    async with serving(compressing) as server, Egress(LOCAL) as egress:
        assert (await call(egress, f"http://127.0.0.1:{server.port}/")).body == b"bomb"


async def test_the_deadline_holds_against_a_drip(call: Call) -> None:
    async def dripping(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            await peer.send(b"x")
            await asyncio.sleep(0.02)

    async with serving(dripping) as server, Egress(LOCAL) as egress:
        started = asyncio.get_running_loop().time()
        with pytest.raises(OutcomeUnknown):
            await call(egress, f"http://127.0.0.1:{server.port}/", seconds=0.2)

        assert asyncio.get_running_loop().time() - started < 2


async def test_deliveries_keep_their_connection_and_requests_do_not() -> None:
    async def thrice(server_port: int, method: str) -> None:
        async with Egress(LOCAL) as egress:
            for _ in range(3):
                url = f"http://127.0.0.1:{server_port}/"
                await getattr(egress, method)("POST", url, headers={}, timeout=timedelta(seconds=5))

    async with serving() as kept, serving() as fresh:
        await thrice(kept.port, "deliver")
        await thrice(fresh.port, "request")

    assert (kept.connections, fresh.connections) == (1, 3)


async def test_the_next_address_is_tried_when_one_does_not_answer(call: Call) -> None:
    async def two(_name: str) -> list[str]:
        return ["::1", "127.0.0.1"]

    async with serving() as server, Egress(LOCAL, resolve=two) as egress:
        assert (await call(egress, f"http://{NAME}:{server.port}/")).status == 200


async def test_many_calls_at_once_do_not_mix_their_answers(call: Call) -> None:
    async def echo(peer: Peer) -> None:
        while True:
            body = (await peer.read_request()).partition(b"\r\n\r\n")[2]
            await peer.send(OK[:15] + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async with serving(echo) as server, Egress(LOCAL) as egress:
        url = f"http://127.0.0.1:{server.port}/"
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(call(egress, url, body=str(n).encode())) for n in range(100)]

    assert [task.result().body for task in calls] == [str(n).encode() for n in range(100)]
