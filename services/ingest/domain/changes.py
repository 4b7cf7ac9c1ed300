"""An item by its ids, where it came from, what is known about it, and what it changes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from services.ingest.domain.index import Known
from shared import ids
from shared.events.messages import MessageEvent
from shared.networks.port import Capabilities, Item, Skipped

_ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and by which delivery an item came."""

    inbox_id: str
    workspace_id: str
    channel_id: str
    network: str
    received_at: datetime
    capabilities: Capabilities
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is known about one item before it is applied."""

    known: Known | None = None
    parent_conversation: str | None = None
    published: tuple[str, ...] = ()
    """Ids of the events that the same part of the same delivery became before, in order."""
    repeated: bool = False
    """Another delivery has said exactly this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission:
    """An event to publish. `part` names what of the delivery it stems from, so that a replay finds it."""

    event_id: str
    part: str
    data: MessageEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What an item changes: the index, the log, or nothing and why."""

    known: Known | None = None
    emissions: tuple[Emission, ...] = ()
    skipped: Skipped | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """An item with the ids that it will have, wherever and whenever it is normalized."""

    item: Item
    message_id: str
    event_id: str
    part: str


def name(item: Item, channel_id: str) -> Named:
    """The ids of an item in a channel: functions of what the provider said."""
    message_id = ids.digest("msg", channel_id, item.external_id)
    content = _ENCODER.encode(item).decode()
    return Named(
        item=item,
        message_id=message_id,
        event_id=ids.digest("evt", message_id, item.verb, item.version, content),
        part=f"{message_id}:{item.verb}:{item.version}",
    )
