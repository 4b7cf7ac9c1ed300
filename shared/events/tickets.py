"""Topic `baton.tickets.v1`: everything about a ticket, in one order, written by tickets."""

from datetime import datetime
from typing import Literal

from shared.events.messages import Attachment, Message
from shared.events.payload import Actor, Payload, Value
from shared.events.routing import Chain, Flag, Priority

TicketState = Literal["open", "pending", "snoozed", "resolved", "merged"]
ReplyKind = Literal["public", "private"]
RevokeReason = Literal[
    "takeover", "override", "answer-detected", "linked", "unlinked", "merged", "preempted", "scope-changed"
]
HoldReason = Literal[
    "takeover",
    "cancelled",
    "turn-taken",
    "unknown-ahead",
    "message-arrived",
    "window-closed",
    "linked",
    "echo",
]
CollisionKind = Literal["thread-moved", "turn-taken", "lease-held", "fenced-off", "held", "native-answer"]


class CustomerRef(Value, frozen=True, kw_only=True):
    """The person behind a ticket, as far as a list needs to show."""

    id: str
    name: str | None = None
    handle: str | None = None
    network: str | None = None


class Account(Value, frozen=True, kw_only=True):
    """An account on a network. `scope`: the channel that its id holds for; empty: the whole network."""

    network: str
    external_id: str
    scope: str = ""


class TicketView(Value, frozen=True, kw_only=True):
    """A ticket as lists show it, at one version. `owner` is an agent's id or None: then the team queue owns it."""

    id: str
    state: TicketState
    team: str
    owner: str | None
    priority: Priority
    customer: CustomerRef
    last_seq: int
    version: int
    tags: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()


class Home(Value, frozen=True, kw_only=True):
    """To whom a ticket belongs: a team, and an agent or None for the team's queue."""

    team: str
    owner: str | None = None


class TicketEvent(Payload, frozen=True, kw_only=True):
    """Something happened to a ticket; `ticket` is the ticket after it, `at` the database's time."""

    ticket: TicketView
    actor: Actor
    at: datetime
    cause: str | None = None
    """Id of the event or request that led to this."""
    came_from: Home | None = None
    """To whom the ticket belonged until this event told of its move; None where it stayed."""
    chain: Chain | None = None
    """The decisions of rules that led to it, where it is their doing."""


class TicketCreated(TicketEvent, frozen=True, kw_only=True):
    """A ticket was opened, by the message that it carries."""

    message: Message | None = None
    accounts: tuple[Account, ...] = ()
    """All accounts of its customer; empty: the author of the message is the only one."""


class TicketUpdated(TicketEvent, frozen=True, kw_only=True):
    """A ticket changed: `changes` names the fields; `message` is there when a network item caused it."""

    changes: tuple[str, ...] = ()
    message: Message | None = None
    reason: str | None = None
    accounts: tuple[Account, ...] = ()
    """All accounts of its customer, where these are others than before."""


class TicketReopened(TicketEvent, frozen=True, kw_only=True):
    """A resolved ticket is open again."""

    message: Message | None = None
    reason: str | None = None
    accounts: tuple[Account, ...] = ()
    """All accounts of its customer; empty: the author of the message is the only one."""


class TicketFlagged(TicketEvent, frozen=True, kw_only=True):
    """A rule has something to tell about this ticket: to people, to an endpoint, or to both."""

    flag: Flag


class TicketMerged(TicketEvent, frozen=True, kw_only=True):
    """This ticket was merged into another; its conversations continue there."""

    into: str


class Candidate(Value, frozen=True, kw_only=True):
    """An agent who was looked at for an assignment, and why not chosen (None: eligible)."""

    agent: str
    load: int
    capacity: int
    reason: str | None = None


class AssignmentEvent(TicketEvent, frozen=True, kw_only=True):
    """A step of an assignment. `agent` None means the team's queue."""

    assignment_id: str
    team: str
    agent: str | None = None
    strategy: str = "least-load"
    reason: str | None = None


class AssignmentOffered(AssignmentEvent, frozen=True, kw_only=True):
    """Offered to an agent; capacity is reserved from now on."""

    candidates: tuple[Candidate, ...] = ()
    expires_at: datetime | None = None


class AssignmentAccepted(AssignmentEvent, frozen=True, kw_only=True):
    """The agent owns the ticket from this version on."""


class AssignmentDeclined(AssignmentEvent, frozen=True, kw_only=True):
    """The agent said no; the reserved capacity is free again."""


class AssignmentExpired(AssignmentEvent, frozen=True, kw_only=True):
    """The agent did not answer the offer in time."""


