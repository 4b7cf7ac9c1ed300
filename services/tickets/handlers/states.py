"""What a ticket is: snoozed, resolved, open again; its priority, its tags, and its notes."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from services.tickets.domain.assignment import DECLINE_HOLDS
from services.tickets.domain.refusals import AnotherOpen, WrongState
from services.tickets.domain.ticket import RANK_OF, Ticket
from services.tickets.handlers import assigning
from services.tickets.handlers.access import actor_of, check_visible
from services.tickets.handlers.acting import begin, check_active
from services.tickets.handlers.changes import Changes
from services.tickets.handlers.ledger import Desk
from services.tickets.handlers.queues import fill
from services.tickets.store import assignments, customers, tickets
from services.tickets.store.timers import Timer
from shared.db.transaction import Transaction
from shared.errors import Invalid
from shared.events.payload import SYSTEM, Actor
from shared.events.routing import Priority
from shared.events.tickets import NoteAdded, TicketReopened, TicketUpdated
from shared.web.auth import Principal

SNOOZE_TIMER: Final = "snooze"
LONGEST_SNOOZE: Final = timedelta(days=366)
MOST_TAGS: Final = 50


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """An internal text in a ticket's timeline."""

    id: str
    seq: int
    text: str
    author: Actor
    at: datetime


async def snooze(
    tx: Transaction, desk: Desk, who: Principal, ticket_id: str, *, version: int, until: datetime
) -> Ticket:
    """Puts the ticket away until an instant of the database's clock, or until the customer writes."""
    changes, ticket = await begin(tx, desk, who, ticket_id, version=version)
    check_active(ticket)
    if not changes.now < until <= changes.now + LONGEST_SNOOZE:
        detail = "the instant must lie ahead, and within a year"
        raise Invalid(detail, errors=[{"pointer": "#/until", "detail": detail}])
    changes.record(ticket_id, "snoozed", actor_of(who), data={"until": until.isoformat()})
    _update(changes, ticket_id, actor_of(who), "snoozed", state="snoozed", snoozed_until=until)
    changes.set_timer(Timer(workspace_id=ticket.workspace_id, kind=SNOOZE_TIMER, subject=ticket_id, due_at=until))
    await changes.flush()
    return changes[ticket_id]


async def wake(tx: Transaction, desk: Desk, ticket_id: str) -> None:
    """A snooze is over; nothing when the ticket woke earlier or sleeps on."""
    ticket = (await tickets.lock_known(tx, [ticket_id])).get(ticket_id)
    now = await tx.now()
    if ticket is None or ticket.state != "snoozed" or ticket.snoozed_until is None or ticket.snoozed_until > now:
        return
    changes = await assigning.gather(tx, desk.ids, ticket)
    changes.record(ticket.id, "woken", SYSTEM)
    _update(changes, ticket.id, SYSTEM, "woken", reason="snooze-over", state="open", snoozed_until=None)
    if changes[ticket.id].is_queued:
        await changes.lock_roster(teams=[(ticket.workspace_id, ticket.team)])
        assigning.assign(changes, ticket.id)
    await changes.flush()


async def resolve(tx: Transaction, desk: Desk, who: Principal, ticket_id: str, *, version: int) -> Ticket:
    """Nothing is left to do: the capacity of its owner is free for what waits."""
    changes, ticket = await begin(tx, desk, who, ticket_id, version=version)
    if ticket.state == "resolved":
        return ticket
    actor, workspace, step = actor_of(who), ticket.workspace_id, changes.current(ticket_id)
    agent = step.agent if step else None
    if agent is not None:
        await changes.lock_roster(teams=(), agents=[(workspace, agent)])
    if step is not None and step.state != "accepted":
        assigning.withdraw(changes, step, actor, reason="resolved")
    elif agent is not None:
        changes.roster.release(workspace, agent)
    changes.record(ticket_id, "resolved", actor)
    _update(
        changes,
        ticket_id,
        actor,
        "resolved",
        state="resolved",
        resolved_at=changes.now,
        waiting_since=None,
        snoozed_until=None,
    )
    if agent is not None:
        await fill(changes, workspace, agent)
    await changes.flush()
    return changes[ticket_id]


async def reopen(tx: Transaction, desk: Desk, who: Principal, ticket_id: str, *, version: int) -> Ticket:
    """There is something left to do: its owner gets it back if there is room, else somebody else does."""
    changes, ticket = await begin(tx, desk, who, ticket_id, version=version)
    if ticket.is_active:
        return ticket
    other = await tickets.active_of(tx, ticket.workspace_id, ticket.customer_id)
    if other is not None:
        raise AnotherOpen(f"the customer's open ticket is {other}", ticket=other)
    actor, step = actor_of(who), changes.current(ticket_id)
    agents = [(ticket.workspace_id, step.agent)] if step and step.agent else []
    await changes.lock_roster(teams=[(ticket.workspace_id, ticket.team)], agents=agents)
    changes.record(ticket_id, "reopened", actor)
    changes.change(ticket_id, actor, "reopened", state="open", resolved_at=None)
    accounts = await customers.accounts(tx, {(ticket.workspace_id, ticket.customer_id)})
    changes.emit(TicketReopened, ticket_id, actor, reason="reopened", accounts=accounts.get(ticket.customer_id, ()))
    assigning.keep_or_reassign(changes, ticket_id, actor=actor)
    await changes.flush()
    return changes[ticket_id]


