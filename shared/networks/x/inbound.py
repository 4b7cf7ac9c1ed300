"""From X: who is calling, whether the body is authentic, and what it becomes."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from shared.errors import Rejected
from shared.networks import bodies
from shared.networks.port import Account, Item, Parsed, Skipped, WebhookAnswer, WebhookRequest
from shared.networks.x import messages, posts
from shared.networks.x.payloads import ANYTHING, ENVELOPE, KEYS, LIST, NAMED, RAW, Activity

SIGNATURE: Final = "x-twitter-webhooks-signature"

_NOTICES: Final[Mapping[str, str]] = {
    "post.repost": "repost",
    "like": "like",
    "follow": "follow",
    "mute": "moderation",
    "block": "moderation",
    "dm.read": "read",
    "dm.indicate_typing": "typing",
    "chat": "chat-notice",
    "profile": "profile",
    "spaces": "spaces",
    "broadcast": "broadcast",
    "oauth": "revoked",
}
"""Beginnings of event types that are known and become no item, and the code under which they are ignored."""

_OLD_NOTICES: Final[Mapping[str, str]] = {
    "favorite_events": "like",
    "follow_events": "follow",
    "block_events": "moderation",
    "mute_events": "moderation",
    "direct_message_indicate_typing_events": "typing",
    "direct_message_mark_read_events": "read",
    "user_event": "revoked",
}
IGNORED: Final = frozenset(
    {*_NOTICES.values(), *_OLD_NOTICES.values(), "duplicate", "empty-event", "not-for-us", "own-post"}
)
"""What is known and no message; every other code means that somebody should look."""

_Reader = Callable[[msgspec.Raw, str, Mapping[str, Any]], Item | Skipped]
_OLD_LISTS: Final[Mapping[str, _Reader]] = {
    "tweet_create_events": lambda raw, account, _: posts.read_old(raw, account=account),
    "tweet_delete_events": lambda raw, account, _: posts.deleted_old(raw, account=account),
    "direct_message_events": lambda raw, account, users: messages.read(raw, account=account, users=users),
}
_POSTS: Final = frozenset({"post.create", "post.mention.create", "post.reply.create", "post.quote.create"})
_MESSAGES: Final = frozenset({"dm.received", "dm.sent", "chat.received", "chat.sent"})


def handshake(request: WebhookRequest, account: Account) -> WebhookAnswer | None:
    """X's GET, before it delivers anything and every hour: a token, to be answered under the app's secret.

    The answer is exactly what would sign a body of the token's bytes. So no token is answered that could be a body,
    and no body is taken that could be a token.
    """
    if request.method != "GET":
        return None
    token, secret = request.query.get("crc_token"), account.credentials.get("consumer_secret")
    if not token or not secret or "{" in token:
        return WebhookAnswer(status=403, body=b"forbidden")
    answer = msgspec.json.encode({"response_token": sign(secret, _bytes(token))})
    return WebhookAnswer(body=answer, content_type="application/json")


def verify(request: WebhookRequest, account: Account) -> bool:
    """Whether the app's secret, or the one before it, signed exactly these bytes, which are no token's."""
    given = request.headers.get(SIGNATURE, "")
    authentic = False
    for secret in account.secrets("consumer_secret"):
        # No early exit: which of the two secrets fits is nobody's business.
        authentic |= given.isascii() and hmac.compare_digest(given, sign(secret, request.body))
    return authentic and b"{" in request.body


def sign(secret: str, body: bytes) -> str:
    """The value of the signature header for a body, and the answer to a token."""
    return f"sha256={base64.b64encode(hmac.digest(_bytes(secret), body, hashlib.sha256)).decode()}"


def event_uuid(raw: bytes) -> str | None:
    """What X calls the event; None where it has no name."""
    try:
        return bodies.identifier(bodies.decode(NAMED, raw).data.event_uuid) if not bodies.too_deep(raw) else None
    except Rejected:
        return None


def parse(raw: bytes) -> Parsed:
    """What a body becomes; every part of it is an item, ignored, or not understood."""
    return Parsed.of(_parts(raw), ignored=IGNORED)


def _parts(raw: bytes) -> Iterator[Item | Skipped]:
    if bodies.too_deep(raw):
        yield Skipped(code="too-deep", detail=f"nested deeper than {bodies.MAX_DEPTH}")
        return
    try:
        bodies.decode(RAW, raw)
    except Rejected as error:
        yield Skipped(code="not-json", detail=str(error))
        return
    try:
        keys: dict[str, msgspec.Raw] = bodies.decode(KEYS, raw)
        activity = bodies.decode(ENVELOPE, raw).data if "data" in keys else None
    except Rejected as error:
        yield Skipped(code="not-a-webhook", detail=str(error))
        return
    yield from _activity(activity) if activity is not None else _account_activity(keys)


def _activity(activity: Activity) -> Iterator[Item | Skipped]:
    event = activity.event_type
    account = bodies.identifier(bodies.mapping(activity.filter).get("user_id"))
    if event in _POSTS | _MESSAGES | {"post.delete"} and account is None:
        yield Skipped(code="no-account", detail=f"{event[:60]}: the event does not say whose it is")
        return
    try:
        yield from _event(activity, account or "")
    except Rejected as error:
        yield Skipped(code="malformed", detail=f"{event[:60]}: {error}")


def _event(activity: Activity, account: str) -> Iterator[Item | Skipped]:
    event, payload = activity.event_type, activity.payload
    if event in _POSTS:
        yield posts.read_new(payload, event=event, account=account, includes=bodies.mapping(activity.includes))
    elif event == "post.delete":
        yield posts.deleted_new(payload, account=account)
    elif event in _MESSAGES:
        yield from messages.read_new(payload, account=account, encrypted=event.startswith("chat."))
    else:
        code = next((code for start, code in _NOTICES.items() if f"{event}.".startswith(f"{start}.")), None)
        yield Skipped(code=code or "unknown-event", detail=f"event {event[:60]!r}")


def _account_activity(keys: Mapping[str, msgspec.Raw]) -> Iterator[Item | Skipped]:
    account = bodies.identifier(_any(keys.get("for_user_id")))
    users = bodies.mapping(_any(keys.get("users")))
    known = [name for name in keys if name in _OLD_LISTS or name in _OLD_NOTICES]
    if not known:
        strange = ", ".join(sorted(name[:40] for name in keys)[:5]) or "nothing"
        yield Skipped(code="unknown-event" if account else "not-a-webhook", detail=f"a body with {strange}")
    for name in known:
        if code := _OLD_NOTICES.get(name):
            yield Skipped(code=code, detail=f"notice {name}")
        else:
            yield from _list(name, keys[name], account, users)


def _list(name: str, raw: msgspec.Raw, account: str | None, users: Mapping[str, Any]) -> Iterator[Item | Skipped]:
    try:
        events: list[msgspec.Raw] = bodies.decode(LIST, raw)
    except Rejected as error:
        yield Skipped(code="malformed", detail=f"{name}: {error}")
        return
    if not events:
        yield Skipped(code="empty-event", detail=f"{name}: nothing in it")
    for index, event in enumerate(events):
        where = f"{name}[{index}]"
        if account is None:
            yield Skipped(code="no-account", detail=f"{where}: the body does not say whose it is")
            continue
        try:
            found = _OLD_LISTS[name](event, account, users)
        except Rejected as error:
            found = Skipped(code="malformed", detail=str(error))
        yield Skipped(code=found.code, detail=f"{where}: {found.detail}") if isinstance(found, Skipped) else found


def _any(raw: msgspec.Raw | None) -> Any:
    """A part of which any shape will do; None where it is no value that could be read."""
    try:
        return bodies.decode(ANYTHING, raw) if raw is not None else None
    except Rejected:
        return None


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")
