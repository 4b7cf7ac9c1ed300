"""The client that services hold: one call for the networks' APIs, one for the fan-out of deliveries."""

import asyncio
import contextlib
import http.cookiejar
import ssl
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Self

import httpcore
import httpx

from shared.egress import over_httpx
from shared.egress.answer import Broken
from shared.egress.dialling import Dialler
from shared.egress.outcome import Attempt, Response
from shared.egress.policy import AddressPolicy, check_url
from shared.egress.pool import Pool
from shared.egress.resolving import Gate, Resolve, SystemResolver
from shared.egress.wire import Destination, as_httpx_reads, checked_headers, destination, written
from shared.telemetry import traces
from shared.telemetry.spans import OFF, Spans, answered

BODY_LIMIT: Final = 64 * 1024

_WORDS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (ssl.SSLCertVerificationError, "the certificate is not trusted"),
    (ssl.SSLError, "TLS failed"),
    (ConnectionRefusedError, "the connection was refused"),
    (ConnectionResetError, "the connection was reset"),
    (httpcore.RemoteProtocolError, "the connection ended early, or the answer is not HTTP"),
)
_MOST_REMEMBERED: Final = 10_000


class Egress:
    """Both calls end with a Response, EgressRefused, NotSent or OutcomeUnknown, and never later than `timeout`."""

    def __init__(
        self,
        policy: AddressPolicy,
        *,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
        connections: int = 512,
        spans: Spans = OFF,
    ) -> None:
        self._policy = policy
        self._spans = spans
        self._resolver = SystemResolver() if resolve is None else None
        self._gate = Gate(policy, resolve or self._resolver or SystemResolver())
        self._tls = tls
        self._connections = connections
        self._slots = asyncio.Semaphore(connections)
        self._resources = contextlib.AsyncExitStack()
        self._destinations: dict[str, Destination] = {}

    async def __aenter__(self) -> Self:
        tls = self._tls or _default_tls()
        transport = over_httpx.OneConnectionPerRequest(self._gate, tls)
        no_cookies = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        client = httpx.AsyncClient(
            transport=transport,
            cookies=no_cookies,
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # noqa: S113 - each call has a deadline for everything, which httpx cannot express
        )
        self._httpx = await self._resources.enter_async_context(client)
        loop = self._loop = asyncio.get_running_loop()
        pool = Pool(Dialler(self._gate, tls, loop), loop, connections=self._connections)
        self._pool = await self._resources.enter_async_context(pool)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()
        if self._resolver:
            self._resolver.close()

    def check_url(self, url: str) -> None:
        """EgressRefused for a URL that can never be called; asks no name server."""
        check_url(url, self._policy)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout: timedelta,  # noqa: ASYNC109 - a deadline for everything, kept here
        body_limit: int = BODY_LIMIT,
    ) -> Response:
        """One request on a connection of its own: slower, and as sure as can be about what was not sent."""
        target = check_url(url, self._policy)
        parsed = as_httpx_reads(url, target)
        sent = checked_headers(method, headers) | {"connection": "close"}
        with self._spans.calling(method, _facts(method, target.host)) as span:
            response = await self._once(
                method, parsed, host=target.host, headers=sent, body=body, within=timeout, body_limit=body_limit
            )
            answered(span, response.status)
        return response

    async def _once(
        self,
        method: str,
        url: httpx.URL,
        *,
        host: str,
        headers: Mapping[str, str],
        body: bytes,
        within: timedelta,
        body_limit: int,
    ) -> Response:
        attempt = Attempt()
        extensions = over_httpx.tracing(attempt)
        try:
            async with asyncio.timeout(within.total_seconds()), self._slots:
                request = self._httpx.build_request(
                    method, url, headers=headers, content=body or None, extensions=extensions
                )
                response = await self._httpx.send(request, stream=True)
                try:
                    content, truncated = await _read(response, body_limit)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise attempt.failed(host, "no answer in time") from None
        except over_httpx.FAILURES as error:
            raise attempt.failed(host, _named(error)) from error
        return Response(status=response.status_code, headers=dict(response.headers), body=content, truncated=truncated)

    async def deliver(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout: timedelta,  # noqa: ASYNC109 - a deadline for everything, kept here
        body_limit: int = BODY_LIMIT,
    ) -> Response:
        """One request on a kept connection, for what the other side takes twice without harm: many times faster."""
        to = self._remembered(url)
        if not self._spans.is_on:
            return await self._kept(method, to, headers=headers, body=body, within=timeout, body_limit=body_limit)
        with self._spans.calling(method, _facts(method, to.target.host)) as span:
            traced = dict(headers)
            traces.inject(traced)
            response = await self._kept(method, to, headers=traced, body=body, within=timeout, body_limit=body_limit)
            answered(span, response.status)
        return response

    async def _kept(
        self,
        method: str,
        to: Destination,
        *,
        headers: Mapping[str, str],
        body: bytes,
        within: timedelta,
        body_limit: int,
    ) -> Response:
        request = written(method, to, checked_headers(method, headers), body)
        attempt = Attempt()
        try:
            return await self._pool.exchange(
                to.target,
                request,
                attempt=attempt,
                deadline=self._loop.time() + within.total_seconds(),
                body_limit=body_limit,
                expects_body=method != "HEAD",
            )
        except TimeoutError:
            raise attempt.failed(to.target.host, "no answer in time") from None
        except OSError as error:
            raise attempt.failed(to.target.host, _named(error)) from error

    def _remembered(self, url: str) -> Destination:
        """Checked once per URL: the addresses behind it are vetted at every connection, whatever is kept here."""
        to = self._destinations.get(url)
        if to is None:
            to = destination(url, self._policy)
            if len(self._destinations) >= _MOST_REMEMBERED:
                self._destinations.clear()
            self._destinations[url] = to
        return to


def _facts(method: str, host: str) -> dict[str, str]:
    # Not the path: some networks want their token there.
    return {"http.request.method": method, "server.address": host}


async def _read(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    content = bytearray()
    async for part in response.aiter_raw():
        content += part
        if len(content) > limit:
            return bytes(content[:limit]), True
    return bytes(content), False


def _named(error: BaseException) -> str:
    """What happened, in words that tell the caller nothing about addresses or name servers."""
    cause: BaseException | None = error
    while cause:
        if isinstance(cause, Broken):
            return str(cause)
        for kind, words in _WORDS:
            if isinstance(cause, kind):
                return words
        cause = cause.__cause__
    return "the connection failed"


def _default_tls() -> ssl.SSLContext:
    """The authorities that come with httpx, and this system's: images often hold none, companies add their own."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context
