"""Rounds that are under way: timers that remember how far they have come, and the tickets that come next."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from services.router.domain.rounds import Round
from services.router.domain.standing import Standing
from services.router.store import tickets
from shared import ids
from shared.db.timers import Timer
from shared.db.transaction import Transaction

KIND: Final = "round"

_SET: Final = f"""
INSERT INTO router.timer AS t (id, workspace_id, kind, subject, due_at, data)
SELECT id, workspace_id, '{KIND}', subject, now(), data
FROM unnest($1::text[], $2::text[], $3::text[], $4::jsonb[]) AS given (id, workspace_id, subject, data)
ON CONFLICT (workspace_id, kind, subject) DO UPDATE SET id = excluded.id, due_at = excluded.due_at,
    data = excluded.data, version = t.version + 1, claimed_until = NULL, attempts = 0
"""
# Whoever follows these tickets locks them in the same order.
_OF_SURGE: Final = f"""
SELECT {tickets.COLUMNS} FROM router.ticket WHERE workspace_id = $1 AND is_open AND id > $2
    AND ($3 = 'workspace' OR subjects ? $3 OR tags ? $4) ORDER BY id LIMIT $5 FOR UPDATE
"""
_OF_SHIFT: Final = f"""
SELECT {tickets.COLUMNS} FROM router.ticket WHERE workspace_id = $1 AND is_open AND id > $2
    AND ($3::text IS NULL OR team_id = $3) AND ($4 OR owner_id = ANY ($5::text[])) ORDER BY id LIMIT $6 FOR UPDATE
"""


class Leg(NamedTuple):
    """A round at some place: all tickets up to `after` were asked about."""

    workspace_id: str
    round: Round
    after: str = ""


async def go_on(tx: Transaction, steps: Sequence[Leg]) -> None:
    """Somebody takes these next."""
    if steps:
        await tx.execute(
            _SET,
            [ids.digest("tmr", KIND, one.round.of, one.round.change, one.after) for one in steps],
            [one.workspace_id for one in steps],
            [one.round.of for one in steps],
            [{"round": msgspec.to_builtins(one.round), "after": one.after} for one in steps],
        )


def leg_of(timer: Timer) -> Leg:
    """Where a round goes on."""
    return Leg(timer.workspace_id, msgspec.convert(timer.data["round"], Round), timer.data["after"])


async def concerned(tx: Transaction, leg: Leg, *, limit: int) -> list[Standing]:
    """The next open tickets that the round concerns; they stay as they are until the transaction ends."""
    asked = leg.round
    if asked.surge is not None:
        subject = asked.surge.subject
        tag = subject.removeprefix("tag:") if subject.startswith("tag:") else None
        rows = await tx.fetch(_OF_SURGE, leg.workspace_id, leg.after, subject, tag, limit)
    else:
        is_whole, owners = asked.whole is not None, list(asked.owners)
        rows = await tx.fetch(_OF_SHIFT, leg.workspace_id, leg.after, asked.team, is_whole, owners, limit)
    return [tickets.standing(row) for row in rows]
