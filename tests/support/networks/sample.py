"""What a network contributes to the contract suite, and the replies that all of them are asked to send."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from shared.networks.port import Account, HttpResponse, OutboundReply, Outcome, WebhookAnswer, WebhookRequest

PAGE: Final = "1001"
NOW: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
Json = Any


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Sample:
    """One network as the contract suite drives it. `part` makes the n-th new item, `batch` one body of parts."""

    network: str
    account: Account
    rotated: Account
    """The same channel after its secret was replaced: the old one became the previous one."""
    sign: Callable[[bytes, datetime], Mapping[str, str]]
    """Headers of a body under the old secret, made without our own code."""
    part: Callable[[int], Json]
    batch: Callable[[list[Json]], Json]
    seeds: tuple[Json, ...]
    """Bodies of every kind, for the fuzzer to damage."""
    parts_with_number: Callable[[int], Json]
    """A part whose ids are numbers instead of text."""
    optional: tuple[tuple[str, ...], ...]
    """Paths in a part that may be missing without losing the item."""
    handshakes: tuple[tuple[WebhookRequest, WebhookAnswer | None], ...]
    replies: tuple[tuple[OutboundReply, str, bytes], ...]
    """A reply, the URL and the exact body of its request."""
    outcomes: tuple[tuple[HttpResponse, Outcome], ...]
    signs_time: bool
    signs_body: bool = True
    """Whether what comes beside a body vouches for it, or only for the caller."""
    most_parts: int = 1000
    """How many parts the network puts into one body."""
    private: OutboundReply = field(default_factory=lambda: direct())  # noqa: PLW0108 - it is defined below
    """An answer to a direct message."""
    in_path: frozenset[str] = frozenset()
    """Credentials that the network takes nowhere but in the URL."""

    def __repr__(self) -> str:
        return self.network

    def body(self, count: int = 1) -> bytes:
        """A delivery of so many new items."""
        return encode(self.batch([self.part(number) for number in range(count)]))

    def request(self, body: bytes, at: datetime = NOW) -> WebhookRequest:
        """A signed delivery."""
        return WebhookRequest(method="POST", headers=self.sign(body, at), body=body)


def encode(value: Json) -> bytes:
    """JSON as networks write it: compact and with escapes, which re-serializing does not give back."""
    return json.dumps(value, separators=(",", ":")).encode()


def outbound(**more: Json) -> OutboundReply:
    """A public answer to a comment."""
    return OutboundReply(
        **{
            "text": "It is on its way, Ana ✨",
            "kind": "public",
            "message_kind": "comment",
            "in_reply_to_external_id": "500_77000001",
            "correlation_id": "rpl_1",
            "recipient_external_id": "2002",
            "attempted_at": NOW,
            "sender_external_id": PAGE,
            "thread": "500_77000001",
            **more,
        }
    )


def direct(**more: Json) -> OutboundReply:
    """A private answer to a direct message."""
    fields = {"kind": "private", "message_kind": "dm", "in_reply_to_external_id": "m_1", "thread": "3003"}
    return outbound(**{**fields, "recipient_external_id": "3003", **more})
