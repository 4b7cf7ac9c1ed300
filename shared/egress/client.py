"""The client that services hold: one call for the networks' APIs, one for the fan-out of deliveries."""

import asyncio
import contextlib
import http.cookiejar
import re
import ssl
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Self

import aiohttp
import httpcore
import httpx
import yarl

from shared.egress import over_aiohttp, over_httpx
from shared.egress.outcome import Attempt, EgressRefused, Response
from shared.egress.policy import DEFAULT_PORTS, AddressPolicy, Target, check_url
from shared.egress.resolving import Gate, Resolve, SystemResolver
from shared.telemetry import traces
from shared.telemetry.spans import OFF, Spans, answered

BODY_LIMIT: Final = 64 * 1024

_ALWAYS: Final = {"user-agent": "Baton", "accept": "*/*", "accept-encoding": "identity"}
"""Nothing compressed is asked for: what is small on the wire could be large in memory."""

_HEADER_NAMES: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+(?:@[!#$%&'*+.^_`|~0-9a-z-]+)*")
_HEADER_VALUES: Final = re.compile(r"[\t\x20-\x7e]*")
_QUOTED: Final = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*")
_METHOD: Final = re.compile(r"[A-Z]{3,10}")
_OURS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection"})
_WORDS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (ssl.SSLCertVerificationError, "the certificate is not trusted"),
    (ssl.SSLError, "TLS failed"),
    (ConnectionRefusedError, "the connection was refused"),
    (ConnectionResetError, "the connection was reset"),
    (httpcore.RemoteProtocolError, "the connection ended early, or the answer is not HTTP"),
    (aiohttp.ServerDisconnectedError, "the connection ended early"),
    (aiohttp.ClientPayloadError, "the answer's body is cut short"),
    (aiohttp.ClientResponseError, "the answer is not HTTP"),
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
        self._targets: dict[str, yarl.URL] = {}

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
        session = over_aiohttp.open_session(self._gate, tls, connections=self._connections)
        self._aiohttp = await self._resources.enter_async_context(session)
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
        sent = _checked_headers(method, headers) | {"connection": "close"}
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
        parsed = self._remembered(url)
        sent = _checked_headers(method, headers)
        if not self._spans.is_on:
            return await self._again(method, parsed, headers=sent, body=body, within=timeout, body_limit=body_limit)
        with self._spans.calling(method, _facts(method, parsed.host or "")) as span:
            traces.inject(sent)
            response = await self._again(method, parsed, headers=sent, body=body, within=timeout, body_limit=body_limit)
            answered(span, response.status)
        return response

    async def _again(
        self,
        method: str,
        url: yarl.URL,
        *,
        headers: Mapping[str, str],
        body: bytes,
        within: timedelta,
        body_limit: int,
    ) -> Response:
        attempt = Attempt()
        over_aiohttp.CURRENT.set(attempt)
        try:
            async with (
                asyncio.timeout(within.total_seconds()),
                self._aiohttp.request(
                    method, url, headers=headers, data=body or None, allow_redirects=False
                ) as response,
            ):
                content, truncated = await _read_some(response, body_limit)
        except TimeoutError:
            raise attempt.failed(url.host or "", "no answer in time") from None
        except over_aiohttp.FAILURES as error:
            raise attempt.failed(url.host or "", _named(error)) from error
        received = {name.lower(): value for name, value in response.headers.items()}
        return Response(status=response.status, headers=received, body=content, truncated=truncated)

    def _remembered(self, url: str) -> yarl.URL:
        """Checked once per URL: the addresses behind it are vetted at every connection, whatever is kept here."""
        parsed = self._targets.get(url)
        if parsed is None:
            parsed = as_aiohttp_reads(url, check_url(url, self._policy))
            if len(self._targets) >= _MOST_REMEMBERED:
                self._targets.clear()
            self._targets[url] = parsed
        return parsed


def _facts(method: str, host: str) -> dict[str, str]:
    # Not the path: some networks want their token there.
    return {"http.request.method": method, "server.address": host}


def as_httpx_reads(url: str, target: Target) -> httpx.URL:
    """The URL for httpx, which must find the target in it that the policy has checked."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise EgressRefused("the URL is not well-formed") from None
    _agree(target, parsed.scheme, parsed.host, parsed.port)
    return parsed


def as_aiohttp_reads(url: str, target: Target) -> yarl.URL:
    """The URL for aiohttp, likewise. Quoting anew what is quoted already would break URLs that carry a signature."""
    try:
        parsed = yarl.URL(url, encoded=_QUOTED.fullmatch(url) is not None)
        _agree(target, parsed.scheme, parsed.host, parsed.port)
    except ValueError:
        raise EgressRefused("the URL is not well-formed") from None
    return parsed


def _agree(target: Target, scheme: str, host: str | None, port: int | None) -> None:
    read = (scheme, (host or "").lower(), DEFAULT_PORTS.get(scheme) if port is None else port)
    if read != (target.scheme, target.host, target.port):
        raise EgressRefused("the URL can be read in more than one way")


def _checked_headers(method: str, headers: Mapping[str, str]) -> dict[str, str]:
    if not _METHOD.fullmatch(method):
        raise EgressRefused("the method is not one")
    checked = _ALWAYS | {name.lower(): value.strip() for name, value in headers.items()}
    # All of them at once, for this runs with every delivery; "@" can be no part of a name.
    names, values = "@".join(checked), "".join(checked.values())
    well_formed = names.count("@") == len(checked) - 1 and _HEADER_NAMES.fullmatch(names)
    if not well_formed or not _HEADER_VALUES.fullmatch(values) or not _OURS.isdisjoint(checked):
        raise EgressRefused("a header may not be set, or not to this value")
    return checked


async def _read(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    content = bytearray()
    async for part in response.aiter_raw():
        content += part
        if len(content) > limit:
            return bytes(content[:limit]), True
    return bytes(content), False


async def _read_some(response: aiohttp.ClientResponse, limit: int) -> tuple[bytes, bool]:
    content = bytearray()
    async for part in response.content.iter_any():
        content += part
        if len(content) > limit:
            # What is left would have to be read before the connection could be used again.
            response.close()
            return bytes(content[:limit]), True
    return bytes(content), False


def _named(error: BaseException) -> str:
    """What happened, in words that tell the caller nothing about addresses or name servers."""
    cause: BaseException | None = error
    while cause:
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
