"""What the Page fields `feed`, `mention` and `ratings` say happened."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from shared.events.messages import Attachment, Author, Kind, Post, Reaction, Verb
from shared.networks import bodies
from shared.networks.facebook.payloads import FeedValue
from shared.networks.meta.messaging import emoji
from shared.networks.port import Item, Skipped

VERBS: Final[dict[str, Verb]] = {
    "add": "received",
    "edit": "edited",
    "edited": "edited",
    "update": "edited",
    "remove": "deleted",
    "delete": "deleted",
    "hide": "hidden",
    "unhide": "unhidden",
}
MODERATION: Final = frozenset({"block", "unblock", "mute", "unmute", "follow"})
POSTS: Final = frozenset({"post", "status", "photo", "video", "share", "link", "note", "picture", "story"})
"""A visitor's post on the Page is a mention and the root of its own thread; the Page's own posts are no messages."""

PAGE_OBJECTS: Final = frozenset(
    {"album", "event", "milestone", "coupon", "offer", "photo-album", "experience", "question", "live_video", "page"}
)
RECOMMENDATIONS: Final = {"POSITIVE": 5, "NEGATIVE": 1}
"""Facebook dropped stars for recommendations; rules that look for bad reviews must find them all the same."""


Field = Literal["feed", "mention", "ratings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the entry knows that its change does not."""

    field: Field
    page: str
    time: datetime | None
    stamp: str


def read(value: FeedValue, context: Context) -> Item | Skipped:
    """The one thing that this change says."""
    if value.verb in MODERATION:
        return Skipped(code="moderation", detail=f"{value.item} {value.verb}: the network's or the Page's own measure")
    verb = VERBS.get(value.verb)
    if verb is None:
        return Skipped(code="unknown-verb", detail=f"{context.field}: verb {value.verb[:40]!r} on {value.item[:40]!r}")
    reader = _READERS[context.field].get(value.item)
    if reader is None:
        return Skipped(code="unknown-item", detail=f"{context.field}: item {value.item[:40]!r}")
    return reader(verb, value, context)


def _comment(verb: Verb, value: FeedValue, context: Context) -> Item | Skipped:
    external_id = bodies.identifier(value.comment_id)
    if external_id is None:
        return _nameless(value, "comment_id")
    parent, post = bodies.identifier(value.parent_id), bodies.identifier(value.post_id)
    top_level = _is_top_level(external_id, parent, post)
    thread: str | None = external_id if top_level else parent
    if context.field == "ratings":
        thread = _review_id(value)
        parent = thread if top_level else parent
    elif parent is None and verb != "received":
        # A removal without its parent may be a reply's: only the index of items knows.
        thread = None
    kind: Kind = "comment" if top_level else "reply"
    if bodies.mapping(value.post).get("is_published") is False:
        # A post that nobody published exists as an advertisement only.
        kind = "ad_comment"
    return _item(
        verb,
        kind,
        external_id,
        value,
        context,
        thread=thread,
        parent_external_id=parent,
        post=_post_of(value) if context.field == "feed" else None,
    )


def _is_top_level(comment: str, parent: str | None, post: str | None) -> bool:
    """Ids have two halves, `{owner}_{object}`, and the same object shows up under different owners."""
    if parent is None or parent == post:
        return True
    owners = {comment.rpartition("_")[0].rpartition("_")[2], post.rpartition("_")[2] if post else ""}
    return parent.rpartition("_")[2] in owners - {""}


def _mention(verb: Verb, value: FeedValue, context: Context) -> Item | Skipped:
    named = value.comment_id if value.item == "comment" else value.post_id
    external_id = bodies.identifier(named)
    if external_id is None:
        return _nameless(value, "comment_id" if value.item == "comment" else "post_id")
    post = _post_of(value) if value.item == "comment" else None
    return _item(verb, "mention", external_id, value, context, thread=external_id, post=post)


def _post(verb: Verb, value: FeedValue, context: Context) -> Item | Skipped:
    author, _ = _author(value)
    if author == context.page:
        return Skipped(code="own-post", detail=f"{value.item} {value.verb}: the Page's own post")
    external_id = bodies.identifier(value.post_id)
    if external_id is None:
        return _nameless(value, "post_id")
    return _item(verb, "mention", external_id, value, context, thread=external_id)


def _review(verb: Verb, value: FeedValue, context: Context) -> Item | Skipped:
    external_id = _review_id(value)
    if external_id is None:
        return _nameless(value, "open_graph_story_id")
    rating = value.rating if type(value.rating) is int and 1 <= value.rating <= 5 else None
    if rating is None and isinstance(value.recommendation_type, str):
        rating = RECOMMENDATIONS.get(value.recommendation_type.upper())
    return _item(verb, "review", external_id, value, context, thread=external_id, rating=rating)


