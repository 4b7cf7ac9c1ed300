"""Operations on items: locked by item, by id, and always in sets."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from services.notifier.domain.moderation import Moderation
from shared.db.transaction import Transaction

# Whoever takes in or claims locks the item first.
_WAKE: Final = """
INSERT INTO notifier.item AS i (id, workspace_id, due_at)
SELECT m, w, clock_timestamp() FROM unnest($1::text[], $2::text[]) AS t(m, w) ORDER BY m
ON CONFLICT (id) DO UPDATE SET due_at = EXCLUDED.due_at
"""
_INSERT: Final = """
INSERT INTO notifier.moderation
    (id, number, workspace_id, message_id, channel_id, network, operation, data, traceparent, state)
SELECT *, 'waiting' FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::bytea[], $9::text[])
ON CONFLICT DO NOTHING
"""
_LOCK: Final = "SELECT id FROM notifier.item WHERE id = $1 FOR UPDATE"
_LOAD: Final = """
SELECT id, number, workspace_id, message_id, channel_id, network, operation, data, state, attempts, doubtful_until,
    due_at, claim_token, claimed_at, reason, code, traceparent
FROM notifier.moderation WHERE message_id = ANY ($1::text[])
"""
_SAVE: Final = """
UPDATE notifier.moderation AS m SET state = v.state, attempts = v.attempts, doubtful_until = v.doubtful_until,
    due_at = v.due_at, claim_token = v.claim_token, claimed_at = v.claimed_at, reason = v.reason, code = v.code,
    settled_at = CASE WHEN v.state <> 'waiting' THEN clock_timestamp() END
FROM unnest($1::text[], $2::text[], $3::int[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::timestamptz[],
    $8::text[], $9::text[]) AS v(id, state, attempts, doubtful_until, due_at, claim_token, claimed_at, reason, code)
WHERE m.id = v.id
"""
_LOOK: Final = """
UPDATE notifier.item AS i SET due_at = v.due_at FROM unnest($1::text[], $2::timestamptz[]) AS v(id, due_at)
WHERE i.id = v.id
"""


async def take(tx: Transaction, orders: Sequence[Moderation]) -> None:
    """Takes in what is new, each once, and has a sender look at its item."""
    items = {one.message_id: one.workspace_id for one in orders}
    await tx.execute(_WAKE, list(items), list(items.values()))
    await tx.execute(
        _INSERT,
        [one.id for one in orders],
        [one.number for one in orders],
        [one.workspace_id for one in orders],
        [one.message_id for one in orders],
        [one.channel_id for one in orders],
        [one.network for one in orders],
        [one.operation for one in orders],
        [one.data for one in orders],
        [one.traceparent for one in orders],
    )


async def lock(tx: Transaction, item: str) -> None:
    """Waits for the lock of one item."""
    await tx.execute(_LOCK, item)


async def load(tx: Transaction, items: Collection[str]) -> list[Moderation]:
    """All operations on these items."""
    return [Moderation(**dict(row)) for row in await tx.fetch(_LOAD, list(items))]


async def save(tx: Transaction, changed: Sequence[Moderation], looks: Mapping[str, datetime | None]) -> None:
    """Where each stands now, and when to look at its item again; the caller holds the items' locks."""
    if changed:
        await tx.execute(
            _SAVE,
            [one.id for one in changed],
            [one.state for one in changed],
            [one.attempts for one in changed],
            [one.doubtful_until for one in changed],
            [one.due_at for one in changed],
            [one.claim_token for one in changed],
            [one.claimed_at for one in changed],
            [one.reason for one in changed],
            [one.code for one in changed],
        )
    await tx.execute(_LOOK, list(looks), list(looks.values()))
