"""Steps of an assignment, told and counted: offered, accepted, queued, given back."""

from datetime import timedelta
from typing import Final

from services.tickets.domain.assignment import Assignment, Choice
from services.tickets.domain.ticket import Ticket
from services.tickets.handlers.changes import Changes, replaced
from services.tickets.store import assignments
from services.tickets.store.timers import Timer
from shared.db.transaction import Transaction
from shared.events.payload import SYSTEM, Actor
from shared.events.tickets import (
    AssignmentAccepted,
    AssignmentDeclined,
    AssignmentEvent,
    AssignmentExpired,
    AssignmentOffered,
    AssignmentReleased,
)
from shared.ids import Ids

OFFER_TIMER: Final = "offer"
QUEUE_TIMER: Final = "queue-wait"

NOBODY: Final[frozenset[str]] = frozenset()


async def gather(tx: Transaction, ids: Ids, ticket: Ticket) -> Changes:
    """What a timer does to one ticket, which is locked: its current assignment and its workspace's settings known."""
    changes = Changes(tx, ids, now=await tx.now())
    changes.adopt(ticket)
    changes.know((await assignments.current(tx, [ticket.id])).values())
    return changes


def assign(
    changes: Changes,
    ticket_id: str,
    actor: Actor = SYSTEM,
    *,
    prefer: str | None = None,
    declined: frozenset[str] = NOBODY,
    reason: str | None = None,
) -> None:
    """Gives a ticket that nobody owns to the least loaded member of its team, or to the team's queue."""
    ticket = changes[ticket_id]
    choice = changes.roster.choose(ticket.workspace_id, ticket.team, prefer=prefer, declined=declined)
    if choice.agent is None:
        queue(changes, ticket_id, choice, actor, reason=reason or "nobody-eligible")
    else:
        offer(changes, ticket_id, choice, actor, reason=reason)


def offer(
    changes: Changes,
    ticket_id: str,
    choice: Choice,
    actor: Actor,
    *,
    reason: str | None = None,
    accepts: bool = False,
) -> None:
    """Reserves the chosen agent's capacity, and hands the ticket over now (`accepts`) or once it is accepted."""
    ticket, agent = changes[ticket_id], choice.agent
    if agent is None:
        raise ValueError("nobody was chosen")
    _leave_queue(changes, ticket_id)
    changes.roster.reserve(ticket.workspace_id, agent)
    terms = changes.roster.terms(ticket.workspace_id, ticket.team)
    waits = terms.requires_acceptance and not accepts
    step = Assignment(
        id=changes.ids.new("asg"),
        workspace_id=ticket.workspace_id,
        ticket_id=ticket_id,
        team=ticket.team,
        agent=agent,
        state="offered" if waits else "accepted",
        strategy=choice.strategy,
        reason=reason,
        candidates=choice.candidates,
        expires_at=changes.now + timedelta(seconds=terms.offer_seconds) if waits else None,
        created_at=changes.now,
    )
    changes.step(step)
    changes.record(ticket_id, "offered" if waits else "assigned", actor, data=_summary(changes, step))
    changes.change(ticket_id, actor, "offered", offer=step.id)
    _tell_offer(changes, step, actor)
    if step.expires_at is not None:
        timer = Timer(workspace_id=step.workspace_id, kind=OFFER_TIMER, subject=step.id, due_at=step.expires_at)
        changes.set_timer(timer)
        return
    changes.change(ticket_id, actor, "assigned", owner=agent, offer=None)
    _tell(changes, AssignmentAccepted, step, actor)


def accept(changes: Changes, step: Assignment, actor: Actor) -> None:
    """The agent takes what was offered: from this version on it owns the ticket."""
    accepted = replaced(step, state="accepted", expires_at=None)
    changes.step(accepted)
    changes.record(step.ticket_id, "assigned", actor, data=_summary(changes, accepted))
    changes.change(step.ticket_id, actor, "accepted", owner=step.agent, offer=None)
    _tell(changes, AssignmentAccepted, accepted, actor)


def refuse(changes: Changes, step: Assignment, actor: Actor, *, expired: bool, reason: str | None = None) -> None:
    """The agent declines, or does not answer in time; the capacity is free again and the queue owns the ticket."""
    refused = replaced(step, state="expired" if expired else "declined", reason=reason, ended_at=changes.now)
    changes.step(refused)
    if step.agent is not None:
        changes.roster.release(step.workspace_id, step.agent)
    changes.record(step.ticket_id, refused.state, actor, data=_summary(changes, refused))
    changes.change(step.ticket_id, actor, refused.state, offer=None)
    _tell(changes, AssignmentExpired if expired else AssignmentDeclined, refused, actor)


def unassign(changes: Changes, ticket_id: str, actor: Actor, *, reason: str) -> None:
    """Takes the ticket from whoever owns it or was offered it; nothing when that is the team's queue."""
    step = changes.current(ticket_id)
    if step is None or step.agent is None:
        return
    ticket = changes[ticket_id]
    released = replaced(step, state="released", reason=reason, ended_at=changes.now)
    changes.step(released)
    if ticket.is_active:
        changes.roster.release(step.workspace_id, step.agent)
    changes.record(ticket_id, "released", actor, data=_summary(changes, released))
    changes.change(ticket_id, actor, "released", owner=None, offer=None)
    _tell(changes, AssignmentReleased, released, actor)


