"""What happened, in the one order and the one shape that stream, changes and webhooks share."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec
from msgspec import structs

from services.notifier.domain.event_types import LEFT, LeftTicket, TicketLeft
from shared import ids
from shared.events.customers import CustomerChanged
from shared.events.duties import AvailabilityChanged, DutyChanged
from shared.events.moderation import ModerationEvent
from shared.events.payload import Payload
from shared.events.surges import SurgeEvent
from shared.events.tickets import TicketEvent, TicketFlagged

ALL: Final = "*"


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, before it has its number. `data` is the event's JSON value."""

    workspace_id: str
    event_id: str
    type: str
    ticket_id: str | None
    team: str | None
    owner: str | None
    at: datetime
    data: bytes
    from_team: str | None = None
    from_owner: str | None = None
    addressed: Sequence[str] | None = None

    def numbered(self, number: int) -> "Entry":
        """The fact at its place in the feed."""
        return Entry(
            workspace_id=self.workspace_id,
            number=number,
            event_id=self.event_id,
            type=self.type,
            ticket_id=self.ticket_id,
            team=self.team,
            owner=self.owner,
            at=self.at,
            data=self.data,
            from_team=self.from_team,
            from_owner=self.from_owner,
            addressed=self.addressed,
        )


class Entry(msgspec.Struct, frozen=True):
    """A fact with its place: numbers of one workspace have no gaps, and grow in the order of commits."""

    workspace_id: str
    number: int
    event_id: str
    type: str
    ticket_id: str | None
    team: str | None
    owner: str | None
    at: datetime
    data: bytes
    from_team: str | None = None
    """The ticket moved with this event: the team that it left, and the agent, if one had it."""
    from_owner: str | None = None
    addressed: Sequence[str] | None = None
    """Whom it names, if it is for some in particular: teams, agents and endpoints as `address` writes them."""


_ENCODER: Final = msgspec.json.Encoder()


def fact_of(event_id: str, type_name: str, data: Payload) -> Fact | None:
    """An event as a fact; None for what the feed does not show."""
    match data:
        case TicketEvent():
            return _of_ticket(event_id, type_name, data)
        case ModerationEvent(ticket=ticket):
            fact = _of_no_ticket(event_id, type_name, data)
            if ticket is None:
                return fact
            return structs.replace(fact, ticket_id=ticket.id, team=ticket.team, owner=ticket.owner)
        case SurgeEvent() | CustomerChanged() | AvailabilityChanged():
            return _of_no_ticket(event_id, type_name, data)
        case DutyChanged(team=team):
            return _of_no_ticket(event_id, type_name, data, team=team)
        case _:
            return None


def _of_no_ticket(
    event_id: str,
    type_name: str,
    data: SurgeEvent | CustomerChanged | AvailabilityChanged | DutyChanged | ModerationEvent,
    team: str | None = None,
) -> Fact:
    # Surges, customers, agents and items that a rule ignored are of no team: whoever may see all of them hears of it.
    return Fact(
        workspace_id=data.workspace_id,
        event_id=event_id,
        type=type_name,
        ticket_id=None,
        team=team,
        owner=None,
        at=data.at,
        data=_ENCODER.encode(data),
    )


def _of_ticket(event_id: str, type_name: str, data: TicketEvent) -> Fact:
    return Fact(
        workspace_id=data.workspace_id,
        event_id=event_id,
        type=type_name,
        ticket_id=data.ticket.id,
        team=data.ticket.team,
        owner=data.ticket.owner,
        at=data.at,
        data=_ENCODER.encode(data),
        from_team=data.came_from.team if data.came_from else None,
        from_owner=data.came_from.owner if data.came_from else None,
        addressed=_addressed(data) if isinstance(data, TicketFlagged) else None,
    )


def address(kind: Literal["team", "agent", "endpoint"], id_: str) -> str:
    """How an entry names somebody."""
    return f"{kind}:{id_}"


