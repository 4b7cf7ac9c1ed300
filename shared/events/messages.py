"""Topic `baton.messages.v1`: what came in from the networks, normalized by ingest."""

from datetime import datetime
from typing import Literal

from shared.events.payload import Deadline, Payload, Value

Kind = Literal["comment", "reply", "mention", "review", "dm", "story_reply", "ad_comment", "reaction"]
Direction = Literal["in", "out"]
Origin = Literal["customer", "agent", "bot", "native"]
Verb = Literal["received", "edited", "deleted", "hidden", "unhidden", "reacted", "corrected", "undelivered"]
Operation = Literal["hide", "unhide", "delete", "like"]
"""What the brand may do to an item on its network. Whatever it is, done twice it is done once."""


class Author(Value, frozen=True, kw_only=True):
    """The account on the network that wrote the item."""

    external_id: str
    handle: str | None = None
    name: str | None = None
    followers: int | None = None
    verified: bool | None = None


class Attachment(Value, frozen=True, kw_only=True):
    """A file or a card beside the text; `url` may be signed and die at `expires_at`."""

    kind: str
    url: str | None = None
    mime: str | None = None
    size: int | None = None
    expires_at: datetime | None = None


class Post(Value, frozen=True, kw_only=True):
    """The brand's post that a comment stands under."""

    external_id: str
    permalink: str | None = None
    campaign_id: str | None = None
    ad_id: str | None = None


class Message(Payload, frozen=True, kw_only=True):
    """One inbound or outbound item of a network. `id` is the digest of channel and provider's item id."""

    id: str
    channel_id: str
    network: str
    kind: Kind
    direction: Direction
    origin: Origin
    external_id: str
    conversation_id: str
    occurred_at: datetime
    received_at: datetime
    inbox_id: str
    parent_external_id: str | None = None
    author: Author | None = None
    text: str | None = None
    attachments: tuple[Attachment, ...] = ()
    permalink: str | None = None
    post: Post | None = None
    rating: int | None = None
    reply_options: tuple[Deadline, ...] = ()
    correlation_id: str | None = None
    replayed: bool = False


class Reaction(Value, frozen=True, kw_only=True):
    """An emoji or a like that somebody put on (or took from) an item."""

    action: Literal["add", "remove"]
    emoji: str | None = None
    author: Author | None = None


class MessageEvent(Payload, frozen=True, kw_only=True):
    """Something happened to one item; `message` is the item as it is known after it."""

    message: Message
    provider_version: str = ""
    """What orders two versions of one item: an edit count or the provider's time; opaque, compared for equality."""


class MessageReceived(MessageEvent, frozen=True, kw_only=True):
    """A new item."""


class MessageEdited(MessageEvent, frozen=True, kw_only=True):
    """Its author changed the item; the message carries the new text."""


class MessageDeleted(MessageEvent, frozen=True, kw_only=True):
    """The item was deleted or unsent; text may be missing."""


class MessageHidden(MessageEvent, frozen=True, kw_only=True):
    """The item was hidden from the public."""


class MessageUnhidden(MessageEvent, frozen=True, kw_only=True):
    """The item is visible to the public again."""


class MessageReacted(MessageEvent, frozen=True, kw_only=True):
    """Somebody reacted to the item. Opens no turn."""

    reaction: Reaction


class MessageCorrected(MessageEvent, frozen=True, kw_only=True):
    """Normalizing the same delivery again gave another result. Updates text; opens no turn, route or action."""


class MessageUndelivered(MessageEvent, frozen=True, kw_only=True):
    """The network had taken our item, and now says that it will not reach the customer."""

    reason: str | None = None


class ChannelChanged(Payload, frozen=True, kw_only=True):
    """A channel was connected, changed or disconnected; never carries credentials."""

    channel_id: str
    network: str
    name: str
    external_id: str
    purpose: Literal["brand", "care", "ads"]
    state: Literal["active", "paused", "unauthorized", "deleted"]
