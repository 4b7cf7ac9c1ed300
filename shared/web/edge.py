"""What every API request passes before FastAPI sees it: identity, limits, headers, metrics, and the last catch."""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import BadRequest
from shared.telemetry import spans, traces
from shared.telemetry.logs import bound
from shared.telemetry.metrics import Metrics
from shared.web import bodies, problems
from shared.web.auth import Principal
from shared.web.calls import EXCHANGE, Exchange, Face
from shared.web.limits import RateLimiter

PUBLIC: Final = frozenset({"/livez", "/readyz", "/metrics", "/openapi.json", "/problems"})
"""Paths that need no key."""

TICKETED: Final = frozenset({"/v1/stream"})
"""Paths that a one-time ticket opens, too: a browser's `EventSource` can send no header."""

PUBLIC_PREFIXES: Final = ("/problems/",)

SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)

TICKET: Final = "ticket"
"""The parameter that holds one."""

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.-]{8,64}")
_NO_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})

Headers = dict[str, str]


def is_public(path: str) -> bool:
    """Whether a path needs no key."""
    return path in PUBLIC or path.startswith(PUBLIC_PREFIXES)


class Edge:
    """Pure ASGI, because each layer of middleware costs more than what it does here."""

    def __init__(
        self, app: ASGIApp, *, face: Face, limiter: RateLimiter, metrics: Metrics, limits: bodies.Limits
    ) -> None:
        self._app = app
        self._face = face
        self._limiter = limiter
        self._metrics = metrics
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        started = self._face.clock.elapsed()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        facts = {"http.request.method": scope["method"], "url.path": scope["path"]}
        with self._face.spans.serving(scope["method"], traces.extract(headers), facts) as span:
            step = traces.current()
            exchange = Exchange(
                face=self._face,
                request_id=self._request_id(headers),
                traceparent=step.traceparent if step else None,
            )
            scope[EXCHANGE] = exchange

            def done(status: int) -> None:
                route = self._count(scope, status, started)
                spans.answered(span, status, name=f"{scope['method']} {route}")

            with bound(request_id=exchange.request_id):
                await self._answer(scope, receive, send, headers=headers, exchange=exchange, done=done)

    async def _answer(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        headers: Headers,
        exchange: Exchange,
        done: Callable[[int], None],
    ) -> None:
        is_answered = False

        async def answer(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start":
                is_answered = True
                message["headers"] = self._complete(message.get("headers", ()), exchange)
                done(message["status"])
            await send(message)

        try:
            receive = await self._admit(scope, receive, headers, exchange)
            await self._app(scope, receive, answer)
        except ClientDisconnect:
            return
        except Exception as error:
            if problems.refusal_of(error) is None:
                structlog.get_logger().exception("request_failed", method=scope["method"], path=scope["path"])
            if is_answered:
                raise
            await problems.render(error, request_id=exchange.request_id)(scope, receive, answer)

    async def _admit(self, scope: Scope, receive: Receive, headers: Headers, exchange: Exchange) -> Receive:
        if not is_public(scope["path"]):
            exchange.principal = await self._identify(scope, headers)
            exchange.headers = self._limiter.take(exchange.principal.key_id)
        announced = _length(headers)
        if not announced and "transfer-encoding" not in headers and (announced == 0 or scope["method"] in _NO_BODY):
            return receive
        body = await bodies.read(receive, announced=announced, limit=self._limits.of(scope["path"]))
        bodies.refuse_deep(body, limit=self._limits.depth)
        return bodies.replay(body, receive)

    async def _identify(self, scope: Scope, headers: Headers) -> Principal:
        if scope["path"] in TICKETED and (query := scope["query_string"]):
            ticket = parse_qs(query.decode("latin-1")).get(TICKET)
            if ticket:
                return await self._face.authenticator.redeem(ticket[0])
        return await self._face.authenticator.authenticate(headers.get("authorization"))

    def _request_id(self, headers: Headers) -> str:
        given = headers.get("x-request-id", "")
        return given if _REQUEST_ID.fullmatch(given) else self._face.ids.new("req")

    def _complete(self, headers: "list[tuple[bytes, bytes]]", exchange: Exchange) -> "list[tuple[bytes, bytes]]":
        present = {name for name, _ in headers}
        return [
            *headers,
            (b"x-request-id", exchange.request_id.encode()),
            *exchange.headers,
            *(header for header in SECURITY_HEADERS if header[0] not in present),
        ]

    def _count(self, scope: Scope, status: int, started: float) -> str:
        facts = self._face.routes.get(id(scope.get("route")))
        # Paths that no route matches share one label: callers could fill the memory with names otherwise.
        route = facts.name.partition(" ")[2] if facts else "(none)"
        method = scope["method"] if facts else "(any)"
        seconds = self._face.clock.elapsed() - started
        self._metrics.counter("baton_http_requests_total", route=route, method=method, status=str(status)).inc()
        self._metrics.histogram("baton_http_request_seconds", route=route).observe(seconds)
        return route


def _length(headers: Headers) -> int | None:
    text = headers.get("content-length")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise BadRequest("Content-Length is not a number")
    return int(text)
