"""The webhook path: a hook for usual deliveries, raw ASGI in front of FastAPI for the rest; answers what is certain."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from services.ingest.api.reading import Reader
from services.ingest.domain.deliveries import Arrival, Source, dedupe_key, kept_headers
from services.ingest.handlers.directory import Directory
from services.ingest.handlers.intake import Intake
from services.ingest.handlers.refusals import Refusals
from shared.clock import Clock
from shared.errors import NotFound, Refusal, Retryable, Unauthorized, Unavailable
from shared.networks.port import Network, WebhookAnswer, WebhookRequest
from shared.telemetry.metrics import Metrics
from shared.web import problems
from shared.web.hooks import Answer

PREFIXES: Final = ("/webhooks/", "/v1/messages")

GENERIC: Final = "api"
"""The network behind `POST /v1/messages`."""

CHANNEL_HEADER: Final = "baton-channel"
CHANNEL_PARAMETER: Final = "channel_id"

MEASURED: Final = 16
"""Every so many requests one is measured: observing costs as much as checking a signature."""

_PARTS: Final = 4
"""`/webhooks/{network}/{channel}` begins with a slash."""


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
        self._reader = Reader(clock, limit=body_limit)
        self._acknowledgments = {name: _response(network.acknowledge()) for name, network in networks.items()}
        self._seconds = metrics.histogram("baton_webhook_seconds")
        self._count = 0

    def take(self, target: bytes, headers: Mapping[str, str], body: bytes, answer: Answer) -> bool:
        """A delivery to a channel that is known, signed as it should be; whoever must hear no hears it from ASGI."""
        now = self._clock.elapsed()
        network_name, channel_id = _address(target.decode("latin-1"), headers, {})
        source = self._directory.known(channel_id, now)
        if source is None or source.network != network_name or len(body) > self._body_limit:
            return False
        network = self._networks[network_name]
        request = WebhookRequest(method="POST", headers=headers, body=body)
        if network.handshake(request, source.account) is not None:
            return False
        arrival = self._arrival(network, source, request)
        if arrival is None:
            return False

        def told(error: Unavailable | None) -> None:
            if error is None:
                self._measure(now)
                answer(self._acknowledgments[network_name])
            else:
                self._counted(network_name, error.code)
                answer(error)

        try:
            self._intake.keep(arrival, told)
        except Unavailable:
            return False
        return True

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """One request; 2xx only after its delivery is committed."""
        now = self._clock.elapsed()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = dict(reversed(parse_qsl(scope["query_string"].decode("latin-1")))) if scope["query_string"] else {}
        network_name, channel_id = _address(scope["path"], headers, query)
        network = self._networks.get(network_name)
        try:
            source = self._directory.known(channel_id, now) or await self._directory.find(channel_id)
            if source is None or network is None or source.network != network_name:
                raise NotFound("there is no such channel")
            method = scope["method"]
            body = await self._reader.read(receive, headers, since=now) if method == "POST" else b""
            request = WebhookRequest(method=method, headers=headers, query=query, body=body)
            response = await self._respond(network, source, request)
        except ClientDisconnect:
            return
        except Refusal as refusal:
            self._counted(network_name, refusal.code)
            raise
        except Retryable:
            self._counted(network_name, Unavailable.code)
            raise
        await response(scope, receive, send)
        self._measure(now)

    def count_stored(self, networks: Counter[str]) -> None:
        """So many deliveries of each network are durable: counted by the batch, because counting has its price."""
        for name, count in networks.items():
            self._metrics.counter("baton_webhooks_total", network=name, outcome="stored").inc(count)

    async def watch(self) -> None:
        """Gives up bodies that do not arrive, until cancelled."""
        await self._reader.watch()

    async def _respond(self, network: Network, source: Source, request: WebhookRequest) -> Response:
        greeting = network.handshake(request, source.account)
        if greeting is not None:
            self._counted(network.name, "handshake" if greeting.status < 400 else "handshake-refused")
            return _response(greeting)
        if request.method != "POST":
            raise problems.MethodNotAllowed("deliveries are posted", headers={"Allow": "POST"})
        arrival = self._arrival(network, source, request)
        if arrival is None:
            self._refusals.add(source.workspace_id, source.account.channel_id)
            raise Unauthorized("the signature does not fit the body")
        await self._stored(arrival)
        return self._acknowledgments[network.name]

    def _arrival(self, network: Network, source: Source, request: WebhookRequest) -> Arrival | None:
        """What is stored; None where the signature does not fit."""
        if not network.verify(request, source.account, now=self._clock.now()):
            return None
        return Arrival(
            workspace_id=source.workspace_id,
            channel_id=source.account.channel_id,
            network=source.network,
            shard=source.shard,
            delivery_key=dedupe_key(network.delivery_key(request)),
            headers=kept_headers(request.headers),
            body=request.body,
        )

    async def _stored(self, arrival: Arrival) -> None:
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def told(error: Unavailable | None) -> None:
            if stored.done():
                return
            if error is None:
                stored.set_result(None)
            else:
                stored.set_exception(error)

        self._intake.keep(arrival, told)
        await stored

    def _measure(self, since: float) -> None:
        self._count += 1
        if self._count % MEASURED == 0:
            self._seconds.observe(self._clock.elapsed() - since)

    def _counted(self, network_name: str, outcome: str) -> None:
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


def _response(answer: WebhookAnswer) -> Response:
    headers = {"content-type": answer.content_type, "x-content-type-options": "nosniff"}
    return Response(answer.body, status_code=answer.status, headers=headers)
