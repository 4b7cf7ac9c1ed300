"""Decisions of triggers about tickets that are there: tags, priority, where they move, how long they wait."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from services.tickets.domain import ticket as tickets_
from services.tickets.domain.assignment import DECLINE_HOLDS, Key, Terms
from services.tickets.domain.ticket import Ticket
from services.tickets.handlers import assigning, moderating
from services.tickets.handlers.changes import Changes
from services.tickets.handlers.queues import DRAIN_TIMER
from services.tickets.handlers.states import SNOOZE_TIMER
from services.tickets.store import assignments, messages, staff, tickets
from services.tickets.store.timers import Timer
from shared.db.transaction import Transaction
from shared.events.envelope import Event
from shared.events.payload import SYSTEM
from shared.events.routing import TicketRouted
from shared.events.tickets import TicketUpdated
from shared.ids import Ids

REROUTED: Final = "rerouted"
"""Why an assignment ended: a rule moved the ticket."""


@dataclass(slots=True)
class _Moves:
    """Where tickets may move, and who has said lately that he does not want which."""

    teams: Mapping[Key, Terms] = field(default_factory=dict)
    declined: Mapping[str, frozenset[str]] = field(default_factory=dict)


async def on_triggered(tx: Transaction, events: Sequence[Event], ids: Ids) -> None:
    """Applies decisions to the versions that they saw; a ticket that has moved on is left alone."""
    decisions = [(event, event.data) for event in events if isinstance(event.data, TicketRouted)]
    changes = Changes(tx, ids, now=await tx.now())
    found = await tickets.lock_known(tx, {data.ticket_id for _, data in decisions})
    changes.adopt(*found.values())
    moving = [data for _, data in decisions if data.reroute is not None and _is_current(changes, data)]
    moves = await _prepare(changes, moving) if moving else _Moves()
    for event, data in decisions:
        if _is_current(changes, data):
            tx.traceparent = event.traceparent
            changes.cause, changes.chain = event.id, data.chain
            _apply(changes, data, event.id, moves)
    await _moderate(changes, decisions, found)
    await changes.flush()


async def _moderate(
    changes: Changes, decisions: Sequence[tuple[Event, TicketRouted]], locked: Mapping[str, Ticket]
) -> None:
    """What they want done to items, which is no matter of the ticket's version: it is asked for once all the same."""
    wanted = {one.message_id for _, data in decisions for one in data.decision.moderation if one.message_id is not None}
    stored = await messages.load(changes.tx, wanted, lock=True) if wanted else {}
    asked = [
        one
        for event, data in decisions
        for message_id in dict.fromkeys(each.message_id for each in data.decision.moderation)
        if message_id in stored and data.ticket_id in locked
        for one in moderating.by_rules(
            data.decision,
            stored[message_id],
            ticket_id=locked[data.ticket_id].id,
            cause=event.id,
            traceparent=event.traceparent,
            chain=data.chain,
        )
    ]
    await moderating.request(changes, asked)


def _is_current(changes: Changes, data: TicketRouted) -> bool:
    if data.ticket_id not in changes or changes[data.ticket_id].version != data.ticket_version:
        return False
    # An answer makes no version of its own, and ends the silence that a timer was about.
    return data.trigger != "timer" or changes[data.ticket_id].waiting_since is not None


async def _prepare(changes: Changes, moving: Iterable[TicketRouted]) -> _Moves:
    """Locks the load of all who may lose or get one of these tickets."""
    ids, goals, workspaces = [], set(), set()
    for data in moving:
        ids.append(data.ticket_id)
        goals.add((data.workspace_id, _team(changes, data)))
        workspaces.add(data.workspace_id)
    current = await assignments.current(changes.tx, ids)
    changes.know(current.values())
    teams = await staff.terms_of(changes.tx, workspaces)
    owners = {(step.workspace_id, step.agent) for step in current.values() if step.agent is not None}
    declined = await assignments.declined(changes.tx, ids, within=DECLINE_HOLDS)
    await changes.lock_roster(teams=goals, agents=owners, terms=teams)
    return _Moves(teams, declined)


