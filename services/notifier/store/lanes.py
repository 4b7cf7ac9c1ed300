"""Lanes: each endpoint is pushed to by one process at a time, which holds its lane for a while and renews it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from shared.db.transaction import Transaction

_REGISTER: Final = """
INSERT INTO notifier.worker (id, expires_at) VALUES ($1, clock_timestamp() + $2::interval)
ON CONFLICT (id) DO UPDATE SET expires_at = EXCLUDED.expires_at
"""
_SHARE: Final = """
SELECT ceil((SELECT count(*) FROM notifier.lane WHERE is_open)::numeric
    / greatest(1, (SELECT count(*) FROM notifier.worker WHERE expires_at > statement_timestamp())))::int
"""
_RENEW: Final = """
UPDATE notifier.lane SET expires_at = clock_timestamp() + $2::interval WHERE owner = $1 AND is_open
RETURNING endpoint_id
"""
_CLAIM: Final = """
UPDATE notifier.lane SET owner = $1, expires_at = clock_timestamp() + $2::interval WHERE endpoint_id IN (
    SELECT endpoint_id FROM notifier.lane
    WHERE is_open AND (expires_at IS NULL OR expires_at < statement_timestamp())
    ORDER BY expires_at NULLS FIRST LIMIT $3 FOR UPDATE SKIP LOCKED
)
"""
_OWN: Final = """
SELECT endpoint_id, workspace_id, cursor, failures FROM notifier.lane WHERE owner = $1 AND is_open ORDER BY endpoint_id
"""
_RELEASE: Final = """
UPDATE notifier.lane SET owner = NULL, expires_at = NULL WHERE owner = $1 AND endpoint_id = ANY ($2::text[])
"""
_LEAVE: Final = "DELETE FROM notifier.worker WHERE id = $1 OR expires_at < clock_timestamp() - interval '1 minute'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One endpoint's place in the feed, in our hands."""

    endpoint_id: str
    workspace_id: str
    cursor: int
    failures: int


async def hold(tx: Transaction, worker_id: str, *, lifetime: timedelta) -> tuple[list[Lane], int]:
    """Renews what this process holds and takes free lanes up to its share; the transaction scans.

    Gives all that it holds now, and its share: what is beyond it should be released.
    """
    await tx.execute(_REGISTER, worker_id, lifetime)
    share = int(await tx.fetchval(_SHARE))
    held = len(await tx.fetch(_RENEW, worker_id, lifetime))
    if held < share:
        await tx.execute(_CLAIM, worker_id, lifetime, share - held)
    return [Lane(**dict(row)) for row in await tx.fetch(_OWN, worker_id)], share


async def release(tx: Transaction, worker_id: str, endpoint_ids: Collection[str]) -> None:
    """Somebody else may push to these."""
    await tx.execute(_RELEASE, worker_id, list(endpoint_ids))


async def leave(tx: Transaction, worker_id: str) -> None:
    """The process pushes to nobody any more."""
    await tx.execute(_LEAVE, worker_id)
