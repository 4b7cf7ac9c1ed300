"""Queues: who has room gets the oldest of the most urgent, in the transaction that makes the room."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec

from services.tickets.domain.assignment import DECLINE_HOLDS, Choice
from services.tickets.domain.refusals import QueueEmpty
from services.tickets.domain.ticket import Ticket
from services.tickets.handlers import assigning
from services.tickets.handlers.access import actor_of
from services.tickets.handlers.changes import Changes
from services.tickets.handlers.ledger import Desk
from services.tickets.handlers.rooms import check_room
from services.tickets.store import assignments, staff, tickets
from services.tickets.store.tickets import Wanted
from services.tickets.store.timers import Timer
from shared.db.transaction import Transaction
from shared.errors import NotFound
from shared.events.payload import SYSTEM
from shared.events.tickets import Candidate
from shared.platform.store import teams
from shared.web.auth import Principal

DRAIN_TIMER: Final = "drain"
MOST_AT_ONCE: Final = 50
"""How many tickets one transaction takes out of queues; a timer goes on with the rest."""

_SOON: Final = timedelta(seconds=1)
_PATIENCE: Final = 3


async def fill(changes: Changes, workspace: str, agent: str, *, again: bool = True) -> int:
    """Offers queued tickets to an agent with room, whose row of load is locked; returns how many.

    Tickets that are locked at this moment are left to a timer (`again`): this transaction waits for nobody, because
    it holds the last of all locks already.
    """
    member = changes.roster.find(workspace, agent)
    if member is None or member.obstacle() is not None:
        return 0
    wanted = Wanted(
        workspace_id=workspace,
        teams=(await teams.teams_of(changes.tx, workspace, [agent], on_duty=True))[agent],
        limit=min(member.capacity - member.load, MOST_AT_ONCE),
        agent=agent,
        within=DECLINE_HOLDS,
        without=changes.held,
    )
    given = await _take(changes, wanted)
    changes.roster.add_terms(await staff.terms_of(changes.tx, [workspace]))
    for ticket in given:
        choice = Choice(agent=agent, strategy="least-load", candidates=(_candidate(changes, workspace, agent),))
        assigning.offer(changes, ticket.id, choice, SYSTEM, reason="from-queue")
    rest = msgspec.structs.replace(wanted, limit=1, without=changes.held)
    if again and changes.roster.has_room(workspace, agent) and await tickets.peek_queued(changes.tx, rest):
        timer = Timer(workspace_id=workspace, kind=DRAIN_TIMER, subject=agent, due_at=changes.now + _SOON)
        changes.set_timer(timer)
    return len(given)


async def share_out(changes: Changes, workspace: str, team: str) -> bool:
    """Gives a team's queue to those who are on duty, whose rows of load are locked; whether there is more to do soon.

    What is locked at this moment is left for later, as `fill` does.
    """
    wanted = Wanted(workspace_id=workspace, teams=[team], limit=MOST_AT_ONCE, without=changes.held)
    waiting = [ticket.id for ticket in await _take(changes, wanted)]
    declined = await assignments.declined(changes.tx, waiting, within=DECLINE_HOLDS)
    for ticket_id in waiting:
        assigning.assign(changes, ticket_id, declined=declined.get(ticket_id, assigning.NOBODY), reason="from-queue")
    if not changes.roster.choose(workspace, team).agent:
        return False
    return bool(await tickets.peek_queued(changes.tx, msgspec.structs.replace(wanted, limit=1, without=changes.held)))


async def take_next(tx: Transaction, desk: Desk, who: Principal, team: str, agent: str, *, override: bool) -> Ticket:
    """Claims the oldest of a team's most urgent queued tickets; as many callers get as many different ones."""
    if await teams.load(tx, who.workspace_id, team) is None or not who.may_see(team=team, owner=None):
        raise NotFound(f"there is no team {team}")
    changes = Changes(tx, desk.ids, now=await tx.now())
    ticket = await _first(tx, Wanted(workspace_id=who.workspace_id, teams=[team], limit=1))
    if ticket is None:
        raise QueueEmpty(f"nothing waits in the queue of {team}")
    changes.adopt(ticket)
    changes.know((await assignments.current(tx, [ticket.id])).values())
    await changes.lock_roster(teams=(), agents=[(who.workspace_id, agent)])
    check_room(changes, who, agent, override=override)
    choice = Choice(agent=agent, strategy="next", candidates=())
    assigning.offer(changes, ticket.id, choice, actor_of(who), accepts=True)
    await changes.flush()
    return changes[ticket.id]


async def _first(tx: Transaction, wanted: Wanted) -> Ticket | None:
    found = await tickets.lock_queued(tx, wanted)
    if found:
        return found[0]
    # All that waits may just be locked by messages that arrive for it: here is nothing yet that others wait for.
    for ticket_id in await tickets.peek_queued(tx, msgspec.structs.replace(wanted, limit=_PATIENCE)):
        ticket = await tickets.lock(tx, ticket_id)
        if ticket.is_queued and ticket.team in wanted.teams:
            return ticket
    return None


async def _take(changes: Changes, wanted: Wanted) -> Sequence[Ticket]:
    if wanted.limit <= 0 or not wanted.teams:
        return ()
    given = await tickets.lock_queued(changes.tx, wanted)
    changes.adopt(*given)
    changes.know((await assignments.current(changes.tx, [ticket.id for ticket in given])).values())
    return given


def _candidate(changes: Changes, workspace: str, agent: str) -> Candidate:
    member = changes.roster.find(workspace, agent)
    load, capacity = (member.load, member.capacity) if member else (0, 0)
    return Candidate(agent=agent, load=load, capacity=capacity)
