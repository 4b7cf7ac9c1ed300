"""Follows the events of tickets and customers, so that rules can ask for them without asking anybody."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from services.router.domain import people
from services.router.domain.standing import NO_LANES, latest
from services.router.domain.surge import LONGEST
from services.router.store import awaited, customers, sayings, ticket_decisions, tickets
from shared.db.pool import Database
from shared.db.transaction import Transaction
from shared.events.envelope import Event
from shared.events.routing import Lane
from shared.log.background import persevering

EVERY: Final = timedelta(minutes=10)


async def on_tickets(tx: Transaction, events: Sequence[Event], lanes: Mapping[str, Lane] = NO_LANES) -> None:
    """A batch of events in one statement, or two; what comes again or late changes nothing. `lanes`: by message."""
    await tickets.put(tx, latest((event.data for event in events), lanes=lanes).values())
    await customers.put(tx, people.latest(event.data for event in events).values())


class Forgetting:
    """Lets go of closed tickets once none of their events can come again."""

    def __init__(self, database: Database, *, closed_for: timedelta) -> None:
        self._database = database
        self._closed_for = closed_for

    async def run(self) -> None:
        """Until cancelled."""
        await persevering(self._round)

    async def purge(self) -> int:
        """Forgets what can be forgotten now; returns how many tickets went."""
        gone = await tickets.purge(self._database, closed_for=self._closed_for)
        for part in (awaited, ticket_decisions):
            await part.purge(self._database, older_than=self._closed_for)
        # Whatever surges for longer is how things are.
        await sayings.purge(self._database, older_than=LONGEST + timedelta(days=1))
        return gone

    async def _round(self) -> None:
        await asyncio.sleep(EVERY.total_seconds())
        await self.purge()
