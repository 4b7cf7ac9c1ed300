"""What the index of items remembers, so that edits, deletes, echoes and replies find what they speak of."""

from datetime import datetime
from typing import Final, Literal

import msgspec

from shared.events.messages import Message

ItemState = Literal["present", "deleted", "announced"]
"""`announced`: something was said about an item that has not come itself. `deleted` is for good."""


class Known(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One item as it is known; `message` is what its last event carried."""

    message: Message
    state: ItemState = "present"
    hidden: bool = False
    partial: bool = False
    """It was first seen as an edit, which need not say everything."""
    content_from: str = ""
    """The delivery whose text this is."""
    edited_at: datetime | None = None
    hidden_at: datetime | None = None
    """Provider's times of the last edit, and of the last hiding or showing: older ones come too late."""


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Known)


def encode(known: Known) -> bytes:
    """As the index stores it."""
    return _ENCODER.encode(known)


def decode(stored: bytes) -> Known:
    """The inverse of `encode`."""
    return _DECODER.decode(stored)
