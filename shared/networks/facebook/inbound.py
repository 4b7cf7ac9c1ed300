"""From Facebook: who is calling, whether the body is authentic, and what it becomes."""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Final, get_args

import msgspec

from shared.errors import Rejected
from shared.networks import bodies
from shared.networks.facebook import feed, messaging
from shared.networks.facebook.payloads import CHANGE, ENTRY, ENVELOPE, FEED_VALUE, KEYS, Entry
from shared.networks.port import Account, Item, Parsed, Skipped, WebhookAnswer, WebhookRequest

SIGNATURE: Final = "x-hub-signature-256"
TEST_ENTRY: Final = "0"
"""The account that Facebook's test console writes into its samples."""

_Reader = Callable[[msgspec.Raw, str, Entry], Item | Skipped]

_MESSENGER_FIELDS: Final = frozenset(
    {
        "messages",
        "message_echoes",
        "message_edits",
        "message_reactions",
        "message_reads",
        "message_deliveries",
        "messaging_postbacks",
        "messaging_optins",
        "messaging_referrals",
        "messaging_handovers",
        "messaging_account_linking",
        "messaging_policy_enforcement",
        "messaging_feedback",
        "standby",
    }
)
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
IGNORED: Final = frozenset(
    {
        *("account-linking", "commerce", "delivery", "duplicate", "empty-entry", "feedback", "game-play", "handover"),
        *("leadgen", "moderation", "no-entries", "optin", "own-post", "page-field", "page-like", "page-object"),
        *("policy-enforcement", "read", "referral", "test-entry"),
    }
)
"""What is known and no message; every other code means that somebody should look."""

_ENTRY_KEYS: Final = frozenset({"id", "uid", "time", "changes", "messaging", "standby"})


_ANYTHING: Final = msgspec.json.Decoder(msgspec.Raw)


def handshake(request: WebhookRequest, account: Account) -> WebhookAnswer | None:
    """Facebook's GET before it delivers anything: its challenge, if it knows our token."""
    if request.method != "GET":
        return None
    expected = account.credentials.get("verify_token", "")
    known = _same(request.query.get("hub.verify_token", ""), expected) and expected != ""
    challenge = request.query.get("hub.challenge")
    if not known or challenge is None or request.query.get("hub.mode") != "subscribe":
        return WebhookAnswer(status=403, body=b"forbidden")
    return WebhookAnswer(body=_bytes(challenge))


def verify(request: WebhookRequest, account: Account) -> bool:
    """Whether the app's secret, or the one before it, signed exactly these bytes."""
    given = request.headers.get(SIGNATURE, "")
    authentic = False
    for name in ("app_secret", "app_secret_previous"):
        if secret := account.credentials.get(name):
            # No early exit: which of the two secrets fits is nobody's business.
            authentic |= given.isascii() and hmac.compare_digest(given, sign(secret, request.body))
    return authentic


def sign(secret: str, body: bytes) -> str:
    """The value of `X-Hub-Signature-256` for a body."""
    return f"sha256={hmac.digest(_bytes(secret), body, hashlib.sha256).hex()}"


def parse(raw: bytes) -> Parsed:
    """What a body becomes; every part of it is an item, ignored, or not understood."""
    items: dict[Item, None] = {}
    ignored: list[Skipped] = []
    not_understood: list[Skipped] = []
    for part in _parts(raw):
        if isinstance(part, Skipped):
            (ignored if part.code in IGNORED else not_understood).append(part)
        elif part in items:
            ignored.append(Skipped(code="duplicate", detail=f"{part.external_id} is in this delivery already"))
        else:
            items[part] = None
    return Parsed(items=tuple(items), ignored=tuple(ignored), not_understood=tuple(not_understood))


def _parts(raw: bytes) -> Iterator[Item | Skipped]:
    if bodies.too_deep(raw):
        yield Skipped(code="too-deep", detail=f"nested deeper than {bodies.MAX_DEPTH}")
        return
    try:
        envelope = bodies.decode(ENVELOPE, raw)
    except Rejected as error:
        yield Skipped(code=_why_no_envelope(raw), detail=str(error))
        return
    if envelope.object != "page":
        yield Skipped(code="wrong-object", detail=f"object {envelope.object[:40]!r} instead of 'page'")
        return
    if not envelope.entry:
        yield Skipped(code="no-entries", detail="a delivery without entries")
    for index, entry in enumerate(envelope.entry):
        yield from _entry(entry, f"entry[{index}]")


def _why_no_envelope(raw: bytes) -> str:
    try:
        bodies.decode(_ANYTHING, raw)
    except Rejected:
        return "not-json"
    return "not-a-webhook"


def _entry(raw: msgspec.Raw, where: str) -> Iterator[Item | Skipped]:
    try:
        entry = bodies.decode(ENTRY, raw)
    except Rejected as error:
        yield Skipped(code="malformed", detail=f"{where}: {error}")
        return
    page = bodies.identifier(entry.id)
    lists = {"changes": entry.changes, "messaging": entry.messaging, "standby": entry.standby}
    if not any(lists.values()):
        yield _without_content(raw, where)
    for name, parts in lists.items():
        read = _change if name == "changes" else _messenger
        for index, part in enumerate(parts or ()):
            found = _part(part, page, entry, read)
            if isinstance(found, Skipped):
                yield Skipped(code=found.code, detail=f"{where}.{name}[{index}]: {found.detail}")
            else:
                yield found


def _without_content(raw: msgspec.Raw, where: str) -> Skipped:
    keys: dict[str, msgspec.Raw] = bodies.decode(KEYS, raw)
    strange = sorted(key[:40] for key in keys.keys() - _ENTRY_KEYS)
    if strange:
        return Skipped(code="unknown-entry", detail=f"{where}: only {', '.join(strange[:5])}")
    return Skipped(code="empty-entry", detail=f"{where}: nothing in it")


def _part(raw: msgspec.Raw, page: str | None, entry: Entry, read: _Reader) -> Item | Skipped:
    if page is None:
        return Skipped(code="no-account", detail="the entry does not say whose it is")
    if page == TEST_ENTRY:
        return Skipped(code="test-entry", detail="a sample of the test console")
    try:
        return read(raw, page, entry)
    except Rejected as error:
        return Skipped(code="malformed", detail=str(error))


def _change(raw: msgspec.Raw, page: str, entry: Entry) -> Item | Skipped:
    change = bodies.decode(CHANGE, raw)
    if change.field in _MESSENGER_FIELDS:
        return _messenger(change.value, page, entry)
    if change.field == "leadgen":
        return Skipped(code="leadgen", detail="an answer to a lead form")
    if change.field in _PAGE_FIELDS:
        return Skipped(code="page-field", detail=f"the Page's own {change.field}")
    for field in get_args(feed.Field):
        if field == change.field:
            value = bodies.decode(FEED_VALUE, change.value)
            stamp = bodies.identifier(entry.time) or ""
            time = bodies.instant(entry.time)
            return feed.read(value, feed.Context(field=field, page=page, time=time, stamp=stamp))
    return Skipped(code="unknown-field", detail=f"field {change.field[:40]!r}")


def _messenger(raw: msgspec.Raw, page: str, _: Entry) -> Item | Skipped:
    keys: dict[str, msgspec.Raw] = bodies.decode(KEYS, raw)
    return messaging.read(raw, keys, page=page)


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(_bytes(given), _bytes(expected))


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")
