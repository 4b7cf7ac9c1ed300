"""Storing deliveries: many at once, each once."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from services.ingest.domain.deliveries import Arrival
from shared.db.transaction import Transaction

_STORE: Final = """
WITH stored AS (
    INSERT INTO ingest.inbox (id, workspace_id, channel_id, network, shard, delivery_key, headers, body)
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::text[], $7::bytea[], $8::bytea[]
    )
    ON CONFLICT (channel_id, delivery_key) DO NOTHING
    RETURNING shard, id, workspace_id, channel_id, octet_length(body) AS size
)
INSERT INTO ingest.pending (shard, inbox_id, workspace_id, channel_id, size) SELECT * FROM stored
"""
_REFUSE: Final = """
INSERT INTO ingest.refusal AS r (channel_id, workspace_id, count, last_at)
SELECT c, w, n, now() FROM unnest($1::text[], $2::text[], $3::bigint[]) AS u (c, w, n) ORDER BY c
ON CONFLICT (channel_id) DO UPDATE SET count = r.count + EXCLUDED.count, last_at = EXCLUDED.last_at
"""

_ENCODE: Final = msgspec.json.Encoder().encode


async def store(tx: Transaction, arrivals: Sequence[Arrival], ids: Sequence[str]) -> int:
    """Keeps those that are new to their channel, and returns how many; the batch's workspaces are admitted."""
    return await tx.execute(
        _STORE,
        ids,
        [arrival.workspace_id for arrival in arrivals],
        [arrival.channel_id for arrival in arrivals],
        [arrival.network for arrival in arrivals],
        [arrival.shard for arrival in arrivals],
        [arrival.delivery_key for arrival in arrivals],
        [_ENCODE(arrival.headers) for arrival in arrivals],
        [arrival.body for arrival in arrivals],
    )


async def count_refusals(tx: Transaction, refusals: Mapping[tuple[str, str], int]) -> None:
    """Adds requests with wrong signatures, by workspace and channel."""
    await tx.execute(
        _REFUSE,
        [channel for _, channel in refusals],
        [workspace for workspace, _ in refusals],
        list(refusals.values()),
    )
