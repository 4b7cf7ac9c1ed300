"""Topic `baton.tickets.v1`, where it is about what is done to items on their networks; written by tickets."""

from datetime import datetime
from typing import Literal

from shared.events.messages import Operation
from shared.events.payload import Actor, Payload, Value
from shared.events.routing import Chain
from shared.events.tickets import TicketView

ModerationOutcome = Literal["done", "failed", "unsupported"]


class Moderation(Value, frozen=True, kw_only=True):
    """Something to be done to an item on its network, with all that the notifier needs to do it."""

    id: str
    number: int
    """Grows with each that is asked for: of two that contradict each other on one item, the later one holds."""
    operation: Operation
    message_id: str
    channel_id: str
    network: str
    message_kind: str
    external_id: str
    own: bool = False
    """The item was written for the brand."""
    author_external_id: str | None = None
    rule: str | None = None
    """Which rule asked for it; None: a person did."""


class ModerationEvent(Payload, frozen=True, kw_only=True):
    """About an item that a ticket holds, in the ticket's order; or one that none does, because a rule ignored it."""

    moderation: Moderation
    actor: Actor
    at: datetime
    ticket: TicketView | None = None
    cause: str | None = None
    """Id of the event or request that led to this."""
    chain: Chain | None = None
    """The decisions of rules that led to it, where it is their doing."""


class ModerationRequested(ModerationEvent, frozen=True, kw_only=True):
    """A rule or a person wants something done to an item on its network; it waits for the notifier."""


class ModerationConcluded(ModerationEvent, frozen=True, kw_only=True):
    """What became of it. `unsupported`: the network can do no such thing."""

    outcome: ModerationOutcome
    reason: str | None = None
    code: str | None = None
