"""Who owns a ticket: claimed, given back, handed over, accepted, declined, and what happens when nobody answers."""

from typing import Final

import msgspec

from services.tickets.domain.assignment import DECLINE_HOLDS, Assignment, Choice
from services.tickets.domain.refusals import AlreadyOwned, NotOffered, OfferPending
from services.tickets.domain.ticket import Ticket
from services.tickets.handlers import assigning
from services.tickets.handlers.access import actor_of
from services.tickets.handlers.acting import begin, check_active, check_yours
from services.tickets.handlers.changes import Changes
from services.tickets.handlers.ledger import Desk
from services.tickets.handlers.queues import fill
from services.tickets.handlers.rooms import check_room
from services.tickets.store import assignments, tickets
from shared.db.transaction import Transaction
from shared.errors import Invalid, NotFound
from shared.events.payload import SYSTEM
from shared.platform.store import teams
from shared.web.auth import Principal

GAVE_BACK: Final = "gave-back"
"""Why an assignment ended: its agent let go. Somebody who did is not offered the ticket again at once."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """To whom a ticket is handed over, and why."""

    reason: str
    team: str | None = None
    """None: the team stays."""
    agent: str | None = None
    """None: the least loaded of the team, or its queue."""
    override: bool = False
    """Although the agent is full or absent; for supervisors."""


async def claim(
    tx: Transaction, desk: Desk, who: Principal, ticket_id: str, *, agent: str, version: int, override: bool = False
) -> Ticket:
    """The agent takes a ticket that a queue owns, or that was offered to it; nothing when it owns it already."""
    changes, ticket = await begin(tx, desk, who, ticket_id, version=version)
    check_active(ticket)
    if ticket.owner == agent:
        return ticket
    if ticket.owner is not None:
        raise AlreadyOwned(f"agent {ticket.owner} owns the ticket", owner=ticket.owner)
    step = changes.current(ticket_id)
    actor = actor_of(who)
    if step is not None and step.state == "offered":
        if step.agent != agent:
            raise _pending(step)
        assigning.accept(changes, step, actor)
    else:
        await changes.lock_roster(teams=(), agents=[(ticket.workspace_id, agent)])
        check_room(changes, who, agent, override=override)
        choice = Choice(agent=agent, strategy="claimed", candidates=())
        assigning.offer(changes, ticket_id, choice, actor, accepts=True)
    await changes.flush()
    return changes[ticket_id]


async def release(
    tx: Transaction, desk: Desk, who: Principal, ticket_id: str, *, version: int, reason: str | None = None
) -> Ticket:
    """The owner gives the ticket back: to another member with room, or to the queue."""
    changes, ticket = await begin(tx, desk, who, ticket_id, version=version)
    check_active(ticket)
    if ticket.owner is None:
        return ticket
    check_yours(who, ticket.owner)
    workspace, owner = ticket.workspace_id, ticket.owner
    await changes.lock_roster(teams=[(workspace, ticket.team)], agents=[(workspace, owner)])
    declined = await _declined(tx, ticket_id)
    actor = actor_of(who)
    assigning.unassign(changes, ticket_id, actor, reason=GAVE_BACK)
    assigning.assign(changes, ticket_id, actor, declined=declined | {owner}, reason=reason)
    await fill(changes, workspace, owner)
    await changes.flush()
    return changes[ticket_id]


async def transfer(
    tx: Transaction, desk: Desk, who: Principal, ticket_id: str, *, version: int, target: Target
) -> Ticket:
    """Hands the ticket over to a team, an agent, or an agent of a team; the reason goes into its timeline."""
    changes, ticket = await begin(tx, desk, who, ticket_id, version=version)
    check_active(ticket)
    check_yours(who, ticket.owner)
    if target.team is None and target.agent is None:
        raise Invalid("name a team or an agent", errors=[{"pointer": "#/team", "detail": "a team or an agent"}])
    workspace, actor = ticket.workspace_id, actor_of(who)
    team = target.team or ticket.team
    if target.team is not None and await teams.load(tx, workspace, target.team) is None:
        raise NotFound(f"there is no team {target.team}")
    step = changes.current(ticket_id)
    before = step.agent if step else None
    if team == ticket.team and target.agent is not None and target.agent == before:
        return ticket
    agents = {(workspace, agent) for agent in (before, target.agent) if agent is not None}
    await changes.lock_roster(teams=[(workspace, team)], agents=agents)
    if target.agent is not None and target.agent != before:
        check_room(changes, who, target.agent, team=team, override=target.override)
    itself = target.agent == who.agent_id
    assigning.transfer(changes, ticket_id, actor, reason=target.reason, team=team, agent=target.agent, accepts=itself)
    if before is not None:
        await fill(changes, workspace, before)
    await changes.flush()
    return changes[ticket_id]


async def accept(tx: Transaction, desk: Desk, who: Principal, ticket_id: str, *, agent: str, version: int) -> Ticket:
    """The agent takes what it was offered."""
    changes, ticket = await begin(tx, desk, who, ticket_id, version=version)
    if ticket.owner == agent:
        return ticket
    assigning.accept(changes, _offered(changes, ticket_id, agent), actor_of(who))
    await changes.flush()
    return changes[ticket_id]


async def decline(
    tx: Transaction, desk: Desk, who: Principal, ticket_id: str, *, agent: str, version: int, reason: str | None
) -> Ticket:
    """The agent does not take what it was offered: the next one is asked."""
    changes, _ = await begin(tx, desk, who, ticket_id, version=version)
    step = _offered(changes, ticket_id, agent)
    await _refuse(changes, step, who, expired=False, reason=reason)
    return changes[ticket_id]


async def expire(tx: Transaction, desk: Desk, assignment_id: str) -> None:
    """An offer's time is over, by the database's clock: the next one is asked. Nothing when it was answered."""
    step = await assignments.load(tx, assignment_id)
    if step is None or step.ended_at is not None:
        return
    locked = (await tickets.lock_known(tx, [step.ticket_id])).get(step.ticket_id)
    current = (await assignments.current(tx, [step.ticket_id])).get(step.ticket_id)
    now = await tx.now()
    is_due = current is not None and current.expires_at is not None and current.expires_at <= now
    if locked is None or current is None or current.id != assignment_id or not is_due:
        return
    changes = await assigning.gather(tx, desk.ids, locked)
    await _refuse(changes, current, None, expired=True)


async def _refuse(
    changes: Changes, step: Assignment, who: Principal | None, *, expired: bool, reason: str | None = None
) -> None:
    workspace, agent = step.workspace_id, step.agent
    agents = [(workspace, agent)] if agent is not None else []
    await changes.lock_roster(teams=[(workspace, changes[step.ticket_id].team)], agents=agents)
    declined = await _declined(changes.tx, step.ticket_id)
    actor = actor_of(who) if who else SYSTEM
    assigning.refuse(changes, step, actor, expired=expired, reason=reason)
    assigning.assign(changes, step.ticket_id, actor, declined=declined | {agent} if agent else declined)
    if agent is not None:
        await fill(changes, workspace, agent)
    await changes.flush()


async def _declined(tx: Transaction, ticket_id: str) -> frozenset[str]:
    found = await assignments.declined(tx, [ticket_id], within=DECLINE_HOLDS)
    return found.get(ticket_id, assigning.NOBODY)


def _offered(changes: Changes, ticket_id: str, agent: str) -> Assignment:
    step = changes.current(ticket_id)
    if step is None or step.state != "offered":
        raise NotOffered("there is no offer to answer")
    if step.agent != agent:
        raise _pending(step)
    return step


def _pending(step: Assignment) -> OfferPending:
    until = step.expires_at.isoformat() if step.expires_at else None
    return OfferPending(f"the ticket is offered to agent {step.agent}", agent=step.agent, expires_at=until)
