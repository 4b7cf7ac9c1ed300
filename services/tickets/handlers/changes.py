"""One transaction's changes to tickets: collected in memory, told as they happen, written in a few statements."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from services.tickets.domain import ticket as tickets_
from services.tickets.domain.assignment import Assignment, Key, Roster, Terms
from services.tickets.domain.ticket import Entry, Ticket
from services.tickets.store import assignments, entries, staff, tickets, timers
from services.tickets.store.timers import Timer
from shared.db.transaction import Transaction
from shared.events.payload import SYSTEM, Actor
from shared.events.routing import Chain, Decision
from shared.events.tickets import Home, TicketEvent, TicketFlagged
from shared.ids import Ids
from shared.platform.models import WorkspaceSettings
from shared.platform.store import workspaces


class Cause(NamedTuple):
    """What led to something: an event or a request, and the trace that it is part of."""

    id: str | None
    traceparent: str | None


class Changes:
    """What this transaction does to the tickets whose locks it holds. Nothing is written before `flush`."""

    def __init__(self, tx: Transaction, ids: Ids, *, now: datetime, cause: str | None = None) -> None:
        self.tx = tx
        self.ids = ids
        self.now = now
        """The database's time."""
        self.cause = cause
        self.chain: Chain | None = None
        """The decisions of rules that lead to what is done now."""
        self.roster = Roster({}, {}, {}, now=now)
        """Who may be given work; set before anything is assigned."""
        self.settings: Mapping[str, WorkspaceSettings] = {}
        """Of the workspaces whose teams may be given something."""
        self._tickets: dict[str, Ticket] = {}
        self._before: dict[str, Ticket | None] = {}
        self._told: dict[str, Home] = {}
        self._entries: list[Entry] = []
        self._current: dict[str, Assignment] = {}
        self._assignments: dict[str, Assignment] = {}
        self._stored: set[str] = set()
        self._timers: list[Timer] = []
        self._is_flushed = False

    # -- tickets ------------------------------------------------------------------------------------------------

    def adopt(self, *locked: Ticket) -> None:
        """Takes in tickets as they were read under their locks."""
        for ticket in locked:
            self._tickets[ticket.id] = ticket
            self._before[ticket.id] = ticket
            self._told[ticket.id] = Home(team=ticket.team, owner=ticket.owner)

    def open(self, ticket: Ticket) -> None:
        """Takes in a ticket that does not exist yet."""
        self._tickets[ticket.id] = ticket
        self._before[ticket.id] = None

    def __getitem__(self, ticket_id: str) -> Ticket:
        return self._tickets[ticket_id]

    @property
    def held(self) -> list[str]:
        """The tickets that were taken in."""
        return list(self._tickets)

    def held_of(self, customer: str) -> list[str]:
        """The tickets that were taken in, of one customer."""
        return [ticket.id for ticket in self._tickets.values() if ticket.customer_id == customer]

    def __contains__(self, ticket_id: str) -> bool:
        return ticket_id in self._tickets

    def change(self, ticket_id: str, actor: Actor, change: str, **fields: Any) -> Ticket:
        """The ticket's next version."""
        ticket = self._tickets[ticket_id] = tickets_.changed(self._tickets[ticket_id], actor, change, **fields)
        return ticket

    def amend(self, ticket_id: str, **fields: Any) -> None:
        """Facts that follow from a change that this transaction has made already: no version of their own."""
        self._tickets[ticket_id] = msgspec.structs.replace(self._tickets[ticket_id], **fields)

    def record(self, ticket_id: str, kind: str, actor: Actor, **references: Any) -> int:
        """The next line of its timeline; returns its place."""
        self._tickets[ticket_id], entry = tickets_.record(self._tickets[ticket_id], kind, actor, **references)
        self._entries.append(entry)
        return entry.seq

    def emit(self, event: type[TicketEvent], ticket_id: str, actor: Actor, **fields: Any) -> None:
        """Tells the ticket's topic, with the ticket as it is now."""
        ticket = self._tickets[ticket_id]
        home = Home(team=ticket.team, owner=ticket.owner)
        told, self._told[ticket_id] = self._told.get(ticket_id), home
        payload = event(
            workspace_id=ticket.workspace_id,
            ticket=tickets_.view(ticket),
            actor=actor,
            at=self.now,
            cause=self.cause,
            chain=self.chain,
            came_from=told if told != home else None,
            **fields,
        )
        self.tx.emit(payload, key=ticket_id)

    def because(self, cause: Cause) -> None:
        """What is told from here on is its doing."""
        self.cause, self.tx.traceparent = cause

    def flag(self, ticket_id: str, decision: Decision) -> None:
        """Tells what the rules of a decision have to tell, and notes it in the timeline."""
        for flag in decision.flags:
            self.record(ticket_id, "flagged", SYSTEM, data=msgspec.to_builtins(flag))
            self.emit(TicketFlagged, ticket_id, SYSTEM, flag=flag)

    def set_timer(self, timer: Timer) -> None:
        """Something to look at later."""
        self._timers.append(timer)

    # -- assignments --------------------------------------------------------------------------------------------

    def know(self, current: Iterable[Assignment]) -> None:
        """Takes in the current assignments of tickets, as they are stored."""
        for assignment in current:
            self._current[assignment.ticket_id] = assignment
            self._stored.add(assignment.id)

    def current(self, ticket_id: str) -> Assignment | None:
        """The ticket's current assignment."""
        return self._current.get(ticket_id)

    def step(self, assignment: Assignment) -> None:
        """A new assignment, or what became of one; the ticket's current one unless it has ended."""
        self._assignments[assignment.id] = assignment
        if assignment.ended_at is None:
            self._current[assignment.ticket_id] = assignment
        elif (current := self._current.get(assignment.ticket_id)) and current.id == assignment.id:
            del self._current[assignment.ticket_id]

    # -- writing ------------------------------------------------------------------------------------------------

    async def lock_roster(
        self, *, teams: Collection[Key], agents: Iterable[Key] = (), terms: Mapping[Key, Terms] | None = None
    ) -> None:
        """Locks the load of all who may gain or lose a ticket; the last locks that a transaction takes."""
        await self.load_settings({workspace for workspace, _ in teams})
        self.roster = await staff.roster(self.tx, teams=set(teams), agents=set(agents), terms=terms, now=self.now)

    async def load_settings(self, names: Collection[str]) -> None:
        """Reads the settings of workspaces of which they are not known yet."""
        unknown = set(names) - self.settings.keys()
        if unknown:
            self.settings = {**self.settings, **await workspaces.settings_of(self.tx, unknown)}

    async def flush(self) -> None:
        """Writes everything, in a constant number of statements."""
        created = [ticket for id_, ticket in self._tickets.items() if self._before[id_] is None]
        changed = [
            ticket
            for id_, ticket in self._tickets.items()
            if (before := self._before[id_]) is not None and before is not ticket
        ]
        # Those that end come first: a customer has one open ticket, a ticket one current assignment.
        ended = [ticket for ticket in changed if not ticket.is_active]
        tickets.save(self.tx, ended)
        if ended or self._is_flushed:
            await self.tx.flush()
        self._is_flushed = True
        tickets.save(self.tx, [ticket for ticket in changed if ticket.is_active])
        tickets.insert(self.tx, created)
        await tickets.relabel(
            self.tx,
            created=created,
            changed=[ticket for ticket in changed if _labels(ticket) != _labels(self._before[ticket.id])],
        )
        entries.append(self.tx, self._entries)
        steps = list(self._assignments.values())
        await assignments.save(self.tx, [step for step in steps if step.id in self._stored])
        assignments.insert(self.tx, [step for step in steps if step.id not in self._stored])
        staff.save(self.tx, self.roster)
        timers.set_many(self.tx, self._timers)
        self._settle()

    def _settle(self) -> None:
        self._before = dict(self._tickets)
        self._stored.update(self._assignments)
        self._entries, self._assignments, self._timers = [], {}, []
        self.roster.touched, self.roster.given = set(), set()


def _labels(ticket: Ticket | None) -> tuple[Any, ...] | None:
    if ticket is None or not ticket.is_active or not (ticket.tags or ticket.networks):
        return None
    return ticket.tags, ticket.networks, ticket.rank


def replaced(assignment: Assignment, **fields: Any) -> Assignment:
    """The assignment with some of its facts replaced."""
    return msgspec.structs.replace(assignment, **fields)
