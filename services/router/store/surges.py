"""Surges: when each began and ended, by which policy, with which numbers; at most one of a subject is open."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal

import asyncpg
import msgspec

from services.router.domain.surge import Policy
from shared.db.transaction import Transaction

Ended = Literal["calm", "lasting", "person", "policy"]

_COLUMNS: Final = (
    "id, workspace_id, subject, policy_version, policy, policy_author, began_at, messages, usual, minutes, "
    "peak_messages, peak_at, calm_since, ended_at, ended, ended_by, ended_messages, ended_usual"
)
_BEGIN: Final = f"""
INSERT INTO router.surge (id, workspace_id, subject, policy_version, policy, policy_author, messages, usual, minutes,
    peak_messages)
SELECT id, $2, subject, $4, $5, $6, messages, usual, $9, messages
FROM unnest($1::text[], $3::text[], $7::bigint[], $8::float8[]) AS given (id, subject, messages, usual)
ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
"""
_FOLLOW: Final = """
UPDATE router.surge SET
    peak_at = CASE WHEN ended_at IS NULL AND held > peak_messages THEN now() ELSE peak_at END,
    peak_messages = CASE WHEN ended_at IS NULL THEN greatest(peak_messages, held) ELSE peak_messages END,
    calm_since = CASE WHEN is_calm THEN coalesce(calm_since, now()) END
FROM unnest($1::text[], $2::bigint[], $3::bool[]) AS given (surge_id, held, is_calm)
WHERE id = surge_id AND (ended_at IS NULL AND held > peak_messages OR is_calm <> (calm_since IS NOT NULL))
"""
_END: Final = f"""
UPDATE router.surge SET ended_at = now(), ended = $2, ended_by = $3, ended_messages = held, ended_usual = usually,
    calm_since = CASE WHEN $2 = 'policy' THEN now() ELSE calm_since END
FROM unnest($1::text[], $4::bigint[], $5::float8[]) AS given (surge_id, held, usually)
WHERE id = surge_id AND ended_at IS NULL RETURNING {_COLUMNS}
"""
_FOLLOWED: Final = f"""
SELECT {_COLUMNS} FROM router.surge WHERE workspace_id = $1 AND (ended_at IS NULL OR calm_since IS NULL) ORDER BY id
"""
_LOAD: Final = f"SELECT {_COLUMNS} FROM router.surge WHERE workspace_id = $1 AND id = $2"
_PAGE: Final = f"""
SELECT {_COLUMNS} FROM router.surge
WHERE workspace_id = $1 AND ($2::text IS NULL OR id < $2) AND ($3::bool IS NULL OR (ended_at IS NULL) = $3)
    AND ($4::text IS NULL OR subject = $4)
ORDER BY id DESC LIMIT $5
"""


class Surge(msgspec.Struct, frozen=True, kw_only=True):
    """One surge, with all that is known of it."""

    id: str
    workspace_id: str
    subject: str
    policy_version: int
    policy: Policy
    """As it was when it began."""
    policy_author: str
    began_at: datetime
    messages: int
    """In the window of so many `minutes` with which it began; `usual`: what that holds usually."""
    usual: float
    minutes: int
    peak_messages: int
    peak_at: datetime
    calm_since: datetime | None
    ended_at: datetime | None
    ended: Ended | None
    ended_by: str | None
    ended_messages: int | None
    ended_usual: float | None


class Noticed(msgspec.Struct, frozen=True, kw_only=True):
    """A subject and what its window holds. `id`: of the surge that begins or is known."""

    id: str
    subject: str
    messages: int
    usual: float | None


async def begin(
    tx: Transaction, workspace_id: str, some: Sequence[Noticed], *, version: int, policy: Policy, author: str
) -> list[Surge]:
    """New ones; a subject of which one is open already gets none."""
    rows = await tx.fetch(
        _BEGIN,
        [one.id for one in some],
        workspace_id,
        [one.subject for one in some],
        version,
        policy,
        author,
        [one.messages for one in some],
        [one.usual or 0.0 for one in some],
        policy.window_minutes,
    )
    return [_surge(row) for row in rows]


async def follow(tx: Transaction, some: Sequence[Noticed], calm: Sequence[bool]) -> None:
    """What they hold now: the highest is kept, and since when they are calm."""
    await tx.execute(_FOLLOW, [one.id for one in some], [one.messages for one in some], list(calm))


async def end(tx: Transaction, some: Sequence[Noticed], *, why: Ended, by: str | None) -> list[Surge]:
    """They are over; those that were over already are not returned."""
    rows = await tx.fetch(
        _END, [one.id for one in some], why, by, [one.messages for one in some], [one.usual for one in some]
    )
    return [_surge(row) for row in rows]


async def followed(tx: Transaction, workspace_id: str) -> list[Surge]:
    """Those that are open, and those that were ended while they were loud and have not been calm since."""
    return [_surge(row) for row in await tx.fetch(_FOLLOWED, workspace_id)]


async def load(tx: Transaction, workspace_id: str, surge_id: str) -> Surge | None:
    """One of them."""
    row = await tx.fetchrow(_LOAD, workspace_id, surge_id)
    return _surge(row) if row else None


async def page(
    tx: Transaction, workspace_id: str, *, before: str | None, is_open: bool | None, subject: str | None, limit: int
) -> list[Surge]:
    """Newest first."""
    return [_surge(row) for row in await tx.fetch(_PAGE, workspace_id, before, is_open, subject, limit)]


def _surge(row: asyncpg.Record) -> Surge:
    fields: dict[str, Any] = dict(row)
    return msgspec.convert(fields, Surge)
