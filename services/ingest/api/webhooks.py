"""The webhook path: raw ASGI in front of FastAPI, answering only what is certain."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Send
from starlette.types import Scope as AsgiScope

from services.ingest.domain.deliveries import Arrival, Source, dedupe_key, kept_headers
from services.ingest.handlers.directory import Directory
from services.ingest.handlers.intake import Intake
from services.ingest.handlers.refusals import Refusals
from shared.clock import Clock
from shared.errors import NotFound, Refusal, Unauthorized
from shared.networks.port import Network, WebhookAnswer, WebhookRequest
from shared.telemetry.metrics import Metrics
from shared.web import bodies, problems

GENERIC: Final = "api"
"""The network behind `POST /v1/messages`."""

CHANNEL_HEADER: Final = "baton-channel"
CHANNEL_PARAMETER: Final = "channel_id"

_PARTS: Final = 4
"""`/webhooks/{network}/{channel}` begins with a slash."""

Answer = tuple[Message, Message]


class Webhooks:
    """`GET,POST /webhooks/{network}/{channel_id}`, and `POST /v1/messages` for the generic network."""

    def __init__(
        self,
        *,
        networks: Mapping[str, Network],
        directory: Directory,
        intake: Intake,
        refusals: Refusals,
        clock: Clock,
        metrics: Metrics,
        body_limit: int,
    ) -> None:
        self._networks = networks
        self._directory = directory
        self._intake = intake
        self._refusals = refusals
        self._clock = clock
        self._metrics = metrics
        self._body_limit = body_limit
        self._acknowledgments = {name: _messages(network.acknowledge()) for name, network in networks.items()}
        self._accepted = {
            name: metrics.counter("baton_webhooks_total", network=name, outcome="stored") for name in networks
        }
        self._seconds = metrics.histogram("baton_webhook_seconds")

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """One request; 2xx only after its delivery is committed."""
        started = self._clock.elapsed()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = dict(reversed(parse_qsl(scope["query_string"].decode("latin-1")))) if scope["query_string"] else {}
        network_name, channel_id = _address(scope["path"], headers, query)
        try:
            network, source = await self._find(network_name, channel_id)
            body = b""
            if scope["method"] == "POST":
                body = await bodies.read(receive, announced=_length(headers), limit=self._body_limit)
            request = WebhookRequest(method=scope["method"], headers=headers, query=query, body=body)
            start, answer = await self._answer(network, source, request)
        except ClientDisconnect:
            return
        except Refusal as refusal:
            self._count(network_name, refusal.code)
            raise
        await send(start)
        await send(answer)
        self._seconds.observe(self._clock.elapsed() - started)

    async def _answer(self, network: Network, source: Source, request: WebhookRequest) -> Answer:
        greeting = network.handshake(request, source.account)
        if greeting is not None:
            self._count(network.name, "handshake" if greeting.status < 400 else "handshake-refused")
            return _messages(greeting)
        if request.method != "POST":
            raise problems.MethodNotAllowed("deliveries are posted", headers={"Allow": "POST"})
        await self._intake.keep(self._arrival(network, source, request))
        self._accepted[network.name].inc()
        return self._acknowledgments[network.name]

    async def _find(self, network_name: str, channel_id: str) -> tuple[Network, Source]:
        network = self._networks.get(network_name)
        source = await self._directory.find(channel_id) if network is not None else None
        if network is None or source is None or source.network != network_name:
            raise NotFound("there is no such channel")
        return network, source

    def _arrival(self, network: Network, source: Source, request: WebhookRequest) -> Arrival:
        if not network.verify(request, source.account, now=self._clock.now()):
            self._refusals.add(source.workspace_id, source.account.channel_id)
            raise Unauthorized("the signature does not fit the body")
        return Arrival(
            workspace_id=source.workspace_id,
            channel_id=source.account.channel_id,
            network=source.network,
            shard=source.shard,
            delivery_key=dedupe_key(network.delivery_key(request)),
            headers=kept_headers(request.headers),
            body=request.body,
        )

    def _count(self, network_name: str, outcome: str) -> None:
        known = network_name if network_name in self._networks else "(none)"
        self._metrics.counter("baton_webhooks_total", network=known, outcome=outcome).inc()


def _address(path: str, headers: Mapping[str, str], query: Mapping[str, str]) -> tuple[str, str]:
    """Network and channel that a request names, empty where it names none."""
    parts = path.split("/")
    if parts[1] == "webhooks":
        return (parts[2], parts[3]) if len(parts) == _PARTS else ("", "")
    if path != "/v1/messages":
        return "", ""
    return GENERIC, headers.get(CHANNEL_HEADER) or query.get(CHANNEL_PARAMETER, "")


def _length(headers: Mapping[str, str]) -> int | None:
    announced = headers.get("content-length", "")
    return int(announced) if announced.isascii() and announced.isdigit() else None


def _messages(answer: WebhookAnswer) -> Answer:
    start: dict[str, Any] = {
        "type": "http.response.start",
        "status": answer.status,
        "headers": [
            (b"content-type", answer.content_type.encode()),
            (b"content-length", str(len(answer.body)).encode()),
            (b"x-content-type-options", b"nosniff"),
        ],
    }
    return start, {"type": "http.response.body", "body": answer.body}
