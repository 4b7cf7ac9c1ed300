"""Meta's envelope: a delivery of entries, one per account, whose parts are read each for itself."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from shared.errors import Rejected
from shared.networks import bodies
from shared.networks.bodies import Identifier
from shared.networks.port import Item, Parsed, Skipped

TEST_ENTRY: Final = "0"
"""The account that Meta's test console writes into its samples."""

IGNORED: Final = frozenset({"duplicate", "empty-entry", "no-entries", "test-entry"})
"""Codes of what an envelope may hold that is known and no message."""


List = Literal["changes", "messaging", "standby"]


class Envelope(msgspec.Struct, frozen=True):
    """A delivery; its entries stay raw, so that one bad entry does not take the others with it."""

    object: str
    entry: list[msgspec.Raw]


class Entry(msgspec.Struct, frozen=True):
    """What happened to one account: `changes` come from its fields, the rest from its direct messages.

    With a `field`, the entry is a change itself: some products write their only one so.
    """

    id: Identifier = None
    time: Any = None
    field: Any = None
    changes: list[msgspec.Raw] | None = None
    messaging: list[msgspec.Raw] | None = None
    standby: list[msgspec.Raw] | None = None


class Change(msgspec.Struct, frozen=True):
    """One change of a field."""

    field: str
    value: msgspec.Raw = msgspec.Raw(b"{}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of an entry, still raw, and what the entry knows about it."""

    raw: msgspec.Raw
    list: List
    account: str
    entry: Entry


Reader = Callable[[Part], Iterable[Item | Skipped]]
"""What one part says; Rejected where it does not have the shape that it promises."""

CHANGE: Final = msgspec.json.Decoder(Change)
KEYS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENVELOPE: Final = msgspec.json.Decoder(Envelope)
_ENTRY: Final = msgspec.json.Decoder(Entry)
_ANYTHING: Final = msgspec.json.Decoder(msgspec.Raw)
_ENTRY_KEYS: Final = frozenset({"id", "uid", "time", "changes", "messaging", "standby", "field", "value"})


def parse(raw: bytes, *, name: str, read: Reader, ignored: frozenset[str]) -> Parsed:
    """What a body of object `name` becomes; `ignored` are the reader's own codes of what is no message."""
    return Parsed.of(_parts(raw, name, read), ignored=IGNORED | ignored)


def _parts(raw: bytes, name: str, read: Reader) -> Iterator[Item | Skipped]:
    if bodies.too_deep(raw):
        yield Skipped(code="too-deep", detail=f"nested deeper than {bodies.MAX_DEPTH}")
        return
    try:
        envelope = bodies.decode(_ENVELOPE, raw)
    except Rejected as error:
        yield Skipped(code=_why_no_envelope(raw), detail=str(error))
        return
    if envelope.object != name:
        yield Skipped(code="wrong-object", detail=f"object {envelope.object[:40]!r} instead of {name!r}")
        return
    if not envelope.entry:
        yield Skipped(code="no-entries", detail="a delivery without entries")
    for index, entry in enumerate(envelope.entry):
        yield from _entry(entry, f"entry[{index}]", read)


def _why_no_envelope(raw: bytes) -> str:
    try:
        bodies.decode(_ANYTHING, raw)
    except Rejected:
        return "not-json"
    return "not-a-webhook"


def _entry(raw: msgspec.Raw, where: str, read: Reader) -> Iterator[Item | Skipped]:
    try:
        entry = bodies.decode(_ENTRY, raw)
    except Rejected as error:
        yield Skipped(code="malformed", detail=f"{where}: {error}")
        return
    changes = [raw] if isinstance(entry.field, str) and entry.changes is None else entry.changes
    lists: dict[List, list[msgspec.Raw] | None]
    lists = {"changes": changes, "messaging": entry.messaging, "standby": entry.standby}
    if not any(lists.values()):
        yield _without_content(raw, where)
    account = bodies.identifier(entry.id)
    for name, parts in lists.items():
        for index, part in enumerate(parts or ()):
            for found in _read(part, name, account, entry, read):
                if isinstance(found, Skipped):
                    yield Skipped(code=found.code, detail=f"{where}.{name}[{index}]: {found.detail}")
                else:
                    yield found


def _without_content(raw: msgspec.Raw, where: str) -> Skipped:
    keys: dict[str, msgspec.Raw] = bodies.decode(KEYS, raw)
    strange = sorted(key[:40] for key in keys.keys() - _ENTRY_KEYS)
    if strange:
        return Skipped(code="unknown-entry", detail=f"{where}: only {', '.join(strange[:5])}")
    return Skipped(code="empty-entry", detail=f"{where}: nothing in it")


def _read(
    raw: msgspec.Raw,
    name: List,
    account: str | None,
    entry: Entry,
    read: Reader,
) -> Iterable[Item | Skipped]:
    if account is None:
        return (Skipped(code="no-account", detail="the entry does not say whose it is"),)
    if account == TEST_ENTRY:
        return (Skipped(code="test-entry", detail="a sample of the test console"),)
    try:
        return tuple(read(Part(raw=raw, list=name, account=account, entry=entry)))
    except Rejected as error:
        return (Skipped(code="malformed", detail=str(error)),)
