"""Topic `baton.routing.v1`: where each message goes, decided by the router."""

from typing import Literal

from shared.events.messages import Message, Operation, Reaction, Verb
from shared.events.payload import Payload, Value

Priority = Literal["low", "normal", "high", "urgent"]
Lane = Literal["awareness", "engagement", "care", "sales", "product"]
"""What a message is about, as teams divide the work."""


OncePer = Literal["ticket", "message"]


class RuleReply(Value, frozen=True, kw_only=True):
    """What a rule says to the message by itself, in public or in private."""

    kind: Literal["public", "private"]
    text: str
    rule: str
    once_per: OncePer = "ticket"
    """How often this rule says it to one customer."""
    answers: bool = False
    """It takes the turn, as any answer does; otherwise the customer still waits for one."""


class Flag(Value, frozen=True, kw_only=True):
    """What a rule tells people, or an endpoint, about a ticket."""

    rule: str
    text: str | None = None
    team: str | None = None
    """All of this team."""
    agents: tuple[str, ...] = ()
    endpoint: str | None = None
    """It gets this also where it is not subscribed to it."""


class Moderation(Value, frozen=True, kw_only=True):
    """Something that is to be done to an item on its network, and the rule that asks for it."""

    operation: Operation
    rule: str
    message_id: str | None = None
    """None: the message that was routed."""


class Decision(Value, frozen=True, kw_only=True):
    """What the ruleset decided for one message event. `team` is None only when `outcome` is ignore."""

    id: str
    outcome: Literal["route", "ignore"]
    rule: str
    ruleset_version: int
    team: str | None = None
    priority: Priority = "normal"
    tags: tuple[str, ...] = ()
    agent: str | None = None
    """An agent to prefer, if eligible."""
    lane: Lane | None = None
    reason: str | None = None
    """Why it is ignored."""
    replies: tuple[RuleReply, ...] = ()
    """What is said to it by itself; one of each kind at most."""
    flags: tuple[Flag, ...] = ()
    """Who is told of the ticket."""
    moderation: tuple[Moderation, ...] = ()


class MessageRouted(Payload, frozen=True, kw_only=True):
    """A message event passed the router. `decision` is due for new inbound items only."""

    verb: Verb
    event_id: str
    """Id of the message event that was routed."""
    message: Message
    provider_version: str = ""
    reaction: Reaction | None = None
    decision: Decision | None = None
    reason: str | None = None
    """Why an item of ours was not delivered."""


class Reroute(Value, frozen=True, kw_only=True):
    """Where an open ticket moves. Without a team it stays in its own, for the agent who is named."""

    team: str | None = None
    agent: str | None = None
    """An agent of that team to prefer, if eligible."""


class Chain(Value, frozen=True, kw_only=True):
    """Decisions about a ticket of which each led to the next: how many, and the rules that held in them."""

    hops: int
    rules: tuple[str, ...] = ()


class TicketRouted(Payload, frozen=True, kw_only=True):
    """A trigger's decision about a ticket; dropped when the ticket has moved past `ticket_version`."""

    ticket_id: str
    ticket_version: int
    decision: Decision
    trigger: str | None = None
    """What the rules were asked about."""
    chain: Chain | None = None
    """The decisions that led to this one, and this one."""
    reroute: Reroute | None = None
    """None: it stays where it is."""
    snooze_minutes: int | None = None
    """For how long an open ticket waits, unless its customer writes."""