def _team(changes: Changes, data: TicketRouted) -> str:
    wanted = data.reroute.team if data.reroute else None
    return wanted or changes[data.ticket_id].team


def _agent(data: TicketRouted) -> str | None:
    return data.reroute.agent if data.reroute else None


def _apply(changes: Changes, data: TicketRouted, event_id: str, moves: _Moves) -> None:
    ticket_id, rule = data.ticket_id, data.decision.rule
    fields = tickets_.raised(changes[ticket_id], data.decision) | _snooze(changes, data)
    moves_on = data.reroute is not None and _is_elsewhere(changes, data, moves)
    if not fields and not moves_on and not data.decision.flags:
        return
    told: dict[str, Any] = {"rule": rule, "trigger": data.trigger}
    if moves_on:
        told |= {"team": _team(changes, data), "agent": _agent(data)}
    if until := fields.get("snoozed_until"):
        told["until"] = until.isoformat()
        changes.set_timer(Timer(workspace_id=data.workspace_id, kind=SNOOZE_TIMER, subject=ticket_id, due_at=until))
    told = {name: value for name, value in told.items() if value is not None}
    changes.record(ticket_id, "triggered", SYSTEM, event_id=event_id, data=told)
    # What is told makes a version of its own, too: the same decision finds it passed when it comes again.
    if fields or data.decision.flags:
        changes.change(ticket_id, SYSTEM, "triggered", **fields)
    if fields:
        changes.emit(TicketUpdated, ticket_id, SYSTEM, changes=tickets_.shown(fields), reason=rule)
    changes.flag(ticket_id, data.decision)
    if moves_on:
        _move(changes, data, moves)


def _snooze(changes: Changes, data: TicketRouted) -> dict[str, Any]:
    """What lets a ticket wait; one that does already goes on doing so."""
    if data.snooze_minutes is None or changes[data.ticket_id].state not in ("open", "pending"):
        return {}
    return {"state": "snoozed", "snoozed_until": changes.now + timedelta(minutes=data.snooze_minutes)}


def _is_elsewhere(changes: Changes, data: TicketRouted, moves: _Moves) -> bool:
    """Whether the ticket has somewhere to go; a team that is gone since the rule was written is nowhere."""
    ticket, step = changes[data.ticket_id], changes.current(data.ticket_id)
    team, agent = _team(changes, data), _agent(data)
    if not ticket.is_active or (data.workspace_id, team) not in moves.teams:
        return False
    if team != ticket.team:
        return True
    # Within its team it moves to the one who is named, or not at all.
    choice = changes.roster.choose(data.workspace_id, team, prefer=agent, declined=_declined(data, moves))
    return agent is not None and choice.agent == agent and (step is None or step.agent != agent)


def _move(changes: Changes, data: TicketRouted, moves: _Moves) -> None:
    ticket, step = changes[data.ticket_id], changes.current(data.ticket_id)
    team = _team(changes, data)
    assigning.unassign(changes, ticket.id, SYSTEM, reason=REROUTED)
    if team != ticket.team:
        changes.change(ticket.id, SYSTEM, REROUTED, team=team)
    declined = _declined(data, moves)
    assigning.assign(changes, ticket.id, prefer=_agent(data), declined=declined, reason=data.decision.rule)
    if step is not None and step.agent is not None:
        # Whoever has room now is given what waits, by one timer for all that was taken from him.
        timer = Timer(workspace_id=ticket.workspace_id, kind=DRAIN_TIMER, subject=step.agent, due_at=changes.now)
        changes.set_timer(timer)


def _declined(data: TicketRouted, moves: _Moves) -> frozenset[str]:
    return moves.declined.get(data.ticket_id, assigning.NOBODY)
