"""Rules that listen to tickets, and what they say."""

from typing import Any, Final

from services.router.handlers.triggering import Triggers
from shared.db.appending import decode_headers
from shared.db.pool import Database
from shared.db.scope import Batch, Scan
from shared.events import envelope
from shared.events.catalogue import ROUTING
from shared.events.tickets import TicketEvent, TicketUpdated
from tests.support import past
from tests.support.ticket_events import event, told

W: Final = "w1"


async def in_force(database: Database, *rules: Any) -> int:
    """A new version with these rules, from now on."""
    version = await past.keep(database, *rules)
    await past.activate(database, version)
    return version


async def happen(database: Database, *payloads: TicketEvent, by: Triggers | None = None) -> None:
    """A batch of ticket events comes to a router."""
    async with database.transaction(Batch(frozenset({W})), schema="router") as tx:
        await (by or Triggers()).on_tickets(tx, [event(one) for one in payloads])


async def routed(database: Database) -> list[Any]:
    """What was decided about tickets, in order."""
    async with database.transaction(Scan()) as tx:
        rows = await tx.fetch("SELECT headers, value FROM log.event WHERE topic = $1 ORDER BY id", ROUTING)
    return [envelope.decode(decode_headers(row["headers"]), row["value"]).data for row in rows]


async def applied(database: Database, **changes: Any) -> TicketEvent:
    """What tickets tells once it has applied the last decision."""
    [row] = await past.own(database, "SELECT event_id, version FROM router.awaited")
    return told(TicketUpdated, row["version"] + 1, workspace=W, ticket=changes, cause=row["event_id"])
