"""What all simulated networks share: they send signed webhooks until these are taken, and show what they are sent."""

import abc
import asyncio
import itertools
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Self

import httpx
import uvicorn

from shared.errors import Misconfigured
from shared.events.messages import Operation
from shared.log.background import running

TIMEOUT: Final = 10.0
"""Seconds that a network waits for the answer to a webhook before it tries again."""

RETRIES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One reply that reached the network."""

    target: str
    """What it stands under, or the person that it was sent to."""
    text: str
    external_id: str
    metadata: str | None = None
    """What we sent along, and the network says again in its echo."""
    is_public: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operated:
    """Something that was done to an item."""

    operation: Operation
    item: str
    """The item's id as Baton calls it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The first words of a customer whom nobody knows yet."""

    what: str
    customer: str
    text: str
    item: str
    """The message's id as Baton will call it."""
    target: str
    """Where a reply to it arrives."""
    payload: Any


@dataclass(kw_only=True)
class Simulated(abc.ABC):
    """One account of a network. Everything is on loopback."""

    network: ClassVar[str]
    account: str
    secret: str = "demo-secret"
    """What webhooks are signed with."""
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    echo: bool = True
    """Whether replies come back as webhooks where the real network sends them back."""
    received: list[Received] = field(default_factory=list)
    operated: list[Operated] = field(default_factory=list)
    url: str = ""
    webhook_url: str = ""
    refuse: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    """Answers to give to the next replies instead of taking them: status and body."""
    drop_answer: int = 0
    """How many of the next replies to take and never answer."""
    client: httpx.AsyncClient = field(init=False)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(int(time.time() * 1000)))
    _echoes: "asyncio.Queue[Any]" = field(default_factory=asyncio.Queue)

    # -- what each network says for itself --------------------------------------------------------------------------

    @property
    @abc.abstractmethod
    def credentials(self) -> dict[str, str]:
        """What a channel needs to talk to it."""

    @abc.abstractmethod
    def sign(self, body: bytes) -> dict[str, str]:
        """The headers of a webhook."""

    @abc.abstractmethod
    def openings(self) -> Iterator[Opening]:
        """One of each kind of message that a customer begins with."""

    @abc.abstractmethod
    def take(self, path: str, payload: Any) -> tuple[Received, dict[str, Any]]:
        """A reply that was sent to this path, and the answer to who sent it."""

    def shows(self, taken: Received) -> Iterator[Any]:
        """The webhooks that tell of a reply; none where the network tells of none."""
        del taken
        yield from ()

    def operates(self, method: str, path: str, payload: Any) -> tuple[Operated, dict[str, Any]] | None:
        """What is to be done to an item, and the answer to who asks for it; None where it is a reply."""
        del method, path, payload
        return None

    def tells(self, done: Operated) -> Iterator[Any]:
        """The webhooks that tell of it; none where the network tells of none."""
        del done
        yield from ()

    def asked(self, path: str) -> tuple[int, dict[str, Any]]:
        """What a question is answered with."""
        del path
        return 404, {}

    async def greet(self) -> None:  # noqa: B027 - most networks do nothing before
        """What a network does before it delivers anything."""

    def encode(self, payload: Any) -> bytes:
        """A webhook's bytes."""
        return json.dumps(payload).encode()

    # -- to Baton ---------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[Self]:
        """Listens on a loopback port for as long as the block runs; sends echoes meanwhile."""
        config = uvicorn.Config(
            self, host="127.0.0.1", port=port, log_level="warning", lifespan="off", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)

        async def serve() -> None:
            await server._serve()  # noqa: SLF001 - `serve` would take over our signals

        async with httpx.AsyncClient(timeout=TIMEOUT) as self.client, running(serve, self._send_echoes):
            while not server.started:
                await asyncio.sleep(0.01)
            self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            try:
                yield self
            finally:
                await server.shutdown()

    async def post(self, payload: Any) -> int:
        """Sends one webhook, again and again as the network would while it is not acknowledged; the last status."""
        body = self.encode(payload)
        headers = self.sign(body) | {"Content-Type": "application/json"}
        status = 0
        for attempt in range(RETRIES):
            try:
                status = (await self.client.post(self.webhook_url, content=body, headers=headers)).status_code
            except httpx.HTTPError:
                status = 0
            if 200 <= status < 300 or 400 <= status < 500:
                return status
            await asyncio.sleep(min(0.1 * 2**attempt, 2.0))
        return status

    async def challenge(self, query: Mapping[str, str], fits: Callable[[str], bool]) -> None:
        """A handshake: the webhook's address answers as only somebody who knows the secret can."""
        answer = await self.client.get(self.webhook_url, params=query)
        if answer.status_code != 200 or not fits(answer.text):
            raise Misconfigured(f"{self.network} would deliver nothing: its handshake got {answer.status_code}")

    async def caught_up(self) -> None:
        """Returns once everything that was taken has been shown."""
        await self._echoes.join()

    def number(self) -> int:
        """One that this network has not used, on this day or another."""
        return next(self._numbers)

    # -- from Baton -------------------------------------------------------------------------------------------------

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """The network's API, raw ASGI."""
        if scope["type"] != "http":
            return
        body = b""
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                # Whoever was asking died before all of it was said: no network takes half a request.
                return
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        query = scope["query_string"].decode()
        status, answer = self.answer(scope["method"], f"{scope['path']}{f'?{query}' if query else ''}", body)
        if status == 0:
            # Taken, and never answered: what a lost connection looks like.
            await asyncio.sleep(3600)
        content = json.dumps(answer).encode()
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        )
        await send({"type": "http.response.body", "body": content})

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and body; status 0 stands for none."""
        if method == "GET":
            return self.asked(path.partition("?")[0])
        if self.refuse:
            return self.refuse.pop(0)
        payload = json.loads(body or b"{}")
        if found := self.operates(method, path, payload):
            done, answer = found
            self.operated.append(done)
            shown = self.tells(done)
        else:
            taken, answer = self.take(path, payload)
            self.received.append(taken)
            shown = self.shows(taken)
        if self.echo:
            for webhook in shown:
                self._echoes.put_nowait(webhook)
        if self.drop_answer:
            self.drop_answer -= 1
            return 0, {}
        return 200, answer

    async def _send_echoes(self) -> None:
        while True:
            payload = await self._echoes.get()
            if self.webhook_url:
                await self.post(payload)
            self._echoes.task_done()
