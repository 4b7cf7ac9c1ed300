"""What a team knows of customers: changed by version, kept for the audit, told in one order per customer."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from services.tickets.domain import customer as customers_
from services.tickets.domain.customer import Attribute
from services.tickets.domain.refusals import CustomerMerged
from services.tickets.handlers.access import actor_of
from services.tickets.store import customer_changes, customers
from services.tickets.store.customers import Customer
from shared.db.transaction import Transaction
from shared.errors import NotFound
from shared.events.customers import CustomerChanged, CustomerView
from shared.events.payload import Actor
from shared.web.auth import Principal
from shared.web.calls import stale

AMENDED: Final = "amended"


async def amend(
    tx: Transaction,
    who: Principal,
    customer_id: str,
    *,
    version: int,
    attributes: Mapping[str, Attribute | None],
    tags: Sequence[str] | None,
) -> Customer:
    """Sets some attributes and all tags; nothing happens where they are that already."""
    customer = living(await customers.lock(tx, {customer_id}), customer_id)
    if version != customer.version:
        raise stale(customer.version, **await _last(tx, customer))
    after = customers_.amended(customer.known, attributes=attributes, tags=tags)
    told = customers_.differences(customer.known, after)
    if not told:
        return customer
    saved = await customers.save(tx, customer_id, after)
    await _tell(tx, [saved], actor_of(who), AMENDED, {customer_id: told})
    return saved


async def joined(tx: Transaction, source_id: str, target_id: str, actor: Actor) -> None:
    """One customer's accounts have become another's, who inherits what is known; the first one keeps it, too: for when
    an account returns. Both are locked."""
    found = await customers.lock(tx, {source_id, target_id})
    source, target = found[source_id], found[target_id]
    after = customers_.inherited(target.known, source.known)
    told = customers_.differences(target.known, after)
    if told:
        target = await customers.save(tx, target_id, after)
    data = {source_id: {"accounts": {"into": target_id}}, target_id: {"accounts": {"of": source_id}} | told}
    await _tell(tx, [source, target], actor, "linked", data)


async def parted(tx: Transaction, customer_id: str, home_id: str, actor: Actor) -> None:
    """An account has returned from one customer to another, who knows what it knew; the first one keeps what it
    inherited. Both are locked."""
    found = await customers.lock(tx, {customer_id, home_id})
    data = {customer_id: {"accounts": {"into": home_id}}, home_id: {"accounts": {"of": customer_id}}}
    await _tell(tx, [found[customer_id], found[home_id]], actor, "unlinked", data)


def living(found: Mapping[str, Customer], customer_id: str) -> Customer:
    """One of these; NotFound, or CustomerMerged when its accounts are another customer's."""
    customer = found.get(customer_id)
    if customer is None:
        raise NotFound(f"there is no customer {customer_id}")
    if customer.merged_into is not None:
        raise CustomerMerged(
            f"customer {customer_id} was linked into {customer.merged_into}", into=customer.merged_into
        )
    return customer


async def _tell(
    tx: Transaction, changed: Sequence[Customer], actor: Actor, reason: str, data: Mapping[str, dict[str, Any]]
) -> None:
    accounts = await customers.accounts(tx, {(one.workspace_id, one.id) for one in changed})
    for one in changed:
        told = data[one.id]
        await customer_changes.keep(tx, one.workspace_id, one.id, one.version, actor=actor, reason=reason, data=told)
        view = CustomerView(
            id=one.id,
            version=one.version,
            name=one.name,
            attributes=dict(one.attributes),
            tags=one.tags,
            accounts=accounts.get(one.id, ()),
            merged_into=one.merged_into,
        )
        event = CustomerChanged(
            workspace_id=one.workspace_id,
            customer=view,
            actor=actor,
            at=await tx.now(),
            changes=tuple(sorted(told)),
            reason=None if reason == AMENDED else reason,
        )
        tx.emit(event, key=one.id)


async def _last(tx: Transaction, customer: Customer) -> dict[str, Any]:
    """Who made the version that is in force."""
    for line in await customer_changes.page(tx, customer.id, before=customer.version + 1, limit=1):
        return {
            "changed_by": msgspec.to_builtins(line.actor),
            "change": line.reason,
            "changed_at": line.at.isoformat(),
        }
    return {}
