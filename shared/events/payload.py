"""The base of every event payload, and the small values that several of them share."""

from datetime import datetime
from typing import Literal

import msgspec

ActorKind = Literal["agent", "bot", "customer", "system", "key"]


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An immutable value inside a payload; unknown fields are ignored when reading."""


class Payload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The data of one event type. Within a major version only optional fields are added."""

    workspace_id: str


class Actor(Value, frozen=True, kw_only=True):
    """Who did it. `id` is an agent's or a key's id; None for the system and for customers who are not known."""

    kind: ActorKind
    id: str | None = None
    name: str | None = None


SYSTEM = Actor(kind="system")


class Deadline(Value, frozen=True, kw_only=True):
    """Until when a kind of reply is possible; None: no limit is known."""

    kind: Literal["public", "private"]
    until: datetime | None = None
