"""Storing deliveries: many at once, each once."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

import msgspec

from services.ingest.domain.deliveries import Arrival
from shared.db.transaction import Transaction

_KEEP: Final = """
INSERT INTO ingest.inbox (id, workspace_id, channel_id, network, shard, delivery_key, headers, body)
SELECT d.id, o.workspace_id, o.channel_id, o.network, o.shard, d.delivery_key, o.headers,
    substring($6::bytea FROM d.start FOR d.size)
FROM unnest(
    string_to_array($1, E'\n'),
    string_to_array($2, E'\n'),
    string_to_array($3, ' ')::int[],
    string_to_array($4, ' ')::int[],
    string_to_array($5, ' ')::int[]
) AS d (id, delivery_key, origin, start, size)
JOIN unnest($7::text[], $8::text[], $9::text[], $10::smallint[], $11::bytea[]) WITH ORDINALITY
    AS o (workspace_id, channel_id, network, shard, headers, number) ON o.number = d.origin
ON CONFLICT (channel_id, delivery_key) DO NOTHING
"""
_ENTRY: Final = "shard, id, workspace_id, channel_id, octet_length(body)"
# A place in the queue is given in this order, to a transaction that has its number: it has stored something.
_ENQUEUE: Final = "INSERT INTO ingest.pending (shard, inbox_id, workspace_id, channel_id, size)"
_STORE: Final = f"WITH stored AS ({_KEEP} RETURNING {_ENTRY}) {_ENQUEUE} SELECT * FROM stored ORDER BY id"
_QUEUE: Final = f"{_ENQUEUE} SELECT {_ENTRY} FROM ingest.inbox WHERE id = ANY (string_to_array($1, E'\n')) ORDER BY id"
_REFUSE: Final = """
INSERT INTO ingest.refusal AS r (channel_id, workspace_id, count, last_at)
SELECT c, w, n, now() FROM unnest($1::text[], $2::text[], $3::bigint[]) AS u (c, w, n) ORDER BY c
ON CONFLICT (channel_id) DO UPDATE SET count = r.count + EXCLUDED.count, last_at = EXCLUDED.last_at
"""

_Origin = tuple[str, str, str, int, bytes]
_ENCODE: Final = msgspec.json.Encoder().encode


def store(tx: Transaction, arrivals: Sequence[Arrival], ids: Sequence[str]) -> None:
    """Keeps those that are new to their channel, and puts them in the queue, with the commit."""
    tx.defer(_STORE, *_columns(arrivals, ids))


def keep(tx: Transaction, arrivals: Sequence[Arrival], ids: Sequence[str]) -> None:
    """The same without the queue: that is for `queue`, in a later statement."""
    tx.defer(_KEEP, *_columns(arrivals, ids))


def queue(tx: Transaction, ids: Sequence[str]) -> None:
    """Puts those of them that were kept behind what is in the queue."""
    tx.defer(_QUEUE, "\n".join(ids))


def _columns(arrivals: Sequence[Arrival], ids: Sequence[str]) -> Sequence[Any]:
    """The driver looks at every element of every array, which costs more than all else here. So what many deliveries
    share travels once, and the rest in one piece: ids and delivery keys are printable, and lines tell them apart."""
    origins: dict[_Origin, int] = {}
    numbers = [origins.setdefault(_origin(arrival), len(origins) + 1) for arrival in arrivals]
    bodies = [arrival.body for arrival in arrivals]
    sizes = [len(body) for body in bodies]
    return (
        "\n".join(ids),
        "\n".join([arrival.delivery_key for arrival in arrivals]),
        " ".join(map(str, numbers)),
        " ".join(map(str, accumulate(sizes[:-1], initial=1))),
        " ".join(map(str, sizes)),
        b"".join(bodies),
        *zip(*origins, strict=True),
    )


def _origin(arrival: Arrival) -> _Origin:
    return arrival.workspace_id, arrival.channel_id, arrival.network, arrival.shard, _ENCODE(arrival.headers)


async def count_refusals(tx: Transaction, refusals: Mapping[tuple[str, str], int]) -> None:
    """Adds requests with wrong signatures, by workspace and channel."""
    await tx.execute(
        _REFUSE,
        [channel for _, channel in refusals],
        [workspace for workspace, _ in refusals],
        list(refusals.values()),
    )
