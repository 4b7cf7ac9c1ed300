"""Both transports behind one name, so that every promise is tested on each."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
import uvloop

from shared.egress import Egress, Response

Call = Callable[..., Any]


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Connections of our own are tried on both loops, which differ in the order of what they say."""
    plain = {"asyncio": asyncio.new_event_loop}
    return plain | {"uvloop": uvloop.new_event_loop} if item.path.name == "test_kept.py" else plain


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
