"""Customers as rules ask for them: what a batch of events says of each in the end."""

from collections.abc import Iterable

import msgspec

from services.router.domain.facts import Customer
from services.router.domain.standing import key_of
from shared.events.customers import CustomerChanged
from shared.events.payload import Payload


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A customer at one version, and whose messages are theirs."""

    id: str
    workspace_id: str
    known: Customer
    accounts: frozenset[str]
    version: int


def latest(payloads: Iterable[Payload]) -> dict[str, Person]:
    """What is known of each customer after these events, by id; one that comes late among them changes nothing."""
    found: dict[str, Person] = {}
    for data in payloads:
        if not isinstance(data, CustomerChanged):
            continue
        before = found.get(data.customer.id)
        if before is None or before.version < data.customer.version:
            found[data.customer.id] = _person(data)
    return found


def _person(data: CustomerChanged) -> Person:
    customer = data.customer
    return Person(
        id=customer.id,
        workspace_id=data.workspace_id,
        known=Customer(attributes=customer.attributes, tags=customer.tags),
        accounts=frozenset(map(key_of, customer.accounts)),
        version=customer.version,
    )