class AssignmentReleased(AssignmentEvent, frozen=True, kw_only=True):
    """The agent gave the ticket back, or it was taken away."""


class LeaseView(Value, frozen=True, kw_only=True):
    """The exclusive right to answer one scope (a customer, or one ticket)."""

    scope: str
    holder: Actor
    fence: int
    expires_at: datetime


class LeaseEvent(TicketEvent, frozen=True, kw_only=True):
    """Something happened to the lease that covers this ticket."""

    lease: LeaseView


class LeaseAcquired(LeaseEvent, frozen=True, kw_only=True):
    """Somebody holds the right to answer."""

    previous_expired: bool = False


class LeaseReleased(LeaseEvent, frozen=True, kw_only=True):
    """The holder let go, was idle, or the lease ended by itself. A waiting reply is left alone."""

    reason: Literal["released", "idle", "expired"] = "released"


class LeaseRevoked(LeaseEvent, frozen=True, kw_only=True):
    """The lease was taken away: whatever still waits under a fence up to `lease.fence` must not leave."""

    reason: RevokeReason
    by: Actor | None = None


class Turn(Value, frozen=True, kw_only=True):
    """A customer's message that a reply answers; `after` is the latest finished answer that its writer had seen."""

    message_id: str
    after: str | None = None


class Reply(Value, frozen=True, kw_only=True):
    """An outbound answer, with all that the notifier needs to send it or to refuse."""

    id: str
    seq: int
    author: Actor
    channel_id: str
    network: str
    conversation_id: str
    text: str
    kind: ReplyKind
    fence: int
    turns: tuple[Turn, ...]
    in_reply_to: str
    """Message id that is answered."""
    in_reply_to_external_id: str
    correlation_id: str
    recipient_external_id: str | None = None
    message_kind: str = "dm"
    attachments: tuple[Attachment, ...] = ()
    template: str | None = None
    override: bool = False
    window_until: datetime | None = None
    message_at: datetime | None = None
    """When the customer wrote what is answered: networks tell a reply inside their window from a later one by it."""
    hold_on_message: bool = False
    rule: str | None = None
    """The rule that wrote it."""
    acknowledges: bool = False
    """It takes no turn: it leaves only where nobody has answered, and whoever answers then answers first."""


class ReplyQueued(TicketEvent, frozen=True, kw_only=True):
    """A reply was accepted and waits for the notifier."""

    reply: Reply


class ReplyCancelled(TicketEvent, frozen=True, kw_only=True):
    """A request to the notifier: if this reply still waits, it must not leave."""

    reply_id: str
    reason: HoldReason


class ReplySettled(TicketEvent, frozen=True, kw_only=True):
    """What finally became of a reply, whoever found out."""

    reply_id: str
    state: Literal["sent", "failed", "held", "unknown"]
    external_id: str | None = None
    reason: str | None = None
    settled_by: Literal["notifier", "echo", "person"] = "notifier"
    acknowledges: bool = False
    """It took no turn: the customer still waits for an answer."""


class NoteAdded(TicketEvent, frozen=True, kw_only=True):
    """An internal note; it never leaves for a network."""

    note_id: str
    text: str


class DraftKept(TicketEvent, frozen=True, kw_only=True):
    """The text of a refused or held reply, kept for its author."""

    draft_id: str
    agent_id: str
    reason: str
    reply_id: str | None = None


class CollisionPrevented(TicketEvent, frozen=True, kw_only=True):
    """A second answer was refused, or stopped at the last hop."""

    collision_id: str
    kind: CollisionKind
    reply_id: str | None = None
    other: Actor | None = None


class CollisionOverridden(TicketEvent, frozen=True, kw_only=True):
    """A writer with the permission answered knowingly."""

    collision_id: str
    kind: CollisionKind
    reply_id: str | None = None
    other: Actor | None = None


class CollisionHappened(TicketEvent, frozen=True, kw_only=True):
    """Found afterwards: a turn has two answers (one of them from the network's own app)."""

    collision_id: str
    kind: CollisionKind
    reply_id: str | None = None
    message_id: str | None = None


class EchoMatched(TicketEvent, frozen=True, kw_only=True):
    """An outbound item of the network is our own reply; the notifier settles it if it was not yet."""

    reply_id: str
    message_id: str
    external_id: str


class AnswerDetected(TicketEvent, frozen=True, kw_only=True):
    """Somebody answered in the network's own app: it takes these turns."""

    message_id: str
    conversation_id: str
    turns: tuple[str, ...]
    """Ids of the customer's messages that are answered by it."""
