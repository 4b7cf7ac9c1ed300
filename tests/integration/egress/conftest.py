"""Both transports behind one name, so that every promise is tested on each."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from shared.egress import Egress, Response

Call = Callable[..., Any]


@pytest.fixture(params=["request", "deliver"])
def call(request: pytest.FixtureRequest) -> Call:
    """`call(egress, url)` over httpx, then over aiohttp."""

    async def run(
        egress: Egress, url: str, *, method: str = "POST", body: bytes = b"{}", seconds: float = 5.0, **more: Any
    ) -> Response:
        send = getattr(egress, request.param)
        arguments = {"headers": {}, "body": body, "timeout": timedelta(seconds=seconds)} | more
        response: Response = await send(method, url, **arguments)
        return response

    return run
