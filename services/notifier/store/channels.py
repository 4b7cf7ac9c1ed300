"""The connected accounts that replies leave by; platform keeps them, ingest's API writes them."""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from shared.db.transaction import Transaction
from shared.platform.models import Channel
from shared.platform.store import channels

_LOAD: Final = "SELECT * FROM platform.channel WHERE id = ANY ($1::text[])"


async def load(tx: Transaction, channel_ids: Collection[str]) -> dict[tuple[str, str], Channel]:
    """Channels in any state, by workspace and id."""
    rows = await tx.fetch(_LOAD, list(channel_ids)) if channel_ids else []
    return {(row["workspace_id"], row["id"]): Channel(**dict(row)) for row in rows}


async def mark_unauthorized(tx: Transaction, channel: Channel, reason: str) -> bool:
    """The network no longer takes the channel's credentials; False when they were changed since `channel` was read."""
    marked = replace(channel, state="unauthorized", state_reason=reason)
    return await channels.save(tx, marked) is not None
