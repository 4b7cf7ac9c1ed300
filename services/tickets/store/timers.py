"""Timers of tickets, many in one statement; a kind has one timer per subject, and setting it again moves it."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

import msgspec

from shared.db.transaction import Transaction
from shared.ids import digest


class Timer(msgspec.Struct, frozen=True, kw_only=True):
    """When something about a subject is due; whoever handles it checks whether it still is."""

    workspace_id: str
    kind: str
    subject: str
    due_at: datetime
    data: dict[str, Any] = {}


_SET: Final = """
INSERT INTO tickets.timer (id, workspace_id, kind, subject, due_at, data)
SELECT i, w, k, s, d, da::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[]) AS n(i, w, k, s, d, da)
ON CONFLICT (workspace_id, kind, subject) DO UPDATE SET due_at = EXCLUDED.due_at, data = EXCLUDED.data,
    version = tickets.timer.version + 1, claimed_until = NULL, attempts = 0
"""


def set_many(tx: Transaction, timers: Collection[Timer]) -> None:
    """Sets timers; of several for one kind and subject the last one counts."""
    unique = {(timer.workspace_id, timer.kind, timer.subject): timer for timer in timers}
    if not unique:
        return
    ordered = [unique[key] for key in sorted(unique)]
    tx.defer(
        _SET,
        [digest("tmr", timer.workspace_id, timer.kind, timer.subject) for timer in ordered],
        [timer.workspace_id for timer in ordered],
        [timer.kind for timer in ordered],
        [timer.subject for timer in ordered],
        [timer.due_at for timer in ordered],
        [msgspec.json.encode(timer.data).decode() for timer in ordered],
    )
