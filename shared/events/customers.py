"""`customer.changed.v1` on topic `baton.tickets.v1`: what a team knows of a person, in one order per customer."""

from datetime import datetime
from typing import Final

import msgspec

from shared.events.payload import Actor, Payload, Value
from shared.events.tickets import Account

ATTRIBUTE_NAME: Final = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}"
"""What an attribute may be called, as a pattern of the whole name."""


class CustomerView(Value, frozen=True, kw_only=True):
    """A person at one version. `merged_into`: whose accounts theirs are now."""

    id: str
    version: int
    name: str | None = None
    attributes: dict[str, str | int | float | bool] = msgspec.field(default_factory=dict)
    tags: tuple[str, ...] = ()
    accounts: tuple[Account, ...] = ()
    merged_into: str | None = None


class CustomerChanged(Payload, frozen=True, kw_only=True):
    """A customer's attributes, tags or accounts are others than before; `customer` is the customer after it."""

    customer: CustomerView
    actor: Actor
    at: datetime
    changes: tuple[str, ...] = ()
    """Of attributes, tags and accounts those that changed."""
    reason: str | None = None
    """`linked` or `unlinked` where accounts came or went."""
