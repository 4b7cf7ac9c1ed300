"""Which addresses may be called: public ones, over HTTPS, under names that mean the same to every parser."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

from shared.egress.outcome import EgressRefused

Address = IPv4Address | IPv6Address

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_6TO4: Final = IPv6Network("2002::/16")
_NEVER: Final = (
    # Versions of the standard library differ about these.
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv6Network("2001::/23"),
    IPv6Network("3fff::/20"),
)
DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_LOW_32: Final = 0xFFFFFFFF
_ODD_CHARACTER: Final = re.compile(r"[\x00-\x20\x7f\\]")
_HOST_NAME: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.(?!-)[a-z0-9_-]{1,63})*")
_NUMBER: Final = re.compile(r"\d+|0x[0-9a-f]*")
_LONGEST_URL: Final = 4096
_LONGEST_HOST: Final = 253


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressPolicy:
    """`allow_private` is for tests and local use: plain HTTP, any port, loopback and private networks too."""

    allow_private: bool = False
    ports: frozenset[int] = frozenset({443, 80})

    def vet(self, addresses: Iterable[str]) -> list[str]:
        """The addresses of one host, if every one may be called: one bad apple could be the one that is dialled."""
        vetted = list(dict.fromkeys(addresses))
        if not all(self._permits_text(address) for address in vetted):
            raise EgressRefused("the host has an address that may not be called")
        return vetted

    def permits(self, address: Address) -> bool:
        """Whether this one may be called. An address that carries another is judged by both."""
        if isinstance(address, IPv4Address):
            return self._permits_v4(address)
        if address.scope_id:
            return False
        if carried := address.ipv4_mapped or (_low_v4(address) if address in _NAT64 else None):
            return self._permits_v4(carried)
        if address in _6TO4 and not self._permits_v4(IPv4Address(int(address) >> 80 & _LOW_32)):
            return False
        if self.allow_private and (address.is_loopback or _is_unique_local(address)):
            return True
        return address in _GLOBAL_UNICAST and address.is_global and not _is_never(address)

    def _permits_v4(self, address: IPv4Address) -> bool:
        if address.is_multicast or address.is_unspecified or address.is_reserved or address.is_link_local:
            return False
        return self.allow_private or (address.is_global and not _is_never(address))

    def _permits_text(self, address: str) -> bool:
        try:
            return self.permits(ip_address(address))
        except ValueError:
            return False


def _low_v4(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & _LOW_32)


def _is_unique_local(address: IPv6Address) -> bool:
    return address in IPv6Network("fc00::/7")


def _is_never(address: Address) -> bool:
    return any(address in network for network in _NEVER if network.version == address.version)


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL points at, as every transport must read it."""

    scheme: str
    host: str
    port: int


def check_url(url: str, policy: AddressPolicy) -> Target:
    """Refuses what can be refused without asking a name server; meant for the moment when a URL is registered."""
    if len(url) > _LONGEST_URL or _ODD_CHARACTER.search(url):
        raise EgressRefused("the URL is too long or holds characters that a URL cannot have")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise EgressRefused("the URL is not well-formed") from None
    if parts.scheme not in DEFAULT_PORTS or (parts.scheme == "http" and not policy.allow_private):
        raise EgressRefused("the URL must begin with https://")
    if "@" in parts.netloc:
        raise EgressRefused("the URL must not hold a user name or a password")
    if not policy.allow_private and port is not None and port not in policy.ports:
        raise EgressRefused(f"port {port} may not be called")
    host = parts.hostname or ""
    _check_host(host, policy)
    return Target(parts.scheme, host, DEFAULT_PORTS[parts.scheme] if port is None else port)


def _check_host(host: str, policy: AddressPolicy) -> None:
    literal = as_address(host)
    if literal is not None:
        if not policy.permits(literal):
            raise EgressRefused("the URL's address may not be called")
        return
    # inet_aton reads 127.1, 0x7f000001 and 2130706433 as addresses, and so do some resolvers and parsers.
    if not _HOST_NAME.fullmatch(host) or len(host) > _LONGEST_HOST or _NUMBER.fullmatch(host.rpartition(".")[2]):
        raise EgressRefused("the URL's host is neither a plain name (xn-- for other alphabets) nor a plain address")


def as_address(host: str) -> Address | None:
    """The address that a host is written as, if it is one and not a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None
