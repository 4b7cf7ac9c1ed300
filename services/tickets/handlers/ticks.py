"""What happens when time has passed: each kind of timer, with the lock that its effect begins with."""

from collections.abc import Mapping
from typing import Final

from services.tickets.handlers import assigning, duties, owning, queues, staffing, states, structures
from services.tickets.handlers.ledger import Desk
from services.tickets.store import assignments, staff, tickets
from shared.db import plans
from shared.db.plans import Plan, What
from shared.db.timers import Handler, Timer
from shared.db.transaction import Transaction
from shared.platform.store import teams

_OF_ASSIGNMENT: Final = frozenset({assigning.OFFER_TIMER, assigning.QUEUE_TIMER})
_OF_TEAM: Final = frozenset({duties.DUTY_TIMER, duties.HANDOVER_TIMER})
_OF_AGENT: Final = frozenset({queues.DRAIN_TIMER})


async def lock(tx: Transaction, timer: Timer) -> None:
    """The lock that whoever set the timer held: of the ticket, the team, the agent's load, or the plan."""
    if timer.kind in _OF_ASSIGNMENT:
        step = await assignments.load(tx, timer.subject)
        await tickets.lock_known(tx, [step.ticket_id] if step else [])
    elif timer.kind == states.SNOOZE_TIMER:
        await tickets.lock_known(tx, [timer.subject])
    elif timer.kind in _OF_TEAM:
        await teams.load(tx, timer.workspace_id, duties.team_of(timer.subject), lock=True)
    elif timer.kind in _OF_AGENT:
        await staff.roster(tx, teams=(), agents=[(timer.workspace_id, timer.subject)], now=await tx.now())
    elif timer.kind == plans.KIND:
        await plans.lock(tx, timer)


def handlers(desk: Desk) -> Mapping[str, Handler]:
    """The effect of each kind."""

    async def expire(tx: Transaction, timer: Timer) -> None:
        await owning.expire(tx, desk, timer.subject)

    async def escalate(tx: Transaction, timer: Timer) -> None:
        await states.escalate(tx, desk, timer.subject)

    async def wake(tx: Transaction, timer: Timer) -> None:
        await states.wake(tx, desk, timer.subject)

    async def drain(tx: Transaction, timer: Timer) -> None:
        await staffing.drain(tx, desk, timer.workspace_id, timer.subject)

    async def unload(tx: Transaction, timer: Timer) -> None:
        await staffing.unload(tx, desk, timer.workspace_id, timer.subject)

    async def turn(tx: Transaction, timer: Timer) -> None:
        await duties.turn(tx, desk, timer.workspace_id, timer.subject)

    async def hand_over(tx: Transaction, timer: Timer) -> None:
        await duties.hand_over(tx, desk, timer.workspace_id, timer.subject)

    async def carry_out(tx: Transaction, plan: Plan) -> What:
        return await structures.carry_out(tx, desk, plan)

    return {
        assigning.OFFER_TIMER: expire,
        assigning.QUEUE_TIMER: escalate,
        states.SNOOZE_TIMER: wake,
        queues.DRAIN_TIMER: drain,
        staffing.UNLOAD_TIMER: unload,
        duties.DUTY_TIMER: turn,
        duties.HANDOVER_TIMER: hand_over,
        plans.KIND: plans.effect(carry_out, ids=desk.ids, metrics=desk.metrics),
    }