def _addressed(data: TicketFlagged) -> list[str]:
    flag = data.flag
    teams = [address("team", flag.team)] if flag.team else []
    endpoints = [address("endpoint", flag.endpoint)] if flag.endpoint else []
    return [*teams, *(address("agent", agent) for agent in flag.agents), *endpoints]


def farewell(entry: Entry) -> Entry:
    """What those are told whom the ticket has left, at the same place; nothing of where it went."""
    data = TicketLeft(workspace_id=entry.workspace_id, ticket=LeftTicket(id=entry.ticket_id or ""))
    return Entry(
        workspace_id=entry.workspace_id,
        number=entry.number,
        event_id=ids.digest("evt", entry.event_id, LEFT),
        type=LEFT,
        ticket_id=entry.ticket_id,
        team=None,
        owner=None,
        at=entry.at,
        data=_ENCODER.encode(data),
    )


def body(entry: Entry) -> bytes:
    """The JSON object that says it: `{"type", "timestamp", "id", "sequence", "data"}`, everywhere the same bytes."""
    timestamp = entry.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    head = (
        f'{{"type":"{entry.type}","timestamp":"{timestamp}","id":"{entry.event_id}","sequence":{entry.number},"data":'
    )
    return head.encode() + entry.data + b"}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Whom an entry reaches. None stands for no limit; an owner sees tickets of other teams too.

    Whoever is named by an entry gets it although he asked for less, and never although he may see less.
    """

    types: frozenset[str] | None = None
    teams: frozenset[str] | None = None
    agent_id: str | None = None
    """Whose tickets pass although their team does not."""
    only_team: str | None = None
    only_owner: str | None = None
    follows: frozenset[str] = frozenset()
    """Addresses: of whom something is shown that is not of the team or the owner who was asked for."""
    endpoint: str | None = None
    """The address of an endpoint: what names it passes whatever its type."""

    def passes(self, *, type_name: str, team: str | None, owner: str | None) -> bool:
        """Whether it may be shown, and is wanted."""
        return self.wants(type_name) and self.reaches(team, owner)

    def shown(self, entry: Entry) -> Entry | None:
        """The entry, or the farewell of a ticket that left with it; None for what is not wanted, or not to be seen."""
        named = entry.addressed or ()
        if self.reaches(entry.team, entry.owner) or (
            not self.follows.isdisjoint(named) and self.sees(entry.team, entry.owner)
        ):
            return entry if self.wants(entry.type) or self.endpoint in named else None
        if entry.from_team is None or not self.reaches(entry.from_team, entry.from_owner) or not self.wants(LEFT):
            return None
        return farewell(entry)

    def wants(self, type_name: str) -> bool:
        """Whether this type was asked for."""
        return self.types is None or type_name in self.types

    def reaches(self, team: str | None, owner: str | None) -> bool:
        """Whether tickets of this team and owner are seen, and asked for."""
        if self.only_team is not None and team != self.only_team:
            return False
        if self.only_owner is not None and owner != self.only_owner:
            return False
        return self.sees(team, owner)

    def sees(self, team: str | None, owner: str | None) -> bool:
        """Whether tickets of this team and owner may be seen."""
        if self.teams is None or team in self.teams:
            return True
        return owner is not None and owner == self.agent_id


def chosen_types(names: Collection[str], *, known: Collection[str]) -> frozenset[str] | None:
    """The types that names and patterns such as `ticket.*` stand for; None for all. ValueError names a stranger.

    A name may leave out the version.
    """
    if ALL in names or not names:
        return None
    chosen: set[str] = set()
    for name in names:
        matches = {each for each in known if _matches(name, each)}
        if not matches:
            raise ValueError(name)
        chosen |= matches
    return frozenset(chosen)


def _matches(name: str, type_name: str) -> bool:
    if name.endswith(".*"):
        return type_name.startswith(name[:-1])
    return type_name == name or type_name.rpartition(".v")[0] == name
