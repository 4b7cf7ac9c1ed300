"""From Telegram: whether it is calling, and what an update becomes."""

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from shared.errors import Rejected
from shared.networks import bodies
from shared.networks.port import Account, Item, Parsed, Skipped, WebhookRequest
from shared.networks.telegram import messages
from shared.networks.telegram.payloads import KEYS, RAW, UPDATE

HEADER: Final = "x-telegram-bot-api-secret-token"

_Reader = Callable[[msgspec.Raw], Iterator[Item | Skipped]]
_READERS: Final[Mapping[str, _Reader]] = {
    "message": messages.new,
    "edited_message": messages.edited,
    "business_message": messages.new,
    "edited_business_message": messages.edited,
    "channel_post": messages.channel_post,
    "edited_channel_post": messages.channel_post,
    "deleted_business_messages": messages.deleted,
    "callback_query": messages.callback,
    "message_reaction": messages.reaction,
}
_NOTICES: Final[Mapping[str, str]] = {
    "my_chat_member": "membership",
    "chat_member": "membership",
    "chat_join_request": "membership",
    "business_connection": "business-connection",
    "message_reaction_count": "reaction-count",
    "inline_query": "inline",
    "chosen_inline_result": "inline",
    "shipping_query": "commerce",
    "pre_checkout_query": "commerce",
    "purchased_paid_media": "commerce",
    "poll": "poll",
    "poll_answer": "poll",
    "chat_boost": "boost",
    "removed_chat_boost": "boost",
}
"""Updates that are known and become no item, and the code under which they are ignored."""

IGNORED: Final = frozenset(
    {*_NOTICES.values(), "duplicate", "empty-update", "own-post", "service-message", "unchanged"}
)
"""What is known and no message; every other code means that somebody should look."""


def verify(request: WebhookRequest, account: Account) -> bool:
    """Whether the caller knows the channel's secret, or the one before it. Nothing vouches for the body."""
    given = request.headers.get(HEADER, "").encode("utf-8", "surrogatepass")
    known = False
    for secret in account.secrets("secret_token"):
        # No early exit: which of the two secrets fits is nobody's business.
        known |= hmac.compare_digest(given, secret.encode("utf-8", "surrogatepass"))
    return known


def delivery_key(raw: bytes) -> str:
    """The update's number, which is its bot's and so its channel's; a digest of what is no update."""
    try:
        number = bodies.identifier(bodies.decode(UPDATE, raw).update_id) if not bodies.too_deep(raw) else None
    except Rejected:
        number = None
    return number or hashlib.sha256(raw).hexdigest()


def parse(raw: bytes) -> Parsed:
    """What an update becomes; every part of it is an item, ignored, or not understood."""
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
        bodies.decode(UPDATE, raw)
        keys: dict[str, msgspec.Raw] = bodies.decode(KEYS, raw)
    except Rejected as error:
        yield Skipped(code="not-a-webhook", detail=str(error))
        return
    yield from _update(keys)


def _update(keys: Mapping[str, msgspec.Raw]) -> Iterator[Item | Skipped]:
    present = [name for name, value in keys.items() if name != "update_id" and bytes(value) != b"null"]
    known = [name for name in present if name in _READERS or name in _NOTICES]
    if not present:
        yield Skipped(code="empty-update", detail="an update without content")
    elif not known:
        strange = ", ".join(sorted(name[:40] for name in present)[:5])
        yield Skipped(code="unknown-update", detail=f"an update of {strange}")
    for name in known:
        if code := _NOTICES.get(name):
            yield Skipped(code=code, detail=f"update {name}")
            continue
        try:
            yield from _READERS[name](keys[name])
        except Rejected as error:
            yield Skipped(code="malformed", detail=f"{name}: {error}")
