"""Bodies of tickets' routes, both ways; lists are written from plain values, these say what they hold."""

import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import Path
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from services.tickets.api.lease import ActorView, LeaseView, PresenceView
from services.tickets.domain.assignment import AssignmentState, Behind, Obstacle, Strategy
from shared.events.routing import Priority

_TAG: Final = re.compile(r"[^\s,\x00-\x1f\x7f]{1,64}")


def _tag(text: str) -> str:
    if not _TAG.fullmatch(text):
        raise ValueError("a tag has 1 to 64 characters, without spaces and commas")
    return text


def storable(text: str) -> str:
    """The text, unless the database cannot hold it."""
    if "\0" in text:
        raise ValueError("a text cannot hold NUL")
    return text


Id = Annotated[str, Path(min_length=1, max_length=128)]
Ref = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(storable)]
Tag = Annotated[str, AfterValidator(_tag)]
Words = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(storable)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(storable)]
Prose = Annotated[str, Field(min_length=1, max_length=20_000), AfterValidator(storable)]


class Body(BaseModel):
    """What a request carries: nothing but what is known."""

    model_config = ConfigDict(extra="forbid")


class CustomerRefView(BaseModel):
    """The person behind a ticket."""

    id: str
    name: str | None
    handle: str | None
    network: str | None


class TicketView(BaseModel):
    """A ticket at one version. `owner` null: the team's queue owns it."""

    id: str
    state: Literal["open", "pending", "snoozed", "resolved", "merged"]
    team: str
    owner: str | None
    offer: str | None = Field(description="The assignment that waits for acceptance")
    priority: Priority
    customer: CustomerRefView
    last_seq: int = Field(description="What a reply's `seen_seq` is compared with")
    version: int
    tags: list[str]
    networks: list[str]
    waiting_since: datetime | None = Field(description="The oldest message without an answer")
    snoozed_until: datetime | None
    resolved_at: datetime | None
    merged_into: str | None
    created_at: datetime
    updated_at: datetime


class ListedTicketView(TicketView):
    """A ticket in a list, with who is at it."""

    lease: LeaseView | None
    presence: list[PresenceView]


class CandidateView(BaseModel):
    """Somebody who was looked at for an assignment, at that moment."""

    agent: str
    name: str | None
    load: int
    capacity: int
    reason: Obstacle | Behind | None = Field(
        description="Why it was not this one; null for the chosen one. `full`: at capacity; `off-duty`: by the team's "
        "schedule; `declined`: or let the offer expire, or gave the ticket back, in the last quarter of an hour; "
        "`not-in-team`: a rule prefers this agent, who is not in the team (and whose load is not counted here). Who "
        "might have taken it was `not-preferred`, had `more-load`, or a `shorter-wait` since the last ticket"
    )


class AssignmentView(BaseModel):
    """A step in who owns a ticket; `agent` null: the team's queue."""

    id: str
    ticket_id: str
    team: str
    agent: str | None
    agent_name: str | None
    state: AssignmentState
    strategy: Strategy = Field(
        description="`least-load` and `preferred` chose among the candidates, of whom a ticket `from-queue` may have "
        "had one only; `claimed`, `next` and `manual`: a person did"
    )
    reason: str | None = Field(
        description="What led to it, or ended it: `nobody-eligible`, `from-queue`, `shift-ended`, `gave-back`, "
        "`transferred`, `merged`, `resolved`, `owner-…` and what the owner was, `stand-in-for-…` and the team that the "
        "decision names and nobody is on duty for, `instead-of-…` and that team where it is gone, or a person's words"
    )
    candidates: list[CandidateView]
    expires_at: datetime | None
    created_at: datetime
    ended_at: datetime | None


class OptionView(BaseModel):
    """A kind of reply that the network takes, and until when."""

    kind: Literal["public", "private"]
    until: datetime | None
    open: bool


class ConversationView(BaseModel):
    """A ticket's share in a conversation on a network."""

    id: str
    channel_id: str
    network: str
    kind: str
    latest_message_id: str
    permalink: str | None
    reply_options: list[OptionView]


class WholeTicketView(ListedTicketView):
    """A ticket with all that an answer needs."""

    assignment: AssignmentView | None
    conversations: list[ConversationView]


class LineView(BaseModel):
    """A line of a timeline: a message, an answer, a note, or what was done."""

    ticket_id: str
    seq: int
    kind: str
    actor: ActorView
    at: datetime
    moves: bool = Field(description="A customer's message or a finished answer")
    conversation_id: str | None
    message: dict[str, Any] | None = None
    reply: dict[str, Any] | None = None
    note: dict[str, Any] | None = None
    data: dict[str, Any] | None = None


class NoteView(BaseModel):
    """An internal text."""

    id: str
    seq: int
    text: str
    author: ActorView
    at: datetime


class ClaimBody(Body):
    """Options of a claim."""

    override: bool = Field(False, description="Beyond one's capacity; needs tickets:supervise")


class ReasonBody(Body):
    """Why something is done."""

    reason: Words | None = None


class TransferBody(Body):
    """To whom a ticket goes, and why."""

    team: Ref | None = None
    agent: Ref | None = None
    reason: Words
    override: bool = Field(False, description="Although the agent is full or absent; needs tickets:supervise")


class SnoozeBody(Body):
    """Until when."""

    until: AwareDatetime


class MergeBody(Body):
    """Where the ticket's story goes on."""

    into: Ref


class TagsBody(Body):
    """Tags to add and to remove."""

    add: list[Tag] = Field(default_factory=list, max_length=50)
    remove: list[Tag] = Field(default_factory=list, max_length=50)


class AmendBody(Body):
    """What may be set directly."""

    priority: Priority | None = None
    state: Literal["open", "pending"] | None = None


class NoteBody(Body):
    """An internal text, which no network ever sees."""

    text: Prose
