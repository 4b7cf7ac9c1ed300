"""Schedules on a floor: who is on duty as a test wants it, and changes of duty without waiting for their time."""

from datetime import datetime, timedelta
from typing import Any

from services.tickets.handlers import duties
from services.tickets.handlers.duties import DUTY_TIMER
from services.tickets.handlers.ticks import handlers, lock
from shared.db.scope import Workspace
from shared.db.timers import Timers
from tests.support.floor import HOME, Floor


async def schedule(floor: Floor, *, on: list[str], version: int | None = None, **parts: Any) -> None:
    """The team `care` has these on duty from an hour ago to an hour ahead."""
    document = crew(floor.database.clock.now(), on, **parts)
    await floor.act(lambda tx: duties.put(tx, floor.desk, HOME, "care", version=version, document=document))


async def reschedule(floor: Floor, *, on: list[str], **parts: Any) -> None:
    """As if its time had come: another crew, and the timer that notices is due."""
    async with floor.database.transaction(Workspace(HOME)) as tx:
        await tx.execute(
            "UPDATE platform.schedule SET document = document || $1", crew(floor.database.clock.now(), on, **parts)
        )
    await floor.rows("UPDATE tickets.timer SET due_at = now() WHERE kind = $1", DUTY_TIMER)


def crew(now: datetime, on: list[str], **parts: Any) -> dict[str, Any]:
    """A schedule by which these are on duty now."""
    span = {name: (now + timedelta(hours=hours)).isoformat() for name, hours in (("since", -1), ("until", 1))}
    return {"zone": "UTC", "covers": [{"by": one, **span} for one in on], **parts}


async def hurry(floor: Floor) -> None:
    """As if the time of every change and hand-over had come."""
    await floor.rows("UPDATE tickets.timer SET due_at = now() WHERE kind IN ('duty', 'handover')")
    await tick(floor)
    await tick(floor)


async def tick(floor: Floor) -> int:
    """Gives due timers their effect; how many there were."""
    return await Timers(floor.database, "tickets", handlers(floor.desk), lock=lock).step()


async def on_duty(floor: Floor) -> set[str]:
    """Who of the team counts as on duty."""
    rows = await floor.rows("SELECT agent_id FROM platform.team_member WHERE team_id = 'care' AND on_duty")
    return {row["agent_id"] for row in rows}


async def owners(floor: Floor) -> dict[str, str | None]:
    """Who owns each ticket."""
    return {row["id"]: row["owner_id"] for row in await floor.rows("SELECT id, owner_id FROM tickets.ticket")}
