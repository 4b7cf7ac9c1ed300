"""How, and until when, an item can be answered."""

from datetime import datetime, timedelta
from typing import Final

from shared.events.payload import Deadline
from shared.networks.port import Capabilities, Item

_DIRECT: Final = frozenset({"dm", "story_reply"})


def reply_options(item: Item, can: Capabilities, occurred_at: datetime) -> tuple[Deadline, ...]:
    """How, and until when, the item can be answered."""
    if item.direction == "out" or item.kind == "reaction":
        return ()
    options: list[Deadline] = []
    if can.public_reply and item.kind not in _DIRECT:
        options.append(Deadline(kind="public", until=_until(occurred_at, can.public_window)))
    if can.private_reply and item.kind != "review":
        window = can.human_window or can.private_window
        options.append(Deadline(kind="private", until=_until(occurred_at, window)))
    return tuple(options)


def _until(occurred_at: datetime, window: timedelta | None) -> datetime | None:
    return occurred_at + window if window is not None else None
