"""A batch of deliveries on its way to events: what they say of accounts and items, in order, each on the one before."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NewType

from services.ingest.domain import changes, events, index
from services.ingest.domain.changes import Change, Emission, Named, Place, View
from services.ingest.domain.deliveries import Delivery, Settled
from services.ingest.domain.index import Known
from shared.networks.port import Capabilities, Item, Parsed, Skipped

ChannelId = NewType("ChannelId", str)
Key = tuple[str, str]
"""An item: channel and provider's item id."""

Account = tuple[str, str, str]
"""An account on a network: workspace, network and provider's account id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A delivery and what a parser made of it."""

    delivery: Delivery
    parsed: Parsed
    capabilities: Capabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A reading whose items have found their channels."""

    reading: Reading
    items: tuple[tuple[str, Named], ...] = ()
    """Channel and item, in the body's order."""
    strangers: tuple[Skipped, ...] = ()
    """Items of accounts that are not connected."""

    def mentioned(self) -> Iterable[Key]:
        """The items that it speaks of, and their parents."""
        for channel_id, named in self.items:
            yield channel_id, named.item.external_id
            if named.item.parent_external_id:
                yield channel_id, named.item.parent_external_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """An event that a delivery became, by this batch or before it."""

    inbox_id: str
    message_id: str
    type: str
    part: str
    event_id: str


@dataclass(slots=True)
class _Stage:
    """What one delivery changes; it counts as a whole or, when a bug shows, not at all."""

    known: dict[Key, Known] = field(default_factory=dict)
    encoded: dict[Key, bytes] = field(default_factory=dict)
    emissions: list[tuple[str, str, Emission]] = field(default_factory=list)
    """Delivery, channel and event."""
    seen: set[str] = field(default_factory=set)


def accounts(readings: Iterable[Reading]) -> set[Account]:
    """The accounts that bodies name beside the channel's own."""
    return {
        (reading.delivery.workspace_id, reading.delivery.network, item.account_external_id)
        for reading in readings
        for item in reading.parsed.items
        if item.account_external_id not in ("", reading.delivery.account)
    }


def locate(reading: Reading, channels: Mapping[Account, str]) -> Located:
    """Gives every item to the channel of its account; a body may speak of several."""
    delivery = reading.delivery
    items: list[tuple[str, Named]] = []
    strangers: list[Skipped] = []
    for item in reading.parsed.items:
        channel_id = _channel_of(item, delivery, channels)
        if channel_id is None:
            detail = f"{delivery.network} account {item.account_external_id} is not connected to this workspace"
            strangers.append(Skipped(code="account-not-connected", detail=detail))
        else:
            items.append((channel_id, changes.name(item, channel_id)))
    return Located(reading=reading, items=tuple(items), strangers=tuple(strangers))


def _channel_of(item: Item, delivery: Delivery, channels: Mapping[Account, str]) -> str | None:
    if item.account_external_id in ("", delivery.account):
        return delivery.channel_id
    return channels.get((delivery.workspace_id, delivery.network, item.account_external_id))


class Batch:
    """Applies deliveries one after the other to what the index and the log hold, and collects what changes."""

    def __init__(self, stored: Mapping[Key, bytes], published: Sequence[Published]) -> None:
        self._stored = stored
        self._seen = {event.event_id for event in published}
        self._published: dict[tuple[str, str], tuple[str, ...]] = {}
        for event in published:
            place = (event.inbox_id, event.part)
            self._published[place] = (*self._published.get(place, ()), event.event_id)
        self.known: dict[Key, Known] = {}
        """Items that changed."""
        self.encoded: dict[Key, bytes] = {}
        """The same, as the index stores them."""
        self.emissions: list[tuple[str, str, Emission]] = []
        """New events, with their delivery and channel, in the order in which they are to be published."""

    def settle(self, located: Located) -> Settled:
        """One delivery; where this raises, the batch is as it was before."""
        stage = _Stage()
        skipped: list[Skipped] = []
        was_published = False
        for channel_id, named in located.items:
            view = self._view(located, channel_id, named, stage)
            change = events.apply(named, view, _place(located, channel_id))
            if change.skipped is not None:
                skipped.append(change.skipped)
            was_published = was_published or bool(view.published or change.emissions)
            _add(stage, located, channel_id, named, change)
        self.known.update(stage.known)
        self.encoded.update(stage.encoded)
        self.emissions += stage.emissions
        self._seen |= stage.seen
        return _settled(located, skipped, was_published=was_published)

    def _view(self, located: Located, channel_id: str, named: Named, stage: _Stage) -> View:
        parent = named.item.parent_external_id
        above = self._known((channel_id, parent), stage) if parent else None
        return View(
            known=self._known((channel_id, named.item.external_id), stage),
            parent_conversation=above.message.conversation_id if above else None,
            published=self._published.get((located.reading.delivery.id, named.part), ()),
            repeated=named.event_id in self._seen or named.event_id in stage.seen,
        )

    def _known(self, key: Key, stage: _Stage) -> Known | None:
        known = stage.known.get(key) or self.known.get(key)
        if known is not None:
            return known
        stored = self._stored.get(key)
        return index.decode(stored) if stored is not None else None


def _place(located: Located, channel_id: str) -> Place:
    delivery = located.reading.delivery
    return Place(
        inbox_id=delivery.id,
        workspace_id=delivery.workspace_id,
        channel_id=channel_id,
        network=delivery.network,
        received_at=delivery.received_at,
        capabilities=located.reading.capabilities,
        replayed=delivery.replays > 0,
    )


def _add(stage: _Stage, located: Located, channel_id: str, named: Named, change: Change) -> None:
    if change.known is not None:
        key = (channel_id, named.item.external_id)
        # Encoded here already: text that cannot be stored must show before anything is staged for good.
        stage.encoded[key] = index.encode(change.known)
        stage.known[key] = change.known
    for emission in change.emissions:
        stage.emissions.append((located.reading.delivery.id, channel_id, emission))
        stage.seen.add(emission.event_id)


def _settled(located: Located, skipped: Sequence[Skipped], *, was_published: bool) -> Settled:
    inbox_id = located.reading.delivery.id
    parsed = located.reading.parsed
    if strange := (*parsed.not_understood, *located.strangers):
        return Settled(inbox_id=inbox_id, state="not-understood", code=strange[0].code, detail=_detail(strange))
    if was_published:
        return Settled(inbox_id=inbox_id, state="normalized")
    ignored = (*parsed.ignored, *skipped)
    if not ignored:
        return Settled(inbox_id=inbox_id, state="ignored", code="empty", detail="there is nothing in it")
    return Settled(inbox_id=inbox_id, state="ignored", code=ignored[0].code, detail=_detail(ignored))


def _detail(parts: Sequence[Skipped]) -> str:
    more = f" (and {len(parts) - 1} more)" if len(parts) > 1 else ""
    # Foreign words come in here, and Postgres takes no NUL.
    return parts[0].detail[:500].replace("\x00", "") + more
