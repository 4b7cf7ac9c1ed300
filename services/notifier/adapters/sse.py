"""Server-sent events: how each is written, and the response that they go out by."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec

from shared.events.payload import Payload
from shared.web.streams import Streamed

HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
}

_ENCODER: Final = msgspec.json.Encoder()


def retry(milliseconds: int) -> bytes:
    """How soon the client should come back."""
    return b"retry: %d\n\n" % milliseconds


def event(name: str, data: bytes, *, number: int | None = None) -> bytes:
    """One event; `number` becomes the id from which the client resumes. JSON has no line breaks of its own."""
    head = b"" if number is None else b"id: %d\n" % number
    return b"%bevent: %b\ndata: %b\n\n" % (head, name.encode(), data)


def notice(name: str, facts: Payload | dict[str, object], *, number: int | None = None) -> bytes:
    """An event of the stream's own, or one without a place in the feed."""
    return event(name, _ENCODER.encode(facts), number=number)


def heartbeat(number: int) -> bytes:
    """A comment that keeps the connection; the id moves the client on past what its filters left out."""
    return b":\nid: %d\n\n" % number


class EventStream(Streamed):
    """Streams events; `patience` is how many seconds a client may take to read one."""

    def __init__(self, chunks: AsyncIterator[bytes], *, patience: float) -> None:
        super().__init__(chunks, headers=HEADERS, patience=patience)
