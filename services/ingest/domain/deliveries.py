"""A delivery: what makes two of them one, which of its headers are kept, and who may normalize it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from zlib import crc32

import msgspec

from shared.networks.port import Account

State = Literal["pending", "normalized", "ignored", "not-understood"]
STATES: Final[tuple[State, ...]] = ("pending", "normalized", "ignored", "not-understood")
SETTLED: Final[tuple[State, ...]] = ("normalized", "ignored", "not-understood")

SHARDS: Final = 64
"""Fixed: deliveries that wait carry their shard."""

KEPT_HEADERS: Final = frozenset(
    {"content-type", "content-encoding", "user-agent", "webhook-id", "webhook-timestamp", "x-request-id"}
)
"""Headers that explain a delivery; those that authenticate it may be secrets themselves and are not kept."""

_LONGEST_KEY: Final = 255
_LONGEST_HEADER: Final = 500


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A channel as the webhook path needs it: whose it is, and how its deliveries are verified."""

    workspace_id: str
    network: str
    shard: int
    account: Account


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """A verified delivery, about to be stored; one is made per request, and a struct is the quickest to make."""

    workspace_id: str
    channel_id: str
    network: str
    shard: int
    delivery_key: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A stored delivery, about to be normalized. `replays`: how often somebody asked for that again."""

    id: str
    workspace_id: str
    channel_id: str
    network: str
    account: str
    """The provider's id of the channel's own account."""
    received_at: datetime
    body: bytes
    replays: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What a delivery came to; code and detail say why it did not become an event."""

    inbox_id: str
    state: State
    code: str | None = None
    detail: str | None = None


def shard_of(workspace_id: str, network: str) -> int:
    """The shard of a delivery: one for all channels that can appear in the same body, so that they have one owner."""
    return crc32(f"{workspace_id}:{network}".encode()) % SHARDS


def key_of(workspace_id: str, channel_id: str, conversation_id: str = "") -> str:
    """The key of everything on the messages topic."""
    return f"{workspace_id}:{channel_id}:{conversation_id}"


def dedupe_key(given: str) -> str:
    """The adapter's delivery key, or its digest where no index would take it."""
    if given and len(given) <= _LONGEST_KEY and given.isprintable():
        return given
    return hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """What of the headers is stored."""
    return {name: value[:_LONGEST_HEADER] for name, value in headers.items() if name in KEPT_HEADERS and value}
