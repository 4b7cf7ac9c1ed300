"""Topic `baton.surges.v1`: when much more comes in than usual, and when that is over; written by the router."""

from datetime import datetime
from typing import Literal

from shared.events.payload import Actor, Payload, Value


class Volume(Value, frozen=True, kw_only=True):
    """What came within the last `minutes`, and what usually comes; `usual` is None where too little is known."""

    messages: int
    minutes: int
    usual: float | None = None


class SurgeEvent(Payload, frozen=True, kw_only=True):
    """Something about a surge. `subject`: `workspace`, `channel:<id>`, `lane:<lane>` or `tag:<tag>`."""

    surge_id: str
    subject: str
    at: datetime
    volume: Volume
    actor: Actor
    policy_version: int
    """Of the policy by which it began."""


class SurgeBegan(SurgeEvent, frozen=True, kw_only=True):
    """Much more comes in than usual. What the policy says of it holds until `surge.ended`."""

    policy_author: str
    tags: tuple[str, ...] = ()
    priority: Literal["low", "normal", "high", "urgent"] | None = None
    team: str | None = None
    pause_bots: bool = False
    """Rules say nothing by themselves; a bot that reads this may want to do the same."""


class SurgeEnded(SurgeEvent, frozen=True, kw_only=True):
    """It is over: calm, lasting (this is usual now), ended by a person, or with its policy."""

    reason: Literal["calm", "lasting", "person", "policy"]
    began_at: datetime
    peak: int
    """The most messages that one window held."""
