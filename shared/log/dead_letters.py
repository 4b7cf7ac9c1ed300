"""What operators see and do about events that a service gave up on, and about keys that wait.

Every function belongs to a transaction of one workspace in the service's schema.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from shared.db.appending import decode_headers
from shared.db.transaction import Transaction
from shared.errors import NotFound
from shared.events.envelope import Headers

_SUMMARY: Final = (
    "id, workspace_id, consumer_group, topic, partition, position, key, event_type, "
    "error_class, error_message, attempts, first_failed_at, created_at"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event that a group gave up on, and why."""

    id: str
    workspace_id: str
    consumer_group: str
    topic: str
    partition: int
    position: int
    key: str
    event_type: str | None
    error_class: str
    error_message: str
    attempts: int
    first_failed_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A dead letter with the event as it came, which may be no event at all."""

    letter: DeadLetter
    headers: Headers
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedKey:
    """A key of a group that waits: its head failed `attempts` times, and `waiting` events are in its queue."""

    consumer_group: str
    key: str
    workspace_id: str
    attempts: int
    reason: str
    next_at: datetime
    parked_at: datetime
    waiting: int


async def page(tx: Transaction, *, before: str | None = None, limit: int = 50) -> list[DeadLetter]:
    """Dead letters, the newest first; `before` is the last id of the page before."""
    rows = await tx.fetch(
        f"SELECT {_SUMMARY} FROM {tx.schema}.dead_letter WHERE $1::text IS NULL OR id < $1 ORDER BY id DESC LIMIT $2",
        before,
        limit,
    )
    return [_letter(row) for row in rows]


async def show(tx: Transaction, letter_id: str) -> Content:
    """One dead letter with its event."""
    row = await tx.fetchrow(f"SELECT {_SUMMARY}, headers, value FROM {tx.schema}.dead_letter WHERE id = $1", letter_id)
    if row is None:
        raise _not_found(letter_id)
    return Content(letter=_letter(row), headers=decode_headers(row["headers"]), value=row["value"])


async def redrive(tx: Transaction, letter_id: str) -> ParkedKey:
    """Puts the event at the end of its key's queue, due now; it is no dead letter any more unless it fails again.

    It never goes back to the topic: other groups have handled it. Handlers accept that it comes late.
    """
    row = await tx.fetchrow(
        f"SELECT consumer_group, key, workspace_id FROM {tx.schema}.dead_letter WHERE id = $1", letter_id
    )
    if row is None:
        raise _not_found(letter_id)
    # The key first, the letter second: consumers, who write dead letters, lock in this order too.
    await tx.execute(
        f"INSERT INTO {tx.schema}.parked (consumer_group, key, workspace_id, reason) VALUES ($1, $2, $3, 're-driven') "
        "ON CONFLICT (consumer_group, key) DO UPDATE SET next_at = now()",
        *row,
    )
    moved = await tx.execute(
        f"WITH gone AS (DELETE FROM {tx.schema}.dead_letter WHERE id = $1 RETURNING *) "
        f"INSERT INTO {tx.schema}.parked_event "
        "(consumer_group, key, workspace_id, topic, partition, position, headers, value) "
        "SELECT consumer_group, key, workspace_id, topic, partition, position, headers, value FROM gone",
        letter_id,
    )
    if not moved:
        # Somebody else re-drove or dropped it meanwhile; the refusal takes our row of the key back.
        raise _not_found(letter_id)
    return await parked_key(tx, row["consumer_group"], row["key"])


async def drop(tx: Transaction, letter_id: str) -> DeadLetter:
    """Forgets the event for good; returns what it was, for the audit."""
    row = await tx.fetchrow(f"DELETE FROM {tx.schema}.dead_letter WHERE id = $1 RETURNING {_SUMMARY}", letter_id)
    if row is None:
        raise _not_found(letter_id)
    return _letter(row)


async def parked_keys(tx: Transaction, *, after: tuple[str, str] | None = None, limit: int = 50) -> list[ParkedKey]:
    """Keys that wait, by group and key; `after` is the last group and key of the page before."""
    group, key = after or ("", "")
    rows = await tx.fetch(
        f"{_parked(tx.schema)} WHERE (p.consumer_group, p.key) > ($1, $2) ORDER BY p.consumer_group, p.key LIMIT $3",
        group,
        key,
        limit,
    )
    return [_key(row) for row in rows]


async def parked_key(tx: Transaction, group: str, key: str) -> ParkedKey:
    """One key that waits."""
    row = await tx.fetchrow(f"{_parked(tx.schema)} WHERE p.consumer_group = $1 AND p.key = $2", group, key)
    if row is None:
        raise NotFound(f"no key {key} of group {group} waits", key=key)
    return _key(row)


def _parked(schema: str) -> str:
    return (
        "SELECT p.consumer_group, p.key, p.workspace_id, p.attempts, p.reason, p.next_at, p.parked_at, "
        f"(SELECT count(*) FROM {schema}.parked_event e WHERE e.consumer_group = p.consumer_group AND e.key = p.key) "
        f"AS waiting FROM {schema}.parked p"
    )


def _letter(row: asyncpg.Record) -> DeadLetter:
    fields: Mapping[str, Any] = dict(row)
    return DeadLetter(**{name: fields[name] for name in _SUMMARY.split(", ")})


def _key(row: asyncpg.Record) -> ParkedKey:
    return ParkedKey(**dict(row))


def _not_found(letter_id: str) -> NotFound:
    return NotFound(f"there is no dead letter {letter_id}", dead_letter=letter_id)
