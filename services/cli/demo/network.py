"""A simulated Facebook behind the real adapter: signs and sends webhooks, takes replies, echoes them."""

import asyncio
import hashlib
import hmac
import itertools
import json
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self

import httpx
import uvicorn

from shared.log.background import running

PAGE: Final = "1067280970047460"
TIMEOUT: Final = 10.0
"""Seconds that a network waits for the answer to a webhook before it tries again."""

RETRIES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One reply that reached the network."""

    target: str
    """The comment that it stands under, or the person that it was sent to."""
    text: str
    external_id: str
    metadata: str | None


@dataclass(slots=True, kw_only=True)
class SimulatedFacebook:
    """The Graph API as far as replies go, and the sender of webhooks. Everything is on loopback."""

    app_secret: str
    page: str = PAGE
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    echo: bool = True
    """Whether replies come back as webhooks, as they do on the real network."""
    received: list[Received] = field(default_factory=list)
    url: str = ""
    webhook_url: str = ""
    refuse: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    """Answers to give to the next replies instead of taking them: status and body."""
    drop_answer: int = 0
    """How many of the next replies to take and never answer."""
    _client: httpx.AsyncClient = field(init=False)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _echoes: "asyncio.Queue[dict[str, Any]]" = field(default_factory=asyncio.Queue)

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[Self]:
        """Listens on a loopback port for as long as the block runs; sends echoes meanwhile."""
        config = uvicorn.Config(
            self, host="127.0.0.1", port=port, log_level="warning", lifespan="off", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)

        async def serve() -> None:
            await server._serve()  # noqa: SLF001 - `serve` would take over our signals

        async with httpx.AsyncClient(timeout=TIMEOUT) as self._client, running(serve, self._send_echoes):
            while not server.started:
                await asyncio.sleep(0.01)
            self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            try:
                yield self
            finally:
                await server.shutdown()

    # -- to Baton ---------------------------------------------------------------------------------------------------

    def sign(self, body: bytes) -> dict[str, str]:
        """The headers of a webhook."""
        mac = hmac.new(self.app_secret.encode(), body, hashlib.sha256).hexdigest()
        return {"X-Hub-Signature-256": f"sha256={mac}", "Content-Type": "application/json"}

    async def post(self, payload: Mapping[str, Any]) -> int:
        """Sends one webhook, again and again as the network would while it is not acknowledged; the last status."""
        body = json.dumps(payload, ensure_ascii=True).replace("/", "\\/").encode()
        status = 0
        for attempt in range(RETRIES):
            try:
                response = await self._client.post(self.webhook_url, content=body, headers=self.sign(body))
                status = response.status_code
            except httpx.HTTPError:
                status = 0
            if status == 200 or 400 <= status < 500:
                return status
            await asyncio.sleep(min(0.1 * 2**attempt, 2.0))
        return status

    # -- from Baton -------------------------------------------------------------------------------------------------

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """The Graph API, raw ASGI."""
        if scope["type"] != "http":
            return
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        status, answer = self._answer(scope["method"], scope["path"], body)
        if status == 0:
            # Taken, and never answered: what a lost connection looks like.
            await asyncio.sleep(3600)
        content = json.dumps(answer).encode()
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        )
        await send({"type": "http.response.body", "body": content})

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if method == "GET":
            return 200, {"data": self._listing(path)}
        if self.refuse:
            return self.refuse.pop(0)
        payload = json.loads(body or b"{}")
        target, _, edge = path.strip("/").rpartition("/")
        number = next(self._numbers)
        if edge == "comments":
            taken = Received(
                target=target, text=payload.get("message", ""), external_id=f"{target}_r{number}", metadata=None
            )
            answer = {"id": taken.external_id}
        else:
            recipient = payload["recipient"]
            message = payload["message"]
            taken = Received(
                target=recipient.get("id") or recipient.get("comment_id") or recipient.get("post_id", ""),
                text=message.get("text", ""),
                external_id=f"m_r{number}_{self.chance.getrandbits(48):x}",
                metadata=message.get("metadata"),
            )
            answer = {"recipient_id": taken.target, "message_id": taken.external_id}
        self.received.append(taken)
        if self.echo:
            self._echoes.put_nowait(self._echo(taken, comment=edge == "comments"))
        if self.drop_answer:
            self.drop_answer -= 1
            return 0, {}
        return 200, answer

    def _listing(self, path: str) -> list[dict[str, Any]]:
        target = path.strip("/").rpartition("/")[0]
        return [
            {"id": one.external_id, "message": one.text, "from": {"id": self.page}}
            for one in self.received
            if one.target == target
        ]

    def _echo(self, taken: Received, *, comment: bool) -> dict[str, Any]:
        if comment:
            return {
                "object": "page",
                "entry": [
                    {
                        "id": self.page,
                        "time": 1_795_000_000,
                        "changes": [
                            {
                                "field": "feed",
                                "value": {
                                    "item": "comment",
                                    "verb": "add",
                                    "comment_id": taken.external_id,
                                    "parent_id": taken.target,
                                    "post_id": f"{self.page}_1",
                                    "from": {"id": self.page, "name": "The Page"},
                                    "message": taken.text,
                                    "created_time": 1_795_000_000,
                                },
                            }
                        ],
                    }
                ],
            }
        message: dict[str, Any] = {"mid": taken.external_id, "is_echo": True, "app_id": 1, "text": taken.text}
        if taken.metadata:
            message["metadata"] = taken.metadata
        return {
            "object": "page",
            "entry": [
                {
                    "id": self.page,
                    "time": 1_795_000_000_000,
                    "messaging": [
                        {
                            "sender": {"id": self.page},
                            "recipient": {"id": taken.target},
                            "timestamp": 1_795_000_000_000,
                            "message": message,
                        }
                    ],
                }
            ],
        }

    async def _send_echoes(self) -> None:
        while True:
            payload = await self._echoes.get()
            if self.webhook_url:
                await self.post(payload)
