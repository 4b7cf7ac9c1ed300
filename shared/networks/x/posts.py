"""Posts on X: mentions, answers and quotes by customers, our own answers, and deletions, in both shapes of body."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from shared.events.messages import Attachment, Author, Kind, Post
from shared.networks import bodies
from shared.networks.port import Item, Skipped
from shared.networks.x import words
from shared.networks.x.payloads import NEW_POST, OLD_DELETION, OLD_POST, NewPost

_MEDIA: Final = {"photo": "image", "animated_gif": "video"}
_MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_OLD_TIME: Final = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d{2}) (\d{2}):(\d{2}):(\d{2}) \+0000 (\d{4})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A post, whichever API told of it. `about_us`: it names the account, or the API says that it does."""

    external_id: str | None
    author: Author | None
    text: str | None
    at: datetime | None
    about_us: bool
    to_us: bool
    """It answers a post of the account."""
    repost: bool = False
    parent: str | None = None
    conversation: str | None = None
    quoted: str | None = None
    shown: Any = None
    entities: Any = None
    attachments: tuple[Attachment, ...] = ()
    edition: str | None = None
    """The id of this version, where it is not the first: X gives every version of a post an id of its own."""


def read_new(raw: msgspec.Raw, *, event: str, account: str, includes: Mapping[str, Any]) -> Item | Skipped:
    """A post as the X Activity API tells of it; the event's type says what it has to do with the account."""
    post = bodies.decode(NEW_POST, raw)
    references = {
        bodies.text(reference.get("type")): bodies.identifier(reference.get("id"))
        for reference in map(bodies.mapping, bodies.sequence(post.referenced_tweets))
    }
    versions = [bodies.identifier(version) for version in bodies.sequence(post.edit_history_tweet_ids)]
    external_id = bodies.identifier(post.id)
    first = versions[0] if versions and versions[0] and external_id in versions else external_id
    seen = Seen(
        external_id=first,
        author=_new_author(bodies.identifier(post.author_id), includes),
        text=bodies.text(bodies.mapping(post.note_tweet).get("text")) or bodies.text(post.text),
        at=bodies.instant(post.created_at),
        about_us=event in {"post.mention.create", "post.reply.create", "post.quote.create"},
        to_us=event == "post.reply.create" or bodies.identifier(post.in_reply_to_user_id) == account,
        repost=event.startswith("post.repost.") or "retweeted" in references,
        parent=references.get("replied_to") or bodies.identifier(post.in_reply_to_tweet_id),
        conversation=bodies.identifier(post.conversation_id),
        quoted=references.get("quoted"),
        shown=post.display_text_range,
        entities=post.entities,
        attachments=tuple(_new_media(post, includes)),
        edition=external_id if first != external_id else None,
    )
    return _item(seen, account)


def read_old(raw: msgspec.Raw, *, account: str) -> Item | Skipped:
    """A post as the Account Activity API tells of it, which also sends what only passes near the account."""
    post = bodies.decode(OLD_POST, raw)
    long = bodies.mapping(post.extended_tweet)
    entities = long.get("entities") or post.entities
    quoted = bodies.mapping(post.quoted_status)
    to = _id(post.in_reply_to_user_id_str, post.in_reply_to_user_id)
    mentioned = {
        _id(user.get("id_str"), user.get("id"))
        for user in map(bodies.mapping, bodies.sequence(bodies.mapping(entities).get("user_mentions")))
    }
    writer = bodies.mapping(quoted.get("user"))
    media = long.get("extended_entities") or post.extended_entities or entities
    seen = Seen(
        external_id=_id(post.id_str, post.id),
        author=old_author(post.user),
        text=bodies.text(long.get("full_text")) or bodies.text(post.full_text) or bodies.text(post.text),
        at=bodies.instant(post.timestamp_ms) or old_time(post.created_at),
        about_us=account in {to, *mentioned, _id(writer.get("id_str"), writer.get("id"))},
        to_us=to == account,
        repost=bool(post.retweeted_status),
        parent=_id(post.in_reply_to_status_id_str, post.in_reply_to_status_id),
        quoted=_id(post.quoted_status_id_str, post.quoted_status_id),
        shown=long.get("display_text_range") or post.display_text_range,
        entities=entities,
        attachments=tuple(map(media_of, bodies.sequence(bodies.mapping(media).get("media")))),
    )
    return _item(seen, account)


def _item(post: Seen, account: str) -> Item | Skipped:
    if post.external_id is None:
        return Skipped(code="no-id", detail="a post without id")
    if post.repost:
        return Skipped(code="repost", detail=f"{post.external_id} repeats another post")
    own = post.author is not None and post.author.external_id == account
    if own and post.parent is None:
        return Skipped(code="own-post", detail=f"{post.external_id}: the account's own post, which answers nobody")
    if not own and not post.about_us and not post.to_us:
        return Skipped(code="not-for-us", detail=f"{post.external_id} neither answers, mentions nor quotes the account")
    return Item(
        verb="edited" if post.edition else "received",
        kind=_kind(post, own=own),
        direction="out" if own else "in",
        origin="native" if own else "customer",
        external_id=post.external_id,
        account_external_id=account,
        occurred_at=post.at,
        thread=_thread(post, post.external_id, own=own),
        parent_external_id=post.parent,
        author=post.author,
        text=_text(post, own=own),
        attachments=post.attachments,
        permalink=permalink(post.external_id),
        post=_brand_post(post, own=own),
        version=post.edition or "",
    )


