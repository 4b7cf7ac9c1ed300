"""The bodies of the generic channel, both ways: what integrations post to us, and what we post to them."""

from typing import Annotated, Any, Final, Literal

import msgspec

from shared.events.messages import Kind, Operation

_ID_LENGTH: Final = 255
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=_ID_LENGTH)] | int
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
Time = str | int | float
"""RFC 3339, or seconds or milliseconds since 1970."""


class InboundAuthor(msgspec.Struct, frozen=True):
    """Who wrote it; the id must stay the same for the same person."""

    id: Id
    name: str | None = None
    handle: str | None = None
    followers: Annotated[int, msgspec.Meta(ge=0)] | None = None
    verified: bool | None = None


class InboundAttachment(msgspec.Struct, frozen=True):
    """A file or card beside the text."""

    kind: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    url: Url | None = None
    mime: str | None = None
    size: Annotated[int, msgspec.Meta(ge=0)] | None = None
    expires_at: Time | None = None


class InboundPost(msgspec.Struct, frozen=True):
    """The brand's post that a comment stands under."""

    id: Id
    permalink: Url | None = None
    campaign_id: Id | None = None
    ad_id: Id | None = None


class InboundReaction(msgspec.Struct, frozen=True):
    """What somebody put on the item, or took from it; for the verb `reacted`."""

    action: Literal["add", "remove"]
    emoji: str | None = None


class InboundMessage(msgspec.Struct, frozen=True):
    """One thing that happened. `thread` may be left out only where `id` was announced before."""

    id: Id
    thread: Id | None = None
    kind: Kind = "dm"
    text: str | None = None
    author: InboundAuthor | None = None
    verb: Literal["received", "edited", "deleted", "hidden", "unhidden", "reacted"] = "received"
    direction: Literal["in", "out"] = "in"
    parent_id: Id | None = None
    occurred_at: Time | None = None
    attachments: Annotated[list[InboundAttachment], msgspec.Meta(max_length=100)] = []
    post: InboundPost | None = None
    rating: Annotated[int, msgspec.Meta(ge=1, le=5)] | None = None
    reaction: InboundReaction | None = None
    correlation_id: Id | None = None
    """For direction `out`: the `data.id` of the `reply.requested` that this item carries out."""
    version: Annotated[str, msgspec.Meta(max_length=_ID_LENGTH)] | int | None = None
    """Differs between two edits of one item."""
    permalink: Url | None = None


class OutboundAttachment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file to send with the reply."""

    kind: str
    url: str | None = None
    mime: str | None = None


class ReplyData(msgspec.Struct, frozen=True):
    """The reply; `id` is its correlation id, `in_reply_to` the id that the answered message was posted with."""

    id: str
    thread: str | None
    in_reply_to: str
    kind: Literal["public", "private"]
    text: str
    attachments: tuple[OutboundAttachment, ...]
    recipient: str | None
    template: str | None = None


class ReplyRequested(msgspec.Struct, frozen=True):
    """What is posted to the channel's `reply_url`."""

    type: Literal["reply.requested"]
    timestamp: str
    data: ReplyData


class ModerationData(msgspec.Struct, frozen=True):
    """The operation; `message` is the id that the item was posted with."""

    id: str
    operation: Operation
    message: str


class ModerationRequested(msgspec.Struct, frozen=True):
    """What is posted to the channel's `reply_url` when something is to be done to an item."""

    type: Literal["moderation.requested"]
    timestamp: str
    data: ModerationData


MESSAGE: Final = msgspec.json.Decoder(InboundMessage)
BATCH: Final = msgspec.json.Decoder(list[msgspec.Raw])
KEYS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
ANSWER: Final = msgspec.json.Decoder(dict[str, Any])
