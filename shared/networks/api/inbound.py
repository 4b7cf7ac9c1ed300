"""From an integration: whether the body is authentic, and what it becomes."""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from shared.errors import Rejected
from shared.events.messages import Attachment, Author, Post, Reaction
from shared.networks import bodies
from shared.networks.api import signature
from shared.networks.api.payloads import (
    BATCH,
    KEYS,
    MESSAGE,
    InboundAttachment,
    InboundAuthor,
    InboundMessage,
    InboundPost,
    Time,
)
from shared.networks.port import Account, Item, Parsed, Skipped, WebhookRequest

_LONGEST_KEY: Final = 255
IGNORED: Final = frozenset({"duplicate", "no-messages"})
"""What is known and no message; every other code means that somebody should look."""


def verify(request: WebhookRequest, account: Account, *, now: datetime) -> bool:
    """Whether the body was signed lately with the channel's secret or with the one before it."""
    return signature.verify(request.headers, request.body, secrets=account.secrets("secret"), now=now)


def delivery_key(request: WebhookRequest) -> str:
    """The sender's `webhook-id`: repeated, it is the same delivery, whatever its body."""
    given = request.headers.get(signature.ID, "")
    if given and len(given) <= _LONGEST_KEY and given.isprintable():
        return given
    return hashlib.sha256(given.encode("utf-8", "surrogatepass") or request.body).hexdigest()


def parse(raw: bytes) -> Parsed:
    """What a body becomes: one message, or those under `messages`; each stands for itself."""
    return Parsed.of(_parts(raw), ignored=IGNORED)


def _parts(raw: bytes) -> Iterator[Item | Skipped]:
    if bodies.too_deep(raw):
        yield Skipped(code="too-deep", detail=f"nested deeper than {bodies.MAX_DEPTH}")
        return
    try:
        keys: dict[str, msgspec.Raw] = bodies.decode(KEYS, raw)
    except Rejected as error:
        yield Skipped(code="not-json", detail=f'one JSON object is expected, or {{"messages": […]}}: {error}')
        return
    if "messages" not in keys:
        yield _message(raw, "message")
        return
    try:
        messages: list[msgspec.Raw] = bodies.decode(BATCH, keys["messages"])
    except Rejected as error:
        yield Skipped(code="malformed", detail=f"messages: {error}")
        return
    if not messages:
        yield Skipped(code="no-messages", detail="a delivery without messages")
    for index, part in enumerate(messages):
        yield _message(part, f"messages[{index}]")


def _message(raw: bytes | msgspec.Raw, where: str) -> Item | Skipped:
    try:
        return _item(bodies.decode(MESSAGE, raw))
    except Rejected as error:
        return Skipped(code="malformed", detail=f"{where}: {error}")


def _item(message: InboundMessage) -> Item:
    thread = _optional_id("thread", message.thread)
    if thread is None and message.verb == "received":
        raise Rejected("a new message needs `thread` - at `$.thread`")
    if (message.reaction is not None) != (message.verb == "reacted"):
        raise Rejected("`reaction` belongs to the verb `reacted`, and to no other - at `$.reaction`")
    own = message.direction == "out"
    author = _author(message.author)
    reaction = None
    if message.reaction is not None:
        reaction = Reaction(action=message.reaction.action, emoji=bodies.text(message.reaction.emoji), author=author)
    return Item(
        verb=message.verb,
        kind="reaction" if reaction else message.kind,
        direction=message.direction,
        origin="native" if own else "customer",
        external_id=_id("id", message.id),
        account_external_id="",
        occurred_at=_time("occurred_at", message.occurred_at),
        thread=thread,
        parent_external_id=_optional_id("parent_id", message.parent_id),
        author=None if reaction else author,
        text=bodies.text(message.text),
        attachments=tuple(_attachment(attachment) for attachment in message.attachments),
        permalink=bodies.text(message.permalink),
        post=_post(message.post),
        rating=message.rating,
        correlation_id=_optional_id("correlation_id", message.correlation_id),
        reaction=reaction,
        version=_optional_id("version", message.version or None) or "",
    )


def _author(author: InboundAuthor | None) -> Author | None:
    if author is None:
        return None
    return Author(
        external_id=_id("author.id", author.id),
        name=bodies.text(author.name),
        handle=bodies.text(author.handle),
        followers=author.followers,
        verified=author.verified,
    )


def _attachment(attachment: InboundAttachment) -> Attachment:
    return Attachment(
        kind=bodies.text(attachment.kind) or "file",
        url=bodies.text(attachment.url),
        mime=bodies.text(attachment.mime),
        size=attachment.size,
        expires_at=_time("attachments[].expires_at", attachment.expires_at),
    )


def _post(post: InboundPost | None) -> Post | None:
    if post is None:
        return None
    return Post(
        external_id=_id("post.id", post.id),
        permalink=bodies.text(post.permalink),
        campaign_id=_optional_id("post.campaign_id", post.campaign_id),
        ad_id=_optional_id("post.ad_id", post.ad_id),
    )


def _id(field: str, value: str | int) -> str:
    found = bodies.identifier(value)
    if found is None:
        raise Rejected(f"an id is printable text or a number - at `$.{field}`")
    return found


def _optional_id(field: str, value: str | int | None) -> str | None:
    return None if value is None else _id(field, value)


def _time(field: str, value: Time | None) -> datetime | None:
    found = bodies.instant(value)
    if found is None and value is not None:
        raise Rejected(f"a time is RFC 3339, or seconds or milliseconds since 1970 - at `$.{field}`")
    return found
