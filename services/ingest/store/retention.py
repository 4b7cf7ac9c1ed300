"""Letting go of what is old: raw deliveries with the memory of what they became, and items nobody speaks of."""

from datetime import timedelta
from typing import Final

from shared.db.pool import Database
from shared.platform.store import retention

_CUTOFF: Final = "'inb_' || lpad(to_hex((extract(epoch FROM now() - $1::interval) * 1000)::bigint), 12, '0')"
"""Ids begin with their time: the primary key finds what is old."""


async def purge_inbox(database: Database, *, older_than: timedelta) -> int:
    """Drops settled deliveries of all workspaces; what waits, waits on."""
    gone = await retention.purge(database, "ingest.inbox", f"id < {_CUTOFF} AND state <> 'pending'", older_than)
    await retention.purge(database, "ingest.event", f"inbox_id < {_CUTOFF}", older_than)
    return gone


async def purge_items(database: Database, *, older_than: timedelta) -> int:
    """Forgets items that nothing was heard of for so long."""
    return await retention.purge(database, "ingest.item", "updated_at < now() - $1::interval", older_than)