def _reaction(verb: Verb, value: FeedValue, context: Context) -> Item | Skipped:
    comment, post = bodies.identifier(value.comment_id), bodies.identifier(value.post_id)
    review = _review_id(value) if context.field == "ratings" else None
    target = comment or review or post
    if target is None and context.field != "feed":
        return _nameless(value, "open_graph_story_id")
    if target is None:
        return Skipped(code="page-like", detail="a like of the Page itself")
    thread: str | None = review or target
    if review is None and comment is not None:
        parent = bodies.identifier(value.parent_id)
        thread = comment if parent is not None and _is_top_level(comment, parent, post) else parent
    who, name = _author(value)
    action: Literal["add", "remove"] = "remove" if verb == "deleted" else "add"
    return Item(
        verb="reacted",
        kind="reaction",
        direction="out" if who == context.page else "in",
        origin="native" if who == context.page else "customer",
        external_id=target,
        account_external_id=context.page,
        occurred_at=bodies.instant(value.created_time) or context.time,
        thread=thread,
        reaction=Reaction(
            action=action,
            emoji=emoji(value.reaction_type or value.item),
            author=Author(external_id=who, name=name) if who else None,
        ),
        version=f"{context.stamp}:{who or ''}:{action}",
    )


def _page_object(_: Verb, value: FeedValue, __: Context) -> Item | Skipped:
    return Skipped(code="page-object", detail=f"{value.item} {value.verb}: an object of the Page, not a message")


_Reader = Callable[[Verb, FeedValue, Context], Item | Skipped]
_READERS: Final[Mapping[Field, Mapping[str, _Reader]]] = {
    "feed": {
        "comment": _comment,
        "like": _reaction,
        "reaction": _reaction,
        **dict.fromkeys(POSTS, _post),
        **dict.fromkeys(PAGE_OBJECTS, _page_object),
    },
    "mention": {"comment": _mention, **dict.fromkeys(POSTS, _mention)},
    "ratings": {"comment": _comment, "like": _reaction, "reaction": _reaction, "rating": _review},
}


def _item(verb: Verb, kind: Kind, external_id: str, value: FeedValue, context: Context, **more: Any) -> Item:
    who, name = _author(value)
    own = who == context.page
    created = bodies.instant(value.created_time)
    return Item(
        verb=verb,
        kind=kind,
        direction="out" if own else "in",
        origin="native" if own else "customer",
        external_id=external_id,
        account_external_id=context.page,
        occurred_at=(created or context.time) if verb == "received" else (context.time or created),
        author=Author(external_id=who, name=name) if who else None,
        text=bodies.text(value.review_text) or bodies.text(value.message),
        attachments=_attachments(value),
        permalink=_url(value.permalink_url),
        version=_version(verb, value, context),
        **more,
    )


def _version(verb: Verb, value: FeedValue, context: Context) -> str:
    """An item is created and deleted once; what may happen again differs by its time."""
    if verb in {"received", "deleted"}:
        return ""
    edited = bodies.identifier(value.edited_time) if verb == "edited" else None
    return edited or context.stamp


def _author(value: FeedValue) -> tuple[str | None, str | None]:
    """Id and name; Facebook leaves both out where the app may not know them."""
    if value.author is not None and (found := bodies.identifier(value.author.id)):
        return found, bodies.text(value.author.name)
    for external_id, name in (
        (value.sender_id, value.sender_name),
        (value.reviewer_id, value.reviewer_name),
        (value.user_id, None),
    ):
        if found := bodies.identifier(external_id):
            return found, bodies.text(name)
    return None, None


def _review_id(value: FeedValue) -> str | None:
    """The story that the review is; where it is not named, `post_id` ends with it."""
    if story := bodies.identifier(value.open_graph_story_id):
        return story
    post = bodies.identifier(value.post_id)
    return post.rpartition("_")[2] or None if post else None


def _post_of(value: FeedValue) -> Post | None:
    external_id = bodies.identifier(value.post_id)
    if external_id is None:
        return None
    return Post(external_id=external_id, permalink=_url(bodies.mapping(value.post).get("permalink_url")))


def _attachments(value: FeedValue) -> tuple[Attachment, ...]:
    linked = {"photo": "image", "video": "video"}.get(value.item, "link")
    found = [
        ("image", value.photo),
        *(("image", photo) for photo in bodies.sequence(value.photos)),
        ("video", value.video),
        (linked, value.link),
    ]
    by_url = {url: Attachment(kind=kind, url=url) for kind, candidate in found if (url := _url(candidate))}
    return tuple(by_url.values())


def _url(value: object) -> str | None:
    found = bodies.text(value)
    return found if found and found.startswith(("https://", "http://")) else None


def _nameless(value: FeedValue, field: str) -> Skipped:
    return Skipped(code="no-id", detail=f"{value.item} {value.verb} without {field}")
