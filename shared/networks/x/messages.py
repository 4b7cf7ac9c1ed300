"""Direct messages on X: as both APIs write them, as look-ups do, and the shells of encrypted ones."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from shared.errors import Rejected
from shared.events.messages import Attachment
from shared.networks import bodies
from shared.networks.port import Item, Skipped
from shared.networks.x import posts, words
from shared.networks.x.payloads import ANYTHING, DIRECT_MESSAGE, FLAT_MESSAGE, KEYS, LIST, FlatMessage

_BETWEEN: Final = re.compile("[-:]")
_MESSAGES: Final = "direct_message_events"


def read_new(raw: msgspec.Raw, *, account: str, encrypted: bool) -> Iterator[Item | Skipped]:
    """The messages of one event of the X Activity API."""
    keys: dict[str, msgspec.Raw] = bodies.decode(KEYS, raw)
    if _MESSAGES not in keys:
        yield _flat(bodies.decode(FLAT_MESSAGE, raw), account, encrypted=encrypted)
        return
    users = bodies.mapping(bodies.decode(ANYTHING, keys["users"])) if "users" in keys else {}
    messages: list[msgspec.Raw] = bodies.decode(LIST, keys[_MESSAGES])
    if not messages:
        yield Skipped(code="empty-event", detail="an event without messages")
    for message in messages:
        try:
            yield read(message, account=account, users=users)
        except Rejected as error:
            yield Skipped(code="malformed", detail=str(error))


def read(raw: msgspec.Raw, *, account: str, users: Mapping[str, Any]) -> Item | Skipped:
    """One message in the form that both APIs share."""
    event = bodies.decode(DIRECT_MESSAGE, raw)
    if event.type not in {None, "message_create"}:
        return Skipped(code="unknown-message", detail=f"a direct message event of type {event.type[:40]!r}")
    created = bodies.mapping(event.message_create)
    data = bodies.mapping(created.get("message_data"))
    # Some write id and time beside the text.
    external_id = bodies.identifier(event.id) or bodies.identifier(data.get("id"))
    return _item(
        external_id,
        account=account,
        sender=bodies.identifier(created.get("sender_id")),
        other=bodies.identifier(bodies.mapping(created.get("target")).get("recipient_id")),
        users=users,
        text=bodies.text(data.get("text")),
        entities=data.get("entities"),
        at=bodies.instant(event.created_timestamp) or bodies.instant(data.get("created_timestamp")),
        attachments=_attachments(data),
    )


def _flat(message: FlatMessage, account: str, *, encrypted: bool) -> Item | Skipped:
    named = bodies.identifier(message.dm_conversation_id) or bodies.identifier(message.conversation_id) or ""
    people = [bodies.identifier(person) for person in bodies.sequence(message.participant_ids)]
    others = [person for person in (*people, *_BETWEEN.split(named)) if person and person != account]
    return _item(
        bodies.identifier(message.id),
        account=account,
        sender=bodies.identifier(message.sender_id),
        other=others[0] if others else None,
        users={},
        text=bodies.text(message.text),
        entities=message.entities,
        at=bodies.instant(message.created_at) or bodies.instant(message.created_at_msec),
        # Only the devices of the two can read it; that something was said must show all the same.
        attachments=(Attachment(kind="encrypted"),) if encrypted else (),
    )


def _item(
    external_id: str | None,
    *,
    account: str,
    sender: str | None,
    other: str | None,
    users: Mapping[str, Any],
    text: str | None,
    entities: Any,
    at: datetime | None,
    attachments: tuple[Attachment, ...],
) -> Item | Skipped:
    if external_id is None:
        return Skipped(code="no-id", detail="a direct message without id")
    own = sender == account
    customer = other if own else sender
    if customer is None or sender is None:
        return Skipped(code="no-sender", detail="a direct message from nobody, or to nobody")
    if text is not None:
        text = words.as_written(text, entities, None, is_reply=False) if own else words.unescaped(text)
    return Item(
        verb="received",
        kind="dm",
        direction="out" if own else "in",
        origin="native" if own else "customer",
        external_id=external_id,
        account_external_id=account,
        occurred_at=at,
        thread=customer,
        author=posts.new_author(sender, users.get(sender)),
        text=text,
        attachments=attachments,
    )


def _attachments(data: Mapping[str, Any]) -> tuple[Attachment, ...]:
    attachment = bodies.mapping(data.get("attachment"))
    if not attachment:
        return ()
    if "media" in attachment:
        return (posts.media_of(attachment["media"]),)
    return (Attachment(kind=bodies.text(attachment.get("type")) or "unknown"),)
