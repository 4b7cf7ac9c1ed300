"""What every network must offer: verify, handshake, parse, reply, moderate, interpret, and what it can do at all."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, Final, Literal, Protocol, Self, assert_never

import msgspec

from shared.errors import Rejected
from shared.events.messages import Attachment, Author, Direction, Kind, Operation, Origin, Post, Reaction, Verb

DeliveryState = Literal["normalized", "ignored", "not-understood"]
"""What a delivery came to, once parsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a network can do. Durations are from the customer's message; None: no limit."""

    public_reply: bool = False
    private_reply: bool = False
    hide: frozenset[Kind] = frozenset()
    """Kinds of customers' items that can be hidden from the public, and shown again."""
    delete: frozenset[Kind] = frozenset()
    """Kinds of customers' items that can be deleted."""
    delete_own: frozenset[Kind] = frozenset()
    """The same, of items that were written for the brand."""
    like: frozenset[Kind] = frozenset()
    """Kinds of customers' items that can be liked."""
    echo: bool = False
    """Our own replies come back as webhook items."""
    correlation: bool = False
    """Our correlation id comes back in the echo."""
    query: bool = False
    """The network can be asked whether a reply exists; where not about every reply, `query` says which."""
    idempotency_key: bool = False
    """Sending twice with one key has one effect."""
    public_window: timedelta | None = None
    private_window: timedelta | None = None
    human_window: timedelta | None = None
    """Window of a direct message when a human writes; falls back to `private_window`."""
    text_limit: int | None = None
    """Longest text, in characters."""
    public_text_limit: int | None = None
    """Longest public text where it is shorter than others, as `public_length` counts."""
    public_length: Callable[[str], int] = len
    private_text_bytes: int | None = None
    """Longest text of a direct message in bytes of UTF-8, where that counts too."""
    query_lag: timedelta = timedelta(seconds=30)
    """How long after sending "not there" does not count yet."""
    identity_scope: Literal["channel", "network"] = "channel"
    """Whether an author's id means the same person in every channel of the network, or only in one."""

    def moderates(self, operation: Operation, kind: str, *, own: bool = False) -> bool:
        """Whether this can be done to an item of this kind; `own`: it was written for the brand."""
        if own:
            return operation == "delete" and kind in self.delete_own
        match operation:
            case "hide" | "unhide":
                return kind in self.hide
            case "delete":
                return kind in self.delete
            case "like":
                return kind in self.like
        assert_never(operation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A connected channel as the adapters see it, credentials unsealed."""

    channel_id: str
    external_id: str
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    api_base_url: str | None = None

    def secrets(self, name: str) -> list[str]:
        """The credential of this name and the one before it, as far as there are any: in a rotation both hold."""
        return [secret for key in (name, f"{name}_previous") if (secret := self.credentials.get(key))]


class WebhookRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP request on a webhook path, a struct because one is made for each of them.

    Header names are lower-case; `query` keeps the first value of each name.
    """

    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAnswer:
    """What the network wants to hear."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that a delivery says happened, in the field's words but with the provider's ids.

    `thread` is the provider's name of the conversation (a DM partner, a root comment, a review), None where the body
    lacks it: ingest then finds it in its index of items. Where `parent_external_id` is in that index, the parent's
    conversation wins: a body names only the comment above. `version` orders versions of one item, for equality only.
    `account_external_id` is empty where the body names no account: then it is the channel's own.
    `answers` names the ways to answer where the network has fewer for this item than for others of its kind.
    A `reacted` item is the one reacted to, of kind `reaction` and without author; `direction` is the reactor's.
    """

    verb: Verb
    kind: Kind
    direction: Direction
    origin: Origin
    external_id: str
    account_external_id: str
    occurred_at: datetime | None
    thread: str | None = None
    parent_external_id: str | None = None
    author: Author | None = None
    text: str | None = None
    attachments: tuple[Attachment, ...] = ()
    permalink: str | None = None
    post: Post | None = None
    rating: int | None = None
    correlation_id: str | None = None
    reaction: Reaction | None = None
    reason: str | None = None
    """Why an item of ours is `undelivered`."""
    version: str = ""
    answers: tuple[Literal["public", "private"], ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A part of a delivery that became no item, and why: a stable code and a sentence."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """All parts of one delivery. `ignored`: known and of no concern; `not_understood`: kept for a later parser."""

    items: tuple[Item, ...] = ()
    ignored: tuple[Skipped, ...] = ()
    not_understood: tuple[Skipped, ...] = ()

    @classmethod
    def of(cls, parts: Iterable[Item | Skipped], *, ignored: frozenset[str]) -> Self:
        """Sorts the parts; `ignored` are the codes of what is known and no message. An item that comes twice is one."""
        items: dict[Item, None] = {}
        known: list[Skipped] = []
        not_understood: list[Skipped] = []
        for part in parts:
            if isinstance(part, Skipped):
                (known if part.code in ignored else not_understood).append(part)
            elif part in items:
                known.append(Skipped(code="duplicate", detail=f"{part.external_id} is in this delivery already"))
            else:
                items[part] = None
        return cls(items=tuple(items), ignored=tuple(known), not_understood=tuple(not_understood))

    @property
    def state(self) -> DeliveryState:
        """The worst of its parts: whatever was not understood must be seen, even beside items."""
        if self.not_understood:
            return "not-understood"
        return "normalized" if self.items else "ignored"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundReply:
    """A reply as a network needs it to build the request."""

    text: str
    kind: Literal["public", "private"]
    message_kind: str
    in_reply_to_external_id: str
    correlation_id: str
    recipient_external_id: str | None = None
    attachments: tuple[Attachment, ...] = ()
    template: str | None = None
    human: bool = True
    message_age: timedelta = timedelta(0)
    """Since the customer's message, by the database's clock: decides between window and human-agent tag."""
    thread: str | None = None
    """The provider's name of the conversation, as `Item.thread` had it; None where the sender does not know it."""
    attempted_at: datetime | None = None
    """When this attempt was claimed, by the database's clock: stamps signed requests, and bounds what `query` finds."""
    sender_external_id: str | None = None
    """The channel's own account on the network: by whom a reply that `query` finds must have been written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundModeration:
    """Something to be done to an item, as a network needs it to build the request."""

    id: str
    operation: Operation
    message_kind: str
    external_id: str
    own: bool = False
    """The item was written for the brand."""
    author_external_id: str | None = None
    attempted_at: datetime | None = None
    """When this attempt was claimed, by the database's clock: stamps signed requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request to be made by the egress client; headers, and some URLs, hold secrets and are never logged."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """What came back, body capped."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The network took it; `external_id` is None where it tells no id."""

    external_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The network refused it for good. `unauthorized`: the channel's credentials no longer work."""

    code: str
    reason: str
    unauthorized: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttled:
    """Surely not sent, and may be tried again after so many seconds."""

    retry_after: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """It may have been sent (an answer that says nothing, such as a 502 or an unreadable 200)."""

    reason: str


Outcome = Sent | Failed | Throttled | Unknown

NOT_THERE: Final = "not-there"
"""Why an operation failed: the network has no such item. Of a deletion that was tried before, it is the proof."""

NOT_SUPPORTED: Final = "not-supported"
"""Why an operation failed: nobody can do that there, however often it is tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotThere:
    """The network knows no such reply (counts only after deadline plus lag)."""


class Network(Protocol):
    """One network, both directions. Stateless; every method is pure and never raises on foreign bytes."""

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    secret_names: ClassVar[tuple[str, ...]]
    """Credentials that a channel of this network takes; all are sealed at rest."""
    required_credentials: ClassVar[tuple[str, ...]]

    def handshake(self, request: WebhookRequest, account: Account) -> WebhookAnswer | None:
        """The answer if this request is a handshake (right or wrong), else None."""
        ...

    def verify(self, request: WebhookRequest, account: Account, *, now: datetime) -> bool:
        """Whether the raw body is authentic, in constant time, under the current or the previous secret."""
        ...

    def delivery_key(self, request: WebhookRequest) -> str:
        """What makes two deliveries the same one: provider's delivery id, else a digest of the raw body."""
        ...

    def parse(self, raw: bytes) -> Parsed:
        """What a body becomes. Never raises: what is not understood is returned as such."""
        ...

    def acknowledge(self) -> WebhookAnswer:
        """The answer to an accepted delivery."""
        ...

    def reply(self, account: Account, reply: OutboundReply) -> HttpRequest:
        """The request that sends this reply; Rejected when the network cannot send such a reply."""
        ...

    def interpret(self, response: HttpResponse) -> Outcome:
        """What a response to `reply` means."""
        ...

    def moderate(self, account: Account, moderation: OutboundModeration) -> HttpRequest:
        """The request that does this to an item; Rejected where `capabilities` say that it cannot be done."""
        ...

    def interpret_moderation(self, response: HttpResponse, moderation: OutboundModeration) -> Outcome:
        """What a response to `moderate` means; `Sent`: it is done."""
        ...

    def query(self, account: Account, reply: OutboundReply) -> HttpRequest | None:
        """The request that asks whether this reply arrived, or None where the network cannot be asked."""
        ...

    def interpret_query(self, response: HttpResponse, reply: OutboundReply) -> Sent | NotThere | Unknown:
        """What a response to `query` means."""
        ...


def check_moderation(network: Network, moderation: OutboundModeration) -> None:
    """Rejected where the network cannot do this to such an item."""
    if not network.capabilities.moderates(moderation.operation, moderation.message_kind, own=moderation.own):
        whose = "of the brand" if moderation.own else "of a customer"
        raise Rejected(f"{network.name} cannot {moderation.operation} a {moderation.message_kind} {whose}")
