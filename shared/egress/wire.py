"""A request as it goes over the wire: where to, with which headers, as which bytes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpx

from shared.egress.outcome import EgressRefused
from shared.egress.policy import DEFAULT_PORTS, AddressPolicy, Target, check_url

_ALWAYS: Final = {"user-agent": "Baton", "accept": "*/*", "accept-encoding": "identity"}
"""Nothing compressed is asked for: what is small on the wire could be large in memory."""

_HEADER_NAMES: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+(?:@[!#$%&'*+.^_`|~0-9a-z-]+)*")
_HEADER_VALUES: Final = re.compile(r"[\t\x20-\x7e]*")
_QUOTED: Final = re.compile(
    r"https?://[^/?#]+(?P<target>(?:[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?:#.*)?", re.IGNORECASE
)
_METHOD: Final = re.compile(r"[A-Z]{3,10}")
_OURS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection"})
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL that was checked, read once for all requests to it."""

    target: Target
    head: str
    """What follows the method: the request's target, the version, and the host."""


def as_httpx_reads(url: str, target: Target) -> httpx.URL:
    """The URL for httpx, which must find the target in it that the policy has checked."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise EgressRefused("the URL is not well-formed") from None
    port = DEFAULT_PORTS.get(parsed.scheme) if parsed.port is None else parsed.port
    if (parsed.scheme, parsed.host.lower(), port) != (target.scheme, target.host, target.port):
        raise EgressRefused("the URL can be read in more than one way")
    return parsed


def destination(url: str, policy: AddressPolicy) -> Destination:
    """Where a URL leads; EgressRefused like `check_url`."""
    target = check_url(url, policy)
    parsed = as_httpx_reads(url, target)
    path = parsed.raw_path.decode("ascii")
    # Quoting anew what is quoted already, or taking dots out of it, would break URLs that carry a signature.
    if quoted := _QUOTED.fullmatch(url):
        path = quoted["target"] if quoted["target"].startswith("/") else "/" + quoted["target"]
    return Destination(target, f" {path} HTTP/1.1\r\nhost: {parsed.netloc.decode('ascii')}\r\n")


def checked_headers(method: str, headers: Mapping[str, str]) -> dict[str, str]:
    """What is always sent, and these; EgressRefused for a method or header that could change what is asked of whom."""
    if not _METHOD.fullmatch(method):
        raise EgressRefused("the method is not one")
    checked = _ALWAYS | {name.lower(): value.strip() for name, value in headers.items()}
    # All of them at once, for this runs with every delivery; "@" can be no part of a name.
    names, values = "@".join(checked), "".join(checked.values())
    well_formed = names.count("@") == len(checked) - 1 and _HEADER_NAMES.fullmatch(names)
    if not well_formed or not _HEADER_VALUES.fullmatch(values) or not _OURS.isdisjoint(checked):
        raise EgressRefused("a header may not be set, or not to this value")
    return checked


def written(method: str, to: Destination, headers: Mapping[str, str], body: bytes) -> bytes:
    """The whole request; method and headers are checked."""
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    length = f"content-length: {len(body)}\r\n" if body or method in _WITH_BODY else ""
    return f"{method}{to.head}{fields}{length}\r\n".encode("ascii") + body
