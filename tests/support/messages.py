"""Message events as ingest would publish them, with only the fields that a test names."""

from datetime import UTC, datetime
from typing import Any

from shared import ids
from shared.events import envelope
from shared.events.messages import Author, Message, MessageEdited, MessageReceived

AT = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def message(external_id: str = "m1", *, workspace: str = "wsp_1", channel: str = "chn_1", **changes: Any) -> Message:
    """An inbound direct message of customer `c1`."""
    author = changes.pop("author", "c1")
    fields: dict[str, Any] = {
        "workspace_id": workspace,
        "id": ids.digest("msg", channel, external_id),
        "channel_id": channel,
        "network": "facebook",
        "kind": "dm",
        "direction": "in",
        "origin": "customer",
        "external_id": external_id,
        "conversation_id": ids.digest("cnv", channel, author or "unknown"),
        "author": Author(external_id=author, name=f"Customer {author}") if author else None,
        "text": "Hello",
        "occurred_at": AT,
        "received_at": AT,
        "inbox_id": "inb_1",
    }
    return Message(**(fields | changes))


def received(given: Message, *, version: str = "") -> envelope.Event:
    """`message.received` of this message."""
    return _event(MessageReceived(workspace_id=given.workspace_id, message=given, provider_version=version), given)


def edited(given: Message, *, version: str = "2") -> envelope.Event:
    """`message.edited` of this message."""
    return _event(MessageEdited(workspace_id=given.workspace_id, message=given, provider_version=version), given)


def _event(data: Any, given: Message) -> envelope.Event:
    return envelope.new(
        data,
        event_id=ids.digest("evt", type(data).__name__, given.id, data.provider_version, given.text or ""),
        key=f"{given.workspace_id}:{given.channel_id}:{given.conversation_id}",
        time=AT,
    )
