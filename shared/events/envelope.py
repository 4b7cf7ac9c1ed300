"""The envelope: CloudEvents 1.0 in binary mode (headers `ce_*`, JSON value) plus a W3C `traceparent`."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from shared.errors import Rejected
from shared.events.catalogue import EVENT_TYPES, TYPE_OF
from shared.events.payload import Payload

Headers = tuple[tuple[str, bytes], ...]


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One fact with its envelope. `key` orders: events of one key are read in the order they were written."""

    id: str
    type: str
    workspace_id: str
    key: str
    time: datetime
    data: Payload
    traceparent: str | None = None


class Encoded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event as bytes, ready for either log."""

    topic: str
    key: str
    workspace_id: str
    headers: Headers
    value: bytes


_ENCODER: Final = msgspec.json.Encoder()
_DECODERS: Final[Mapping[str, Callable[[bytes], Payload]]] = {
    name: msgspec.json.Decoder(entry.payload).decode for name, entry in EVENT_TYPES.items()
}
# What events of a type have in common is kept once, however many of them are in memory.
_VERSION: Final = ("ce_specversion", b"1.0")
_CONTENT: Final = ("content-type", b"application/json")
_TYPES: Final = {name: ("ce_type", name.encode()) for name in EVENT_TYPES}
_SOURCES: Final = {name: ("ce_source", f"/baton/{entry.owner}".encode()) for name, entry in EVENT_TYPES.items()}
_SCHEMAS: Final = {name: ("ce_dataschema", f"/schemas/{name}.json".encode()) for name in EVENT_TYPES}


def new(data: Payload, *, event_id: str, key: str, time: datetime, traceparent: str | None = None) -> Event:
    """The event that says `data`; its type follows from the class of `data`."""
    name = TYPE_OF[type(data)].name
    return Event(
        id=event_id,
        type=name,
        workspace_id=data.workspace_id,
        key=key,
        time=time,
        data=data,
        traceparent=traceparent,
    )


def encode(event: Event) -> Encoded:
    """Headers and JSON value of one event."""
    name = event.type
    headers: list[tuple[str, bytes]] = [
        _VERSION,
        ("ce_id", event.id.encode()),
        _TYPES[name],
        _SOURCES[name],
        ("ce_time", event.time.astimezone(UTC).isoformat().replace("+00:00", "Z").encode()),
        _SCHEMAS[name],
        ("ce_workspaceid", event.workspace_id.encode()),
        ("ce_partitionkey", event.key.encode()),
        _CONTENT,
    ]
    if event.traceparent:
        headers.append(("traceparent", event.traceparent.encode()))
    return Encoded(
        topic=EVENT_TYPES[name].topic,
        key=event.key,
        workspace_id=event.workspace_id,
        headers=tuple(headers),
        value=_ENCODER.encode(event.data),
    )


def decode(headers: Headers, value: bytes) -> Event:
    """The event in a record; Rejected when it is not one of ours or does not fit its class."""
    fields = dict(headers)
    try:
        name = fields["ce_type"].decode()
        data = _DECODERS[name](value)
        return Event(
            id=fields["ce_id"].decode(),
            type=name,
            workspace_id=data.workspace_id,
            key=fields["ce_partitionkey"].decode(),
            time=datetime.fromisoformat(fields["ce_time"].decode()),
            data=data,
            traceparent=trace.decode() if (trace := fields.get("traceparent")) else None,
        )
    except (KeyError, UnicodeDecodeError, ValueError, msgspec.MsgspecError) as error:
        raise Rejected(f"not a known event: {type(error).__name__}: {error}") from error


def header(headers: Headers, name: str) -> str | None:
    """One header as text, or None."""
    for key, value in headers:
        if key == name:
            return value.decode("utf-8", "replace")
    return None


def to_builtins(data: Payload) -> Any:
    """The payload as plain JSON-able values, as HTTP faces show it."""
    return msgspec.to_builtins(data)
