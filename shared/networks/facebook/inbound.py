"""From Facebook: what a body becomes."""

from collections.abc import Iterator
from typing import Final, get_args

from shared.networks import bodies
from shared.networks.facebook import feed
from shared.networks.facebook.payloads import FEED_VALUE
from shared.networks.meta import envelope, messaging
from shared.networks.port import Item, Parsed, Skipped

_PAGE_FIELDS: Final = frozenset(
    {
        *("about", "affiliation", "attire", "awards", "bio", "birthday", "category", "checkins", "company_overview"),
        *("conversations", "cover", "culinary_team", "current_location", "description", "email", "founded"),
        *("general_info", "general_manager", "hometown", "hours", "invoice_access_invoice_change", "live_videos"),
        *("location", "members", "name", "page_about_story", "page_change_proposal", "page_upcoming_change"),
        *("parking", "payment_options", "personal_info", "personal_interests", "phone", "picture", "price_range"),
        *("product_review", "products", "public_transit", "publisher_subscriptions", "username", "videos"),
        *("video_text_question_responses", "website"),
    }
)
IGNORED: Final = messaging.IGNORED | {"leadgen", "moderation", "own-post", "page-field", "page-like", "page-object"}
"""What is known and no message; every other code means that somebody should look."""


def parse(raw: bytes) -> Parsed:
    """What a body becomes; every part of it is an item, ignored, or not understood."""
    return envelope.parse(raw, name="page", read=_read, ignored=IGNORED)


def _read(part: envelope.Part) -> Iterator[Item | Skipped]:
    yield _change(part) if part.list == "changes" else messaging.read(part.raw, account=part.account)


def _change(part: envelope.Part) -> Item | Skipped:
    change = bodies.decode(envelope.CHANGE, part.raw)
    if change.field in messaging.FIELDS:
        return messaging.read(change.value, account=part.account)
    if change.field == "leadgen":
        return Skipped(code="leadgen", detail="an answer to a lead form")
    if change.field in _PAGE_FIELDS:
        return Skipped(code="page-field", detail=f"the Page's own {change.field}")
    for field in get_args(feed.Field):
        if field == change.field:
            value = bodies.decode(FEED_VALUE, change.value)
            stamp = bodies.identifier(part.entry.time) or ""
            time = bodies.instant(part.entry.time)
            return feed.read(value, feed.Context(field=field, page=part.account, time=time, stamp=stamp))
    return Skipped(code="unknown-field", detail=f"field {change.field[:40]!r}")
