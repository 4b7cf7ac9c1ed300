"""From WhatsApp: what a body becomes."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from shared.errors import Rejected
from shared.networks import bodies
from shared.networks.meta import envelope
from shared.networks.port import Item, Parsed, Skipped
from shared.networks.whatsapp import messages
from shared.networks.whatsapp.messages import Scene
from shared.networks.whatsapp.payloads import MESSAGE, STATUS, VALUE, Value
from shared.networks.whatsapp.people import contacts

OBJECT: Final = "whatsapp_business_account"

_NOTICES: Final[Mapping[str, tuple[str, str]]] = {
    "calls": ("call", "a call"),
    "flows": ("flow", "the state of a form"),
    "history": ("history", "what was said before the channel was connected"),
    "messaging_handovers": ("handover", "another app takes or gives the conversation"),
    "payment_configuration_update": ("account", "the account's payments"),
    "smb_app_state_sync": ("app-state", "the contacts of the business app"),
    "tracking_events": ("tracking", "what an advertisement led to"),
    "user_preferences": ("preference", "whether a customer wants marketing messages"),
}
"""Fields that are known and no messages, with the code under which they are ignored."""

_PREFIXES: Final[Mapping[str, tuple[str, str]]] = {
    "account_": ("account", "the business account"),
    "business_": ("account", "the business account"),
    "group_": ("group", "who is in a group, and its settings"),
    "message_template_": ("template", "a template"),
    "partner_": ("account", "the business account's partners"),
    "phone_number_": ("account", "a phone number of the business account"),
    "security": ("account", "the security of the business account"),
    "template_": ("template", "a template"),
}
"""The same for families of fields, which grow."""

IGNORED: Final = frozenset(
    {
        *(code for code, _ in (*_NOTICES.values(), *_PREFIXES.values())),
        *("call-permission", "empty-change", "request-welcome", "security-code", "status"),
    }
)
"""What is known and no message; every other code means that somebody should look."""


def parse(raw: bytes) -> Parsed:
    """What a body becomes; every part of it is an item, ignored, or not understood."""
    return envelope.parse(raw, name=OBJECT, read=_read, ignored=IGNORED)


def _read(part: envelope.Part) -> Iterator[Item | Skipped]:
    if part.list != "changes":
        yield Skipped(code="unknown-entry", detail=f"WhatsApp has no {part.list}")
        return
    change = bodies.decode(envelope.CHANGE, part.raw)
    if change.field in ("messages", "smb_message_echoes"):
        yield from _value(bodies.decode(VALUE, change.value), own=change.field == "smb_message_echoes")
    elif change.field == "user_id_update":
        yield Skipped(code="identity-change", detail="a customer has a new user id; link the two by hand")
    else:
        yield _notice(change.field)


def _notice(field: str) -> Skipped:
    known = _NOTICES.get(field) or next(
        (meaning for prefix, meaning in _PREFIXES.items() if field.startswith(prefix)), None
    )
    if known is None:
        return Skipped(code="unknown-field", detail=f"field {field[:40]!r}")
    return Skipped(code=known[0], detail=f"{field[:40]}: {known[1]}")


def _value(value: Value, *, own: bool) -> Iterator[Item | Skipped]:
    number = bodies.identifier(bodies.mapping(value.metadata).get("phone_number_id"))
    parts = [*(value.messages or ()), *(value.message_echoes or ()), *(value.statuses or ())]
    if number is None and parts:
        yield Skipped(code="no-account", detail="the change does not say whose number it is")
    elif number is not None:
        known = contacts(value.contacts)
        for raw in value.messages or ():
            yield _message(raw, Scene(number=number, contacts=known, own=own))
        for raw in value.message_echoes or ():
            yield _message(raw, Scene(number=number, contacts=known, own=True))
        for raw in value.statuses or ():
            yield _status(raw, Scene(number=number, contacts=known))
    for error in map(bodies.mapping, value.errors or ()):
        title = bodies.text(error.get("title")) or "no reason given"
        yield Skipped(code="platform-error", detail=f"{bodies.identifier(error.get('code'))}: {title[:200]}")
    if not parts and not value.errors:
        yield Skipped(code="empty-change", detail="nothing in it")


def _message(raw: msgspec.Raw, scene: Scene) -> Item | Skipped:
    try:
        return messages.read(bodies.decode(MESSAGE, raw), scene)
    except Rejected as error:
        return Skipped(code="malformed", detail=str(error))


def _status(raw: msgspec.Raw, scene: Scene) -> Item | Skipped:
    try:
        return messages.status(bodies.decode(STATUS, raw), scene)
    except Rejected as error:
        return Skipped(code="malformed", detail=str(error))
