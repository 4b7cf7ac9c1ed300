"""What endpoints can subscribe to: the types of the feed, with schema and example."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from shared.events import asyncapi
from shared.events.catalogue import EVENT_TYPES, SURGES, TICKETS
from shared.events.payload import Payload, Value

DISABLED: Final = "endpoint.disabled.v1"
LEFT: Final = "ticket.left.v1"


class EndpointDisabled(Payload, frozen=True, kw_only=True):
    """An endpoint gets nothing more: it was gone, or failed for too long."""

    endpoint_id: str
    url: str
    reason: Literal["gone", "failing"]


class LeftTicket(Value, frozen=True, kw_only=True):
    """All that is told of a ticket that went elsewhere."""

    id: str


class TicketLeft(Payload, frozen=True, kw_only=True):
    """A ticket left what you see, or what you asked to see: stop showing it. Where it went is not yours to know."""

    ticket: LeftTicket


TOPICS: Final = (TICKETS, SURGES)
"""What the feed is made of."""

FEED_TYPES: Final = (*(name for name, entry in EVENT_TYPES.items() if entry.topic in TOPICS), LEFT, DISABLED)
"""Every type that the feed shows."""

_OWN: Final[Mapping[str, type[Payload]]] = {LEFT: TicketLeft, DISABLED: EndpointDisabled}


def description(name: str) -> str:
    """What the type means."""
    if name in EVENT_TYPES:
        return asyncapi.describe(EVENT_TYPES[name])
    return (_OWN[name].__doc__ or "").strip()


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of the event's `data`."""
    if name in EVENT_TYPES:
        return asyncapi.schema(EVENT_TYPES[name])
    return msgspec.json.schema(_OWN[name])


def example(name: str) -> dict[str, Any]:
    """A whole body as endpoints get it."""
    definition = schema(name)
    data = _example(definition, definition.get("$defs", {}), "data")
    return {
        "type": name,
        "timestamp": _MOMENT,
        "id": "evt_0193a1b2c3d4e5f60718293a4b5c6d7e",
        "sequence": 4711,
        "data": data,
    }


_SCALARS: Final[Mapping[str, Any]] = {"array": [], "integer": 1, "number": 1.0, "boolean": False}
_MOMENT: Final = "2026-11-22T09:00:00Z"


def _example(definition: Mapping[str, Any], known: Mapping[str, Any], name: str) -> Any:
    """Something that the schema allows: enums by their first value, texts by their field's name."""
    while "$ref" in definition or "anyOf" in definition:
        reference = definition.get("$ref")
        definition = known[reference.rsplit("/", 1)[1]] if reference else definition["anyOf"][0]
    if "enum" in definition:
        return definition["enum"][0]
    kind = definition.get("type", "null")
    if kind == "object":
        required, properties = definition.get("required", ()), definition.get("properties", {})
        return {key: _example(properties[key], known, key) for key in properties if key in required}
    if kind == "string":
        return _MOMENT if definition.get("format") == "date-time" else f"{name}-1"
    return _SCALARS.get(kind)
