"""Who is there, on topic `baton.tickets.v1`: on duty by a team's schedule, available by their own word."""

from datetime import datetime
from typing import Literal

from shared.events.payload import Actor, Payload


class DutyChanged(Payload, frozen=True, kw_only=True):
    """People of a team came on duty by its schedule, or left it. Bots are always on duty, and not told."""

    team: str
    actor: Actor
    at: datetime
    on_duty: int
    """How many people of the team are on duty now."""
    came: tuple[str, ...] = ()
    went: tuple[str, ...] = ()


class AvailabilityChanged(Payload, frozen=True, kw_only=True):
    """An agent is available, away or offline, and was not before."""

    agent: str
    actor: Actor
    at: datetime
    availability: Literal["available", "away", "offline"]
    before: Literal["available", "away", "offline"]
