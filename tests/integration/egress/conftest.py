"""Both transports behind one name, so that every promise is tested on each."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

import pytest
import uvloop

from shared.egress import AddressPolicy, Egress, Response

Call = Callable[..., Any]

LOCAL: Final = AddressPolicy(allow_private=True)
NAME: Final = "hooks.example.test"
HEAD: Final = b"HTTP/1.1 200 OK\r\n"
NO_AUTHORITIES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Loading the real ones takes longer than a test."""


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Connections of our own are tried on both loops, which differ in the order of what they say."""
    plain = {"asyncio": asyncio.new_event_loop}
    return plain | {"uvloop": uvloop.new_event_loop} if item.path.name.startswith("test_kept") else plain


@pytest.fixture(params=["request", "deliver"])
def call(request: pytest.FixtureRequest) -> Call:
    """`call(egress, url)` over httpx, then over connections of our own that are kept."""

    async def run(
        egress: Egress, url: str, *, method: str = "POST", body: bytes = b"{}", seconds: float = 5.0, **more: Any
    ) -> Response:
        send = getattr(egress, request.param)
        arguments = {"headers": {}, "body": body, "timeout": timedelta(seconds=seconds)} | more
        response: Response = await send(method, url, **arguments)
        return response

    return run


async def loopback(_name: str) -> list[str]:
    """Where every name leads."""
    return ["127.0.0.1"]


async def deliver(
    egress: Egress, port: int, *, seconds: float = 20.0, method: str = "POST", body: bytes = b"{}"
) -> Response:
    """One delivery to this port of loopback."""
    url, timeout = f"http://127.0.0.1:{port}/", timedelta(seconds=seconds)
    return await egress.deliver(method, url, headers={}, body=body, timeout=timeout, body_limit=1000)
