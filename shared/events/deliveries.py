"""Topics `baton.deliveries.v1` (what became of what left) and `baton.presence.v1` (who looks at what)."""

from datetime import datetime
from typing import Literal

from shared.events.messages import Operation
from shared.events.moderation import ModerationOutcome
from shared.events.payload import Actor, Payload
from shared.events.tickets import HoldReason


class DeliveryEvent(Payload, frozen=True, kw_only=True):
    """What the notifier knows about one reply; `turns` are the customer's messages that it answers."""

    ticket_id: str
    reply_id: str
    turns: tuple[str, ...] = ()
    at: datetime


class ReplySent(DeliveryEvent, frozen=True, kw_only=True):
    """It left, and the network took it."""

    external_id: str | None = None


class ReplyFailed(DeliveryEvent, frozen=True, kw_only=True):
    """It did not leave: the network refused it for good."""

    reason: str
    code: str | None = None


class ReplyUnknown(DeliveryEvent, frozen=True, kw_only=True):
    """It may have left: nobody can say yet. It holds its turns. `ask_after`: when a person may settle it."""

    reason: str
    ask_after: datetime


class ReplyHeld(DeliveryEvent, frozen=True, kw_only=True):
    """It was stopped at the last hop and becomes a draft."""

    reason: HoldReason
    other: str | None = None
    """Id of the answer that stood in the way."""


class ModerationSettled(Payload, frozen=True, kw_only=True):
    """What the network made of an operation on an item."""

    moderation_id: str
    message_id: str
    operation: Operation
    at: datetime
    outcome: ModerationOutcome
    reason: str | None = None
    code: str | None = None


class PresenceChanged(Payload, frozen=True, kw_only=True):
    """Somebody began or ceased to view or compose. Advisory."""

    ticket_id: str
    team: str
    owner: str | None = None
    agent: Actor
    session: str
    level: Literal["viewing", "composing", "gone"]
    expires_at: datetime