def _kind(post: Seen, *, own: bool) -> Kind:
    return "reply" if post.parent is not None and (own or post.to_us) else "mention"


def _thread(post: Seen, external_id: str, *, own: bool) -> str:
    """Whoever answers a root post directly begins a thread, as under a post of any network; below, X's word counts."""
    root = post.conversation or post.parent or external_id
    if own:
        return root
    # The old API names no conversation: what answers a post of ours that was no answer itself begins one.
    begins = post.parent == post.conversation or (post.conversation is None and post.to_us)
    return external_id if begins else root


def _text(post: Seen, *, own: bool) -> str | None:
    if post.text is None:
        return None
    if own:
        return words.as_written(post.text, post.entities, post.shown, is_reply=post.parent is not None) or None
    return words.unescaped(post.text)


def _brand_post(post: Seen, *, own: bool) -> Post | None:
    """The account's own post that a customer answered or quoted."""
    answered = post.parent if post.to_us and post.conversation in (None, post.parent) else None
    found = None if own else answered or post.quoted
    return Post(external_id=found, permalink=permalink(found)) if found else None


def deleted_new(raw: msgspec.Raw, *, account: str) -> Item | Skipped:
    """A deletion as the X Activity API tells of it, without a time."""
    post = bodies.decode(NEW_POST, raw)
    return _deleted(bodies.identifier(post.id), bodies.identifier(post.author_id), account, at=None)


def deleted_old(raw: msgspec.Raw, *, account: str) -> Item | Skipped:
    """A deletion as the Account Activity API tells of it."""
    deletion = bodies.decode(OLD_DELETION, raw)
    status = bodies.mapping(deletion.status)
    author = _id(status.get("user_id_str"), status.get("user_id"))
    at = bodies.instant(deletion.timestamp_ms)
    return _deleted(_id(status.get("id_str"), status.get("id")), author, account, at=at)


def _deleted(external_id: str | None, author: str | None, account: str, *, at: datetime | None) -> Item | Skipped:
    if external_id is None:
        return Skipped(code="no-id", detail="a deletion without id")
    own = author == account
    return Item(
        verb="deleted",
        kind="reply" if own else "mention",
        direction="out" if own else "in",
        origin="native" if own else "customer",
        external_id=external_id,
        account_external_id=account,
        occurred_at=at,
        author=Author(external_id=author) if author else None,
    )


def permalink(external_id: str) -> str | None:
    """Where a post can be seen, whoever wrote it."""
    return f"https://x.com/i/status/{external_id}" if external_id.isascii() and external_id.isdigit() else None


def old_author(user: object) -> Author | None:
    """A user of the Account Activity API."""
    found = bodies.mapping(user)
    external_id = _id(found.get("id_str"), found.get("id"))
    return _author(external_id, found, followers=found.get("followers_count"))


def new_author(external_id: str | None, user: object) -> Author | None:
    """A user of the X Activity API, bare or wrapped in `data`; the id comes from who acted, not from the profile."""
    outer = bodies.mapping(user)
    found = bodies.mapping(outer.get("data")) or outer
    followers = bodies.mapping(found.get("public_metrics")).get("followers_count", found.get("followers_count"))
    return _author(external_id, found, followers=followers)


def _new_author(external_id: str | None, includes: Mapping[str, Any]) -> Author | None:
    for user in bodies.sequence(includes.get("users")):
        outer = bodies.mapping(user)
        found = bodies.mapping(outer.get("data")) or outer
        if external_id is not None and bodies.identifier(found.get("id")) == external_id:
            return new_author(external_id, found)
    return new_author(external_id, {})


def _author(external_id: str | None, user: Mapping[str, Any], *, followers: object) -> Author | None:
    if external_id is None:
        return None
    verified = user.get("verified")
    return Author(
        external_id=external_id,
        handle=bodies.text(user.get("username")) or bodies.text(user.get("screen_name")),
        name=bodies.text(user.get("name")),
        followers=followers if type(followers) is int and 0 <= followers < 2**31 else None,
        verified=verified if isinstance(verified, bool) else None,
    )


def media_of(part: object) -> Attachment:
    """A picture, a clip or a moving picture, in either shape."""
    media = bodies.mapping(part)
    kind = bodies.text(media.get("type")) or "unknown"
    # In the old shape, `url` is the short link in the text.
    names = ("media_url_https",) if "media_url_https" in media else ("url", "preview_image_url")
    url = next((url for name in names if (url := bodies.text(media.get(name)))), None)
    return Attachment(kind=_MEDIA.get(kind, kind), url=url)


def _new_media(post: NewPost, includes: Mapping[str, Any]) -> Iterator[Attachment]:
    keys = [bodies.identifier(key) for key in bodies.sequence(bodies.mapping(post.attachments).get("media_keys"))]
    known = {
        bodies.identifier(media.get("media_key")): media
        for media in map(bodies.mapping, bodies.sequence(includes.get("media")))
    }
    for key in keys:
        yield media_of(known.get(key, {}))


def old_time(value: object) -> datetime | None:
    """The time as the first API wrote it: `Wed Feb 05 08:39:31 +0000 2020`."""
    match = _OLD_TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[1] not in _MONTHS:
        return bodies.instant(value)
    day, hour, minute, second, year = map(int, match.groups()[1:])
    try:
        return datetime(year, _MONTHS.index(match[1]) + 1, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


def _id(text: object, number: object) -> str | None:
    """The id as text: as a number it may have lost digits, or been written with an exponent."""
    return bodies.identifier(text) or bodies.identifier(number)
