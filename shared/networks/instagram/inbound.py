"""From Instagram: what a body becomes."""

from collections.abc import Iterator
from typing import Final

from shared.events.messages import Author, Kind, Post
from shared.networks import bodies
from shared.networks.instagram.payloads import COMMENT, MENTION, Comment, Mention, Writer
from shared.networks.meta import envelope, messaging
from shared.networks.port import Item, Parsed, Skipped

IGNORED: Final = messaging.IGNORED | {"insights"}
"""What is known and no message; every other code means that somebody should look."""

BETWEEN: Final = "_"
"""Stands between media and comment in the id of a mention: its answer must name both."""


def parse(raw: bytes) -> Parsed:
    """What a body becomes; every part of it is an item, ignored, or not understood."""
    return envelope.parse(raw, name="instagram", read=_read, ignored=IGNORED)


def _read(part: envelope.Part) -> Iterator[Item | Skipped]:
    yield _change(part) if part.list == "changes" else messaging.read(part.raw, account=part.account)


def _change(part: envelope.Part) -> Item | Skipped:
    change = bodies.decode(envelope.CHANGE, part.raw)
    if change.field in messaging.FIELDS:
        return messaging.read(change.value, account=part.account)
    match change.field:
        case "comments" | "live_comments":
            return _comment(bodies.decode(COMMENT, change.value), part, live=change.field == "live_comments")
        case "mentions":
            return _mention(bodies.decode(MENTION, change.value), part)
        case "story_insights":
            return Skipped(code="insights", detail="the numbers of a story that ended")
        case other:
            return Skipped(code="unknown-field", detail=f"field {other[:40]!r}")


def _comment(value: Comment, part: envelope.Part, *, live: bool) -> Item | Skipped:
    external_id = bodies.identifier(value.id)
    if external_id is None:
        return Skipped(code="no-id", detail="a comment without id")
    parent = bodies.identifier(value.parent_id)
    post = _post(value)
    own = _is_own(value.author, part.account)
    kind: Kind = "comment" if parent is None else "reply"
    return Item(
        verb="received",
        kind="ad_comment" if post is not None and post.ad_id else kind,
        direction="out" if own else "in",
        origin="native" if own else "customer",
        external_id=external_id,
        account_external_id=part.account,
        occurred_at=bodies.instant(part.entry.time),
        thread=parent or external_id,
        parent_external_id=parent,
        author=_author(value.author, part.account, own=own),
        text=bodies.text(value.text),
        post=post,
        # Nobody can answer in public while a video is live.
        answers=("private",) if live else None,
    )


def _is_own(writer: Writer | None, account: str) -> bool:
    if writer is None:
        return False
    return bodies.identifier(writer.self_ig_scoped_id) is not None or bodies.identifier(writer.id) == account


def _author(writer: Writer | None, account: str, *, own: bool) -> Author | None:
    """We go by the account's id alone, whichever of our ids the comment names."""
    external_id = account if own else bodies.identifier(writer.id) if writer else None
    if writer is None or external_id is None:
        return None
    return Author(external_id=external_id, handle=bodies.text(writer.username))


def _post(value: Comment) -> Post | None:
    external_id = bodies.identifier(value.media.id) if value.media else None
    if value.media is None or external_id is None:
        return None
    return Post(external_id=external_id, ad_id=bodies.identifier(value.media.ad_id))


def _mention(value: Mention, part: envelope.Part) -> Item | Skipped:
    media, comment = bodies.identifier(value.media_id), bodies.identifier(value.comment_id)
    if media is None:
        return Skipped(code="no-id", detail="a mention without media_id")
    external_id = f"{media}{BETWEEN}{comment}" if comment else media
    if bodies.identifier(external_id) is None:
        return Skipped(code="no-id", detail="a mention whose ids are too long")
    return Item(
        verb="received",
        kind="mention",
        direction="in",
        origin="customer",
        external_id=external_id,
        account_external_id=part.account,
        occurred_at=bodies.instant(part.entry.time),
        thread=external_id,
        post=Post(external_id=media),
        answers=("public",),
    )
