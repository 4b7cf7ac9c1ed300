"""What is asked to be done to items on their networks, by whom, and what became of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec

from services.tickets.domain.message import Stored
from shared.errors import Conflict, Invalid
from shared.events import moderation as events
from shared.events import routing
from shared.events.messages import Operation, Verb
from shared.events.payload import Actor
from shared.networks.port import Capabilities

State = Literal["requested", "done", "failed", "unsupported"]

CONTRARY: Final[Mapping[Operation, Operation]] = {"hide": "unhide", "unhide": "hide"}
VERBS: Final[Mapping[Operation, Verb]] = {"hide": "hidden", "unhide": "unhidden", "delete": "deleted"}
"""What a network would tell of it; a like changes nothing that is kept."""


class NotSupported(Invalid):
    """The network cannot do that to such an item."""

    code = "not-supported"
    title = "The network cannot do this"


class MessageDeleted(Conflict):
    """The message is gone: there is nothing left to do to it."""

    code = "message-deleted"
    title = "The message was deleted"


class Moderation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation on one item. An item has one of each kind that stands: it waits, or is done and not undone."""

    id: str
    number: int = 0
    workspace_id: str
    message_id: str
    operation: Operation
    actor: Actor
    rule: str | None = None
    """Which rule asked for it; None: the actor did."""
    state: State = "requested"
    reason: str | None = None
    code: str | None = None
    created_at: datetime | None = None
    settled_at: datetime | None = None


def asked_by(decision: routing.Decision, stored: Stored) -> tuple[routing.Moderation, ...]:
    """What a decision wants done to an item. Nothing to one that is gone, or that was understood only afterwards."""
    if stored.message.replayed or stored.state == "deleted":
        return ()
    return tuple(one for one in decision.moderation if one.message_id in (None, stored.id))


def check(operation: Operation, stored: Stored, capabilities: Capabilities) -> None:
    """Refused where the item is gone, or its network cannot do that."""
    message = stored.message
    if stored.state == "deleted":
        raise MessageDeleted(f"message {stored.id} was deleted")
    if not capabilities.moderates(operation, message.kind, own=message.direction == "out"):
        raise NotSupported(
            f"{message.network} cannot {operation} a {message.kind} {_WHOSE[message.direction]}",
            network=message.network,
            operation=operation,
            kind=message.kind,
            errors=[{"pointer": "#/operation", "detail": f"not on {message.network}"}],
        )


_WHOSE: Final = {"in": "of a customer", "out": "of the brand"}


def order(moderation: Moderation, stored: Stored) -> events.Moderation:
    """As the notifier gets it."""
    message = stored.message
    return events.Moderation(
        id=moderation.id,
        number=moderation.number,
        operation=moderation.operation,
        message_id=stored.id,
        channel_id=message.channel_id,
        network=message.network,
        message_kind=message.kind,
        external_id=message.external_id,
        own=message.direction == "out",
        author_external_id=message.author.external_id if message.author else None,
        rule=moderation.rule,
    )
