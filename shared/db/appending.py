"""How events get into the log: they are written, and given their places, or put where the sequencer finds them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from shared.db.horizon import LIFE
from shared.db.together import Together
from shared.events.envelope import Encoded, Headers

_PACK: Final = msgspec.msgpack.Encoder().encode
_UNPACK: Final = msgspec.msgpack.Decoder(Headers).decode

# The condition holds; it gives the transaction its number before an event its id, which `db.horizon` needs.
_WRITE: Final = """
INSERT INTO log.event (shard, topic, key, workspace_id, headers, value)
SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::bytea[])
WHERE pg_current_xact_id() IS NOT NULL
RETURNING shard, id
"""
# They are numbered in the order in which they are written.
_IDS: Final = "array_agg(id ORDER BY id)"

_QUEUE: Final = "INSERT INTO log.queue (shard, event_id) SELECT shard, id FROM written"

# An event that waits may be of the same key and came before: who comes after it waits behind it.
_FREE: Final = f"""
SELECT s.id FROM log.shard s
WHERE s.id = ANY ($1::int[]) AND (
    SELECT q.event_id FROM log.queue q
    WHERE q.shard = s.id AND q.event_id > CASE WHEN {LIFE} = $3 THEN $2::bigint ELSE 0 END LIMIT 1
) IS NULL
FOR UPDATE SKIP LOCKED
"""
_COUNT: Final = "SELECT id AS shard, log.next_position(id) AS first FROM free"
_FIRSTS: Final = "array_agg(ARRAY[shard, first])"
_PLACE: Final = """
INSERT INTO log.position (shard, position, event_id)
SELECT w.shard, c.first + row_number() OVER (PARTITION BY w.shard ORDER BY w.id) - 1, w.id
FROM written w JOIN counted c ON c.shard = w.shard
"""
_QUEUE_REST: Final = f"{_QUEUE} WHERE shard NOT IN (SELECT shard FROM counted)"


class Shards(Protocol):
    """Which shard a key belongs to."""

    def shard(self, topic: str, key: str) -> int: ...


class Passed(NamedTuple):
    """Up to which id no event waits in the queue, nor ever will: so the sequencer has found."""

    event_id: int = 0
    life: str | None = None
    """Of the server, in which that holds."""


class Placed(NamedTuple):
    """Events that have positions in one shard: one after the other, from the first on."""

    topic: str
    shard: int
    first: int
    ids: list[int]


@dataclass(slots=True)
class Appended:
    """What a commit has added to the log."""

    events: Sequence[Encoded]
    shards: Sequence[int]
    """Of the events, in the same order; `ids` likewise."""
    ids: Sequence[int] = ()
    firsts: dict[int, int] = field(default_factory=dict)
    """By shard, the position of its first event here; those of other shards have none yet."""

    def placed(self) -> Collection[Placed]:
        """What has positions already."""
        found: dict[int, Placed] = {}
        for event, shard, event_id in zip(self.events, self.shards, self.ids, strict=True):
            if shard in self.firsts:
                found.setdefault(shard, Placed(event.topic, shard, self.firsts[shard], [])).ids.append(event_id)
        return found.values()

    @property
    def is_placed(self) -> bool:
        """Nothing of it waits for the sequencer."""
        return self.firsts.keys() >= set(self.shards)


OnAppend = Callable[[Appended], None]


def encode_headers(headers: Headers) -> bytes:
    """Headers as one bytea, in MessagePack: any bytes survive."""
    return _PACK(headers)


def decode_headers(raw: bytes) -> Headers:
    """The inverse of `encode_headers`."""
    return _UNPACK(raw)


def append(together: Together, events: Sequence[Encoded], topology: Shards, *, passed: Passed | None) -> Appended:
    """Adds what writes the events; what is returned is complete once that has been sent.

    With `passed` they are given positions, as the sequencer would give them: for whoever commits at once, and waits for
    nothing, holds a shard no longer than that does. What belongs to a shard that is held, or where something waits, is
    queued.
    """
    appended = Appended(events, [topology.shard(event.topic, event.key) for event in events])

    def told_ids(ids: list[int]) -> None:
        appended.ids = ids

    def told_firsts(firsts: list[list[int]] | None) -> None:
        appended.firsts.update((shard, first) for shard, first in firsts or ())

    columns: tuple[list[Any], ...] = (
        [event.topic for event in events],
        [event.key for event in events],
        [event.workspace_id for event in events],
        [encode_headers(event.headers) for event in events],
        [event.value for event in events],
    )
    together.add(_WRITE, appended.shards, *columns, name="written", asked=_IDS, told=told_ids)
    if passed is None:
        together.add(_QUEUE)
        return appended
    together.add(_FREE, list(set(appended.shards)), *passed, name="free")
    together.add(_COUNT, name="counted", asked=_FIRSTS, told=told_firsts)
    together.add(_PLACE)
    together.add(_QUEUE_REST)
    return appended
