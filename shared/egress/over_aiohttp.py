"""aiohttp with kept connections for the fan-out of deliveries, to vetted addresses only."""

import socket
import ssl
from contextvars import ContextVar
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from shared.egress.outcome import Attempt
from shared.egress.policy import AddressPolicy
from shared.egress.resolving import Gate

_KEPT_FOR: Final = 30.0
_NAMES_KEPT_FOR: Final = 10

FAILURES: Final = (aiohttp.ClientError, OSError)
"""Everything that aiohttp raises about the network; what it raises about its caller is a bug and stays one."""


class VettedResolver(AbstractResolver):
    """Answers only what the gate lets through."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Vetted addresses as numbers, so that nothing is asked again on the way to the socket."""
        del family
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in await self._gate.addresses(host)
        ]

    async def close(self) -> None:
        """The gate belongs to somebody else."""


def vetting_sockets(policy: AddressPolicy) -> Any:
    """Opens no socket for an address that is forbidden: aiohttp asks no resolver about addresses in URLs."""

    def open_socket(info: tuple[Any, ...]) -> socket.socket:
        family, kind, proto, _, address = info
        policy.vet([address[0]])
        return socket.socket(family=family, type=kind, proto=proto)

    return open_socket


async def _only_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """aiohttp repeats some methods by itself when a kept connection breaks; the caller decides that here."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectionError as error:
        raise Broken from error


class Broken(aiohttp.ClientError):
    """A connection could not be made or broke; the cause says which."""


CURRENT: Final[ContextVar[Attempt]] = ContextVar("baton_egress_attempt")
"""The attempt of this task. aiohttp's own tracing would tell the same at a fifth of the throughput."""


class _NotingConnector(aiohttp.TCPConnector):
    """Notes when a request gets its connection: from then on it may have arrived."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        CURRENT.get().handed_over = True
        return connection


def open_session(gate: Gate, tls: ssl.SSLContext, *, connections: int) -> aiohttp.ClientSession:
    """A session that keeps no cookies, follows no proxy and asks for no compression."""
    connector = _NotingConnector(
        resolver=VettedResolver(gate),
        socket_factory=vetting_sockets(gate.policy),
        ssl=tls,
        limit=connections,
        keepalive_timeout=_KEPT_FOR,
        ttl_dns_cache=_NAMES_KEPT_FOR,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        skip_auto_headers=("Content-Type", "User-Agent"),
        middlewares=(_only_once,),
    )
