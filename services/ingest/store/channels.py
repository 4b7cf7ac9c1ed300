"""Channels beyond what the platform's store offers: look-ups of many, their health, and their rotating secrets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.ingest.domain.deliveries import STATES, State, shard_of
from shared.db.transaction import Transaction
from shared.platform.models import Channel

COUNTED: Final = 10_000
"""Deliveries of one state are counted up to here: nobody's page waits for a count of millions."""

_FIND: Final = "SELECT * FROM platform.channel WHERE id = ANY ($1::text[]) AND state <> 'deleted'"
_COUNTS: Final = """
SELECT s.state, n.count, n.last
FROM unnest($2::text[]) AS s (state)
CROSS JOIN LATERAL (
    SELECT count(*) AS count, max(received_at) AS last FROM (
        SELECT received_at FROM ingest.inbox
        WHERE channel_id = $1 AND state = s.state ORDER BY id DESC LIMIT $3
    ) latest
) n
"""
_REFUSALS: Final = "SELECT count, last_at FROM ingest.refusal WHERE channel_id = $1"
_OLDEST: Final = """
SELECT i.received_at FROM ingest.pending p JOIN ingest.inbox i ON i.id = p.inbox_id
WHERE p.shard = $1 AND p.channel_id = $2 ORDER BY p.number LIMIT 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a channel is doing."""

    deliveries: dict[State, int]
    last_delivery_at: datetime | None
    oldest_pending_at: datetime | None
    signature_failures: int
    last_signature_failure_at: datetime | None


async def find(tx: Transaction, channels: Sequence[str]) -> list[Channel]:
    """Those of the channels that exist and are not deleted, in any workspace when the transaction scans."""
    return [Channel(**dict(row)) for row in await tx.fetch(_FIND, channels)]


async def health(tx: Transaction, channel: Channel) -> Health:
    """What came on a channel, what waits, and what was refused."""
    counts = {row["state"]: row for row in await tx.fetch(_COUNTS, channel.id, list(STATES), COUNTED)}
    refusals = await tx.fetchrow(_REFUSALS, channel.id)
    shard = shard_of(channel.workspace_id, channel.network)
    return Health(
        deliveries={state: counts[state]["count"] for state in STATES},
        last_delivery_at=max((row["last"] for row in counts.values() if row["last"]), default=None),
        oldest_pending_at=await tx.fetchval(_OLDEST, shard, channel.id),
        signature_failures=refusals["count"] if refusals else 0,
        last_signature_failure_at=refusals["last_at"] if refusals else None,
    )
