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
    direct = item.kind in _DIRECT
    if can.public_reply and not direct:
        options.append(Deadline(kind="public", until=_until(occurred_at, can.public_window)))
    if can.private_reply and item.kind != "review":
        # Who writes, and so whether a person's longer window counts, is not known yet; to a comment it does not matter.
        window = can.private_window if direct else can.human_window or can.private_window
        options.append(Deadline(kind="private", until=_until(occurred_at, window)))
    return tuple(option for option in options if item.answers is None or option.kind in item.answers)


def _until(occurred_at: datetime, window: timedelta | None) -> datetime | None:
    return occurred_at + window if window is not None else None
