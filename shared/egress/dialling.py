"""New connections: to vetted addresses only, and for TLS to whoever has a certificate of the name."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from shared.egress.connection import Connection
from shared.egress.policy import Target, as_address
from shared.egress.resolving import Gate

_NEXT_ADDRESS_AFTER: Final = 3.0
_NAMES_KEPT_FOR: Final = 10.0
_MOST_NAMES: Final = 1_000


@dataclass(slots=True)
class _Name:
    """What a name led to, `until` a time of the loop."""

    addresses: list[str] = field(default_factory=list)
    until: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Dialler:
    """Resolves a name once for all who want it at the same time: one that hangs takes one thread of the resolver."""

    def __init__(self, gate: Gate, tls: ssl.SSLContext, loop: asyncio.AbstractEventLoop) -> None:
        self._gate = gate
        self._tls = tls
        self._loop = loop
        self._names: dict[str, _Name] = {}

    async def dial(self, target: Target, make: Callable[[], Connection], *, deadline: float) -> Connection:
        """Tries the host's addresses one after another; only the last one may take all the time there is.

        EgressRefused and NotSent as the gate says, OSError where nobody answers. The caller keeps the deadline.
        """
        addresses = await self._addresses(target.host)
        *others, last = tuple(addresses)
        for number, address in enumerate(others):
            share = (deadline - self._loop.time()) / (len(others) + 1 - number)
            try:
                async with asyncio.timeout(min(share, _NEXT_ADDRESS_AFTER)):
                    return await self._connect(address, target, make())
            except OSError:
                # The next connection need not wait for it again.
                addresses.sort(key=address.__eq__)
        return await self._connect(last, target, make())

    async def _connect(self, address: str, target: Target, connection: Connection) -> Connection:
        tls, name = (self._tls, target.host) if target.scheme == "https" else (None, None)
        try:
            await self._loop.create_connection(lambda: connection, address, target.port, ssl=tls, server_hostname=name)
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _addresses(self, host: str) -> list[str]:
        if as_address(host) is not None:
            return await self._gate.addresses(host)
        name = self._names.get(host) or self._new_name(host)
        async with name.lock:
            if self._loop.time() >= name.until:
                name.addresses = await self._gate.addresses(host)
                name.until = self._loop.time() + _NAMES_KEPT_FOR
            return name.addresses

    def _new_name(self, host: str) -> _Name:
        if len(self._names) >= _MOST_NAMES:
            now = self._loop.time()
            self._names = {known: name for known, name in self._names.items() if name.until > now or name.lock.locked()}
        name = self._names[host] = _Name()
        return name
