"""Looking into the inbox, and asking for what was stored to be normalized again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.ingest.domain.deliveries import SETTLED, STATES, State
from services.ingest.store import inbox as store
from services.ingest.store.inbox import Choice, Entry, Raw, Replayed
from shared.db.transaction import Transaction
from shared.errors import NotFound
from shared.platform.store import channels

REPLAY_LIMIT: Final = 10_000
"""Deliveries that one request puts back; its answer says how to go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a replay asks for; what is None does not narrow."""

    channel_id: str | None = None
    received_from: datetime | None = None
    received_to: datetime | None = None
    states: Sequence[State] | None = None
    ids: Sequence[str] | None = None
    after: str | None = None


async def entries(
    tx: Transaction,
    workspace_id: str,
    *,
    channel_id: str | None,
    state: State | None,
    before: str | None,
    limit: int,
) -> list[Entry]:
    """Deliveries, newest first."""
    return await store.page(
        tx,
        channels=await _channels(tx, workspace_id, channel_id),
        states=[state] if state else STATES,
        before=before,
        limit=limit,
    )


async def raw(tx: Transaction, workspace_id: str, inbox_id: str) -> Raw:
    """One delivery as it came, or NotFound."""
    found = await store.one(tx, workspace_id, inbox_id)
    if found is None:
        raise NotFound(f"there is no delivery {inbox_id}")
    return found


async def replay(tx: Transaction, workspace_id: str, wanted: Wanted) -> Replayed:
    """Puts deliveries back into the queue; those that wait already are left alone."""
    choice = Choice(
        channels=await _channels(tx, workspace_id, wanted.channel_id),
        states=[state for state in wanted.states or SETTLED if state in SETTLED],
        after=wanted.after or "",
        received_from=wanted.received_from,
        received_to=wanted.received_to,
        ids=wanted.ids,
    )
    return await store.replay(tx, choice, limit=REPLAY_LIMIT)


async def _channels(tx: Transaction, workspace_id: str, channel_id: str | None) -> Sequence[str]:
    if channel_id is None:
        return await store.channels(tx, workspace_id)
    if await channels.load(tx, workspace_id, channel_id) is None:
        raise NotFound(f"there is no channel {channel_id}")
    return [channel_id]
