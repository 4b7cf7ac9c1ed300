"""Changes of duty begin rounds: rules are asked about the open tickets of whoever came or went, some at a time."""

from collections.abc import Iterable
from datetime import date
from typing import Final

from services.router.domain import rounds as rounds_
from services.router.store import rounds
from services.router.store.rounds import Leg
from shared.db.transaction import Transaction
from shared.events.envelope import Event

SCOPE: Final = "shift-round"


async def on_shifts(tx: Transaction, events: Iterable[Event]) -> None:
    """One round for each event that says something; an event that comes again begins none."""
    found = {event.id: (event, round_) for event in events if (round_ := rounds_.of_shift(event.id, event.data))}
    by_day: dict[tuple[str, date], list[str]] = {}
    for id_, (event, _) in found.items():
        by_day.setdefault((event.workspace_id, event.time.date()), []).append(id_)
    new: set[str] = set()
    for (workspace, _), ids in by_day.items():
        new |= await tx.once(SCOPE, ids, day=found[ids[0]][0].time, workspace_id=workspace)
    await rounds.go_on(tx, [Leg(event.workspace_id, round_) for id_, (event, round_) in found.items() if id_ in new])
