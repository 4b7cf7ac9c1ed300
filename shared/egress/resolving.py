"""Names to vetted addresses: asked once per connection, and what was vetted is what is dialled."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from shared.egress.outcome import NotSent
from shared.egress.policy import AddressPolicy, as_address

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""Addresses of a name; OSError when there are none."""


class SystemResolver:
    """The system's resolver in threads of its own: names that hang must not stop everything else that uses threads."""

    def __init__(self, threads: int = 16) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="resolver")

    async def __call__(self, name: str) -> list[str]:
        """Addresses in the order in which the system prefers them."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _lookup, name)

    def close(self) -> None:
        """Abandons what is still being asked."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _lookup(name: str) -> list[str]:
    return [str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]


class Gate:
    """The policy together with a resolver: the only way in which a transport learns an address."""

    def __init__(self, policy: AddressPolicy, resolve: Resolve) -> None:
        self.policy = policy
        self._resolve = resolve

    async def addresses(self, host: str) -> list[str]:
        """Where to connect; EgressRefused if any address is forbidden, NotSent if there is none."""
        literal = as_address(host)
        if literal is not None:
            return self.policy.vet([str(literal)])
        try:
            found = await self._resolve(host)
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise NotSent(f"{host}: the name does not resolve")
        return self.policy.vet(found)