def withdraw(changes: Changes, step: Assignment, actor: Actor, *, reason: str) -> None:
    """Ends an offer or a wait that nobody needs to answer any more."""
    if step.agent is None:
        changes.step(replaced(step, ended_at=changes.now, reason=reason))
    else:
        unassign(changes, step.ticket_id, actor, reason=reason)


def queue(changes: Changes, ticket_id: str, choice: Choice, actor: Actor, *, reason: str) -> None:
    """The team's queue owns the ticket until somebody has room; waiting for too long is noticed."""
    ticket = changes[ticket_id]
    if (current := changes.current(ticket_id)) is not None and current.team == ticket.team:
        return
    _leave_queue(changes, ticket_id)
    step = Assignment(
        id=changes.ids.new("asg"),
        workspace_id=ticket.workspace_id,
        ticket_id=ticket_id,
        team=ticket.team,
        state="queued",
        strategy=choice.strategy,
        reason=reason,
        candidates=choice.candidates,
        created_at=changes.now,
    )
    changes.step(step)
    changes.record(ticket_id, "queued", actor, data=_summary(changes, step))
    changes.change(ticket_id, actor, "queued")
    _tell_offer(changes, step, actor)
    patience = timedelta(milliseconds=changes.settings[ticket.workspace_id].queue_wait_alert)
    timer = Timer(workspace_id=ticket.workspace_id, kind=QUEUE_TIMER, subject=step.id, due_at=changes.now + patience)
    changes.set_timer(timer)


def transfer(
    changes: Changes,
    ticket_id: str,
    actor: Actor,
    *,
    reason: str,
    team: str | None = None,
    agent: str | None = None,
    accepts: bool = False,
) -> None:
    """Hands the ticket over: to a team or within it, to an agent or to whoever of the team has the least."""
    ticket, step = changes[ticket_id], changes.current(ticket_id)
    team, before = team or ticket.team, step.agent if step else None
    changes.record(ticket_id, "transferred", actor, data={"team": team, "agent": agent, "reason": reason})
    unassign(changes, ticket_id, actor, reason="transferred")
    if team != ticket.team:
        changes.change(ticket_id, actor, "transferred", team=team)
    if agent is not None:
        choice = Choice(agent=agent, strategy="manual", candidates=())
        offer(changes, ticket_id, choice, actor, reason=reason, accepts=accepts)
    else:
        declined = frozenset({before}) if before is not None else NOBODY
        assign(changes, ticket_id, actor, declined=declined, reason=reason)


def keep_or_reassign(
    changes: Changes,
    ticket_id: str,
    *,
    prefer: str | None = None,
    reason: str | None = None,
    actor: Actor = SYSTEM,
) -> None:
    """After a reopening or a merge: the owner keeps the ticket if there is room, else somebody else gets it."""
    ticket = changes[ticket_id]
    workspace, roster = ticket.workspace_id, changes.roster
    step = changes.current(ticket_id)
    wanted = prefer if prefer is not None and roster.has_room(workspace, prefer, ticket.team) else None
    stays = step is not None and step.team == ticket.team and wanted in (None, step.agent)
    if stays and step is not None and step.agent is not None and roster.has_room(workspace, step.agent, ticket.team):
        roster.reserve(workspace, step.agent)
        return
    member = roster.find(workspace, step.agent) if step and step.agent else None
    obstacle = (member.obstacle(ticket.team) if member else "gone") or "moved"
    _detach(changes, ticket, actor, reason=f"owner-{obstacle}")
    assign(changes, ticket_id, actor, prefer=prefer, reason=reason)


def _detach(changes: Changes, ticket: Ticket, actor: Actor, *, reason: str) -> None:
    # Its load was given back when it was resolved: only the ownership ends here.
    step = changes.current(ticket.id)
    if step is None or step.agent is None:
        return
    released = replaced(step, state="released", reason=reason, ended_at=changes.now)
    changes.step(released)
    changes.record(ticket.id, "released", actor, data=_summary(changes, released))
    changes.change(ticket.id, actor, "released", owner=None, offer=None)
    _tell(changes, AssignmentReleased, released, actor)


def _leave_queue(changes: Changes, ticket_id: str) -> None:
    current = changes.current(ticket_id)
    if current is not None:
        changes.step(replaced(current, ended_at=changes.now))


def _tell(changes: Changes, event: type[AssignmentEvent], step: Assignment, actor: Actor) -> None:
    changes.emit(
        event,
        step.ticket_id,
        actor,
        assignment_id=step.id,
        team=step.team,
        agent=step.agent,
        strategy=step.strategy,
        reason=step.reason,
    )


def _tell_offer(changes: Changes, step: Assignment, actor: Actor) -> None:
    changes.emit(
        AssignmentOffered,
        step.ticket_id,
        actor,
        assignment_id=step.id,
        team=step.team,
        agent=step.agent,
        strategy=step.strategy,
        reason=step.reason,
        candidates=step.candidates,
        expires_at=step.expires_at,
    )


def _summary(changes: Changes, step: Assignment) -> dict[str, str]:
    member = changes.roster.find(step.workspace_id, step.agent) if step.agent else None
    facts = {
        "assignment_id": step.id,
        "team": step.team,
        "agent": step.agent,
        "agent_name": member.name if member else None,
        "strategy": step.strategy,
        "reason": step.reason,
    }
    return {name: value for name, value in facts.items() if value is not None}
