"""Items as network adapters would read them, and deliveries that bring them, with only what a test names."""

from datetime import UTC, datetime, timedelta
from typing import Any

from services.ingest.domain import index
from services.ingest.domain.batch import Batch, Key, Published, Reading, locate
from services.ingest.domain.deliveries import Delivery, Settled
from shared.events.messages import Author, MessageEvent
from shared.networks.port import Capabilities, Item, Parsed, Skipped

AT = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
CAN = Capabilities(public_reply=True, private_reply=True, private_window=timedelta(hours=24))


def item(external_id: str = "c1", **changes: Any) -> Item:
    """A customer's comment, unless told otherwise."""
    fields: dict[str, Any] = {
        "verb": "received",
        "kind": "comment",
        "direction": "in",
        "origin": "customer",
        "external_id": external_id,
        "account_external_id": "",
        "occurred_at": AT,
        "thread": external_id,
        "author": Author(external_id="u1", name="Ana"),
        "text": "Hello",
    }
    return Item(**(fields | changes))


class Desk:
    """An index and a log in memory: deliveries go in, events come out. `before` is the same one, a replay ago."""

    def __init__(self, before: "Desk | None" = None) -> None:
        self._stored: dict[Key, bytes] = before.stored() if before else {}
        self._published: list[Published] = list(before.published()) if before else []
        self._replays = 1 if before else 0
        self._count = 0
        self.batch = Batch(self._stored, self._published)

    @property
    def events(self) -> list[MessageEvent]:
        """What was published here."""
        return [emission.data for _, _, emission in self.batch.emissions]

    @property
    def event_ids(self) -> list[str]:
        """The ids of these events."""
        return [emission.event_id for _, _, emission in self.batch.emissions]

    def stored(self) -> dict[Key, bytes]:
        """The index as it would be read."""
        return self._stored | {key: index.encode(known) for key, known in self.batch.known.items()}

    def published(self) -> list[Published]:
        """The memory of what deliveries became, as it would be read."""
        new = [
            Published(
                inbox_id=inbox_id,
                message_id=emission.data.message.id,
                type=type(emission.data).__name__,
                part=emission.part,
                event_id=emission.event_id,
            )
            for inbox_id, _, emission in self.batch.emissions
        ]
        return [*self._published, *new]

    def take(self, *items: Item, strange: tuple[Skipped, ...] = (), inbox_id: str | None = None) -> Settled:
        """One delivery with these items."""
        self._count += 1
        delivery = Delivery(
            id=inbox_id or f"inb_{self._count}",
            workspace_id="w1",
            channel_id="chn_1",
            network="facebook",
            account="own",
            received_at=AT + timedelta(seconds=self._count),
            body=b"",
            replays=self._replays,
        )
        reading = Reading(delivery=delivery, parsed=Parsed(items=items, not_understood=strange), capabilities=CAN)
        return self.batch.settle(locate(reading, {("w1", "facebook", "other"): "chn_2"}))

    def names(self) -> list[str]:
        """The events so far, by class."""
        return [type(event).__name__ for event in self.events]
