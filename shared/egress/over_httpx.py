"""httpx with a connection of its own for every request, to vetted addresses only."""

import ssl
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import httpcore
import httpx

from shared.egress.outcome import Attempt
from shared.egress.resolving import Gate

_NEXT_ADDRESS_AFTER: Final = 3.0
_FIRST_WRITE: Final = "http11.send_request_headers.started"

FAILURES: Final = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)


class _Stream(httpcore.AsyncNetworkStream):
    """httpcore's own stream, closed also when a deadline cuts the handshake off: httpcore forgets that one."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            await self._stream.aclose()
            raise


class VettedBackend(httpcore.AsyncNetworkBackend):
    """Dials only what the gate lets through. TLS comes later and still checks the name, not the address."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Tries the host's addresses one after another; only the last one may take all the time there is."""
        *others, last = await self._gate.addresses(host)
        for address in others:
            try:
                return _Stream(
                    await self._network.connect_tcp(address, port, _NEXT_ADDRESS_AFTER, local_address, socket_options)
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return _Stream(await self._network.connect_tcp(last, port, timeout, local_address, socket_options))


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: Any, connection: httpcore.AsyncHTTPConnection) -> None:
        self._stream = stream
        self._connection = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()
        await self._connection.aclose()


class OneConnectionPerRequest(httpx.AsyncBaseTransport):
    """No connection is used twice.

    A kept one may be closed by the other side at the moment in which we write, and nobody could tell afterwards
    whether the request was read. A fresh one makes "connected" and "may have arrived" the same moment.
    """

    def __init__(self, gate: Gate, tls: ssl.SSLContext) -> None:
        self._backend = VettedBackend(gate)
        self._tls = tls

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Connects, sends, and returns when the head of the response is there. Errors are httpcore's."""
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        connection = httpcore.AsyncHTTPConnection(
            origin=url.origin, ssl_context=self._tls, network_backend=self._backend, keepalive_expiry=0
        )
        try:
            response = await connection.handle_async_request(
                httpcore.Request(
                    method=request.method,
                    url=url,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        except BaseException:
            await connection.aclose()
            raise
        return httpx.Response(
            status_code=response.status, headers=response.headers, stream=_Body(response.stream, connection)
        )


def tracing(attempt: Attempt) -> dict[str, Any]:
    """Request extensions that note when the request is handed to its connection."""

    async def note(event: str, _info: dict[str, Any]) -> None:
        if event == _FIRST_WRITE:
            attempt.handed_over = True

    return {"trace": note}
