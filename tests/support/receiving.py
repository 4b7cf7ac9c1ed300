"""An endpoint on loopback that keeps what it is pushed, and answers as a test says."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.peers import Peer, serving


@dataclass(frozen=True)
class Push:
    """One request, as it came."""

    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        """Its JSON."""
        return json.loads(self.raw)


@dataclass
class Receiver:
    """Connections are kept open; `answer` gives status, headers and body of each response."""

    url: str = ""
    pushes: list[Push] = field(default_factory=list)
    answer: Callable[[Push], Awaitable[tuple[int, dict[str, str], str]]] | None = None

    @property
    def sequences(self) -> list[int]:
        """The numbers of what came, in order of arrival."""
        return [push.body["sequence"] for push in self.pushes]

    async def behave(self, peer: Peer) -> None:
        """One connection."""
        while True:
            head, _, raw = (await peer.read_request()).partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")[1:]
            push = Push(
                {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}, raw
            )
            self.pushes.append(push)
            status, headers, text = await self.answer(push) if self.answer else (200, {}, "ok")
            shown = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            content = text.encode()
            await peer.send(f"HTTP/1.1 {status} X\r\n{shown}content-length: {len(content)}\r\n\r\n".encode() + content)

    def always(self, status: int, text: str = "", **headers: str) -> None:
        """From now on, every answer is this one."""

        async def same(_: Push) -> tuple[int, dict[str, str], str]:
            return status, {name.replace("_", "-"): value for name, value in headers.items()}, text

        self.answer = same

    def hang(self) -> None:
        """From now on, nothing is answered."""

        async def never(_: Push) -> tuple[int, dict[str, str], str]:
            await asyncio.sleep(3600)
            return 200, {}, ""

        self.answer = never


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that takes everything."""
    receiver = Receiver()
    async with serving(receiver.behave) as server:
        receiver.url = f"http://127.0.0.1:{server.port}/hook"
        yield receiver