async def amend(
    tx: Transaction,
    desk: Desk,
    who: Principal,
    ticket_id: str,
    *,
    version: int,
    priority: Priority | None = None,
    state: str | None = None,
) -> Ticket:
    """Changes priority, or whether the ticket waits for something (`pending`) or not (`open`)."""
    changes, ticket = await begin(tx, desk, who, ticket_id, version=version)
    check_active(ticket)
    fields: dict[str, Any] = {}
    if priority is not None and RANK_OF[priority] != ticket.rank:
        fields["rank"] = RANK_OF[priority]
    if state is not None and state != ticket.state:
        if state not in ("open", "pending"):
            raise WrongState(f"a ticket does not become {state} this way", state=ticket.state)
        fields |= {"state": state, "snoozed_until": None}
    if not fields:
        return ticket
    told = {name: value for name, value in (("priority", priority), ("state", state)) if value is not None}
    changes.record(ticket_id, "changed", actor_of(who), data=told)
    _update(changes, ticket_id, actor_of(who), "changed", **fields)
    if changes[ticket_id].is_queued and not ticket.is_queued:
        await changes.lock_roster(teams=[(ticket.workspace_id, ticket.team)])
        assigning.assign(changes, ticket_id, actor_of(who))
    await changes.flush()
    return changes[ticket_id]


async def tag(
    tx: Transaction,
    desk: Desk,
    who: Principal,
    ticket_id: str,
    *,
    version: int,
    add: Collection[str],
    remove: Collection[str],
) -> Ticket:
    """Adds and removes tags; what is added and removed at once is removed."""
    changes, ticket = await begin(tx, desk, who, ticket_id, version=version)
    kept = [name for name in (*ticket.tags, *add) if name not in remove]
    tags = tuple(dict.fromkeys(kept))
    if tags == ticket.tags:
        return ticket
    if len(tags) > MOST_TAGS:
        raise Invalid(f"a ticket has at most {MOST_TAGS} tags", limit=MOST_TAGS)
    changes.record(ticket_id, "tagged", actor_of(who), data={"add": sorted(add), "remove": sorted(remove)})
    _update(changes, ticket_id, actor_of(who), "tagged", tags=tags)
    await changes.flush()
    return changes[ticket_id]


async def note(tx: Transaction, desk: Desk, who: Principal, ticket_id: str, *, text: str) -> Note:
    """Adds an internal text, which no network ever sees."""
    ticket = await tickets.lock(tx, ticket_id)
    check_visible(who, ticket)
    changes = Changes(tx, desk.ids, now=await tx.now())
    changes.adopt(ticket)
    actor, note_id = actor_of(who), desk.ids.new("note")
    seq = changes.record(ticket.id, "note", actor, data={"note_id": note_id, "text": text})
    changes.change(ticket.id, actor, "noted")
    changes.emit(NoteAdded, ticket.id, actor, note_id=note_id, text=text)
    await changes.flush()
    return Note(id=note_id, seq=seq, text=text, author=actor, at=changes.now)


_SHOWN: Final = {"rank": "priority", "team": "team", "owner": "owner"}


def _update(
    changes: Changes, ticket_id: str, actor: Actor, change: str, *, reason: str | None = None, **fields: Any
) -> None:
    before = changes[ticket_id]
    changes.change(ticket_id, actor, change, **fields)
    told = sorted(_SHOWN.get(name, name) for name, value in fields.items() if getattr(before, name) != value)
    changes.emit(TicketUpdated, ticket_id, actor, changes=tuple(told), reason=reason or change)


async def escalate(tx: Transaction, desk: Desk, assignment_id: str) -> None:
    """A ticket has waited in a queue for too long: whoever has room gets it, else its priority rises and it is told."""
    step = await assignments.load(tx, assignment_id)
    if step is None or step.ended_at is not None:
        return
    ticket = (await tickets.lock_known(tx, [step.ticket_id])).get(step.ticket_id)
    current = (await assignments.current(tx, [step.ticket_id])).get(step.ticket_id)
    if ticket is None or current is None or current.id != assignment_id:
        return
    changes = await assigning.gather(tx, desk.ids, ticket)
    await changes.load_settings([ticket.workspace_id])
    patience = timedelta(milliseconds=changes.settings[ticket.workspace_id].queue_wait_alert)
    later = Timer(
        workspace_id=ticket.workspace_id,
        kind=assigning.QUEUE_TIMER,
        subject=assignment_id,
        due_at=changes.now + patience,
    )
    if not ticket.is_queued:
        changes.set_timer(later)
        await changes.flush()
        return
    await changes.lock_roster(teams=[(ticket.workspace_id, ticket.team)])
    declined = await assignments.declined(tx, [ticket.id], within=DECLINE_HOLDS)
    assigning.assign(changes, ticket.id, declined=declined.get(ticket.id, assigning.NOBODY))
    if changes[ticket.id].is_queued:
        changes.record(ticket.id, "escalated", SYSTEM, data={"reason": "waiting-too-long"})
        rank = max(0, ticket.rank - 1)
        _update(changes, ticket.id, SYSTEM, "escalated", reason="waiting-too-long", rank=rank)
        changes.set_timer(later)
        tx.after_commit(desk.metrics.counter("baton_escalations_total", reason="waiting-too-long").inc)
    await changes.flush()
