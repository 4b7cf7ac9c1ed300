"""Customers that turn out to be one person, and tickets that turn out to be one: linked, unlinked, merged."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from services.tickets.domain.refusals import AtHome, TicketMerged, WrongState
from services.tickets.domain.ticket import Ticket
from services.tickets.handlers import assigning, waiting
from services.tickets.handlers.access import actor_of, check_visible
from services.tickets.handlers.acting import check_version
from services.tickets.handlers.changes import Changes
from services.tickets.handlers.customers import joined, living, parted
from services.tickets.handlers.lease import revoke_scope
from services.tickets.handlers.ledger import Desk
from services.tickets.handlers.queues import fill
from services.tickets.store import assignments, customers, joining, messages, tickets
from services.tickets.store.customers import Customer, Identity
from shared.db.transaction import Transaction
from shared.errors import Conflict, NotFound
from shared.events.payload import Actor
from shared.events.tickets import RevokeReason, TicketUpdated
from shared.events.tickets import TicketMerged as TicketMergedEvent
from shared.web.auth import Principal

_ABSENT: Final = frozenset({"disabled", "away", "offline"})


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Why two accounts are taken for one person."""

    kind: str
    value: str | None = None
    note: str | None = None


async def merge(tx: Transaction, desk: Desk, who: Principal, ticket_id: str, *, into: str, version: int) -> Ticket:
    """Merges a ticket into another; their customers are linked, so that later messages follow.

    Merging two tickets into each other at once leaves one of them: the second caller finds them merged.
    """
    locked = await tickets.lock_many(tx, [ticket_id, into])
    source, target = locked[ticket_id], locked[into]
    check_visible(who, source)
    check_visible(who, target)
    if source.id != ticket_id:
        raise TicketMerged(f"ticket {ticket_id} was merged into {source.id}", into=source.id)
    check_version(source, version)
    if source.id == target.id:
        raise Conflict("a ticket is not merged into itself")
    if not target.is_active:
        raise WrongState(f"ticket {target.id} is {target.state}", state=target.state)
    if source.customer_id == target.customer_id:
        changes = await _gather(tx, desk, [source, target])
        await waiting.cancel_waiting(changes, [source.id], actor_of(who), reason="linked")
        await _absorb(changes, source.id, target.id, actor_of(who))
        return changes[target.id]
    # One person has one open ticket: if that is another one than the source, it is merged as well.
    held = await _active(tx, source.workspace_id, [source.customer_id])
    sources = {source.id: source} | {ticket.id: ticket for ticket in held.values()}
    changes = await _gather(tx, desk, [*sources.values(), target])
    evidence = {"kind": "ticket-merge", "value": f"{source.id} into {target.id}"}
    await _part(changes, source.workspace_id, source.customer_id, actor_of(who), reason="merged")
    await _relink(changes, source.customer_id, target.customer_id, who, evidence)
    for absorbed in sorted(sources):
        await _absorb(changes, absorbed, target.id, actor_of(who))
    return changes[target.id]


async def link(
    tx: Transaction, desk: Desk, who: Principal, customer_id: str, *, other: str, evidence: Evidence
) -> Customer:
    """All accounts of `other` become this customer's, and their open tickets one."""
    found = await customers.lock(tx, {customer_id, other})
    target, source = living(found, customer_id), living(found, other)
    if target.id == source.id:
        raise Conflict("a customer is not linked to itself")
    held = await _active(tx, target.workspace_id, [source.id, target.id])
    for ticket in held.values():
        check_visible(who, ticket)
    changes = await _gather(tx, desk, list(held.values()))
    actor = actor_of(who)
    await _part(changes, source.workspace_id, source.id, actor, reason="linked")
    await _relink(changes, source.id, target.id, who, msgspec.to_builtins(evidence))
    if source.id in held and target.id in held:
        await _absorb(changes, held[source.id].id, held[target.id].id, actor)
    elif source.id in held:
        await _tell(changes, held[source.id].id, actor, "linked", customer_id=target.id)
    elif target.id in held:
        await _tell(changes, held[target.id].id, actor, "linked")
    await changes.flush()
    return await _reload(tx, target.id)


async def unlink(
    tx: Transaction, desk: Desk, who: Principal, customer_id: str, *, network: str, external_id: str, scope: str | None
) -> Customer:
    """An account returns to the customer that it was created with; what was said stays where it was said."""
    wanted = (network, external_id, scope)
    identity = await _identity(tx, who.workspace_id, customer_id, wanted)
    if identity.home == customer_id:
        raise AtHome(f"the account {external_id} was created with customer {customer_id}")
    found = await customers.lock(tx, {customer_id, identity.home})
    living(found, customer_id)
    again = await _identity(tx, who.workspace_id, customer_id, wanted)
    held = await _active(tx, who.workspace_id, [customer_id])
    for ticket in held.values():
        check_visible(who, ticket)
    changes = await _gather(tx, desk, list(held.values()))
    actor = actor_of(who)
    await _part(changes, who.workspace_id, customer_id, actor, reason="unlinked")
    await joining.send_home(tx, again.account(who.workspace_id), of=customer_id, home=again.home)
    await parted(tx, customer_id, again.home, actor)
    for ticket in held.values():
        await _tell(changes, ticket.id, actor, "unlinked")
    await changes.flush()
    return await _reload(tx, customer_id)


async def _part(changes: Changes, workspace: str, customer: str, actor: Actor, *, reason: RevokeReason) -> None:
    # In the losing side's own order, before anything moves: the notifier reads it there.
    await revoke_scope(changes, {(workspace, customer): actor}, reason=reason)
    await waiting.cancel_waiting(changes, changes.held_of(customer), actor, reason="linked")


async def _relink(changes: Changes, source: str, target: str, who: Principal, evidence: dict[str, Any]) -> None:
    proof = {**evidence, "by": who.id, "at": changes.now.isoformat(), "from": source}
    await joining.relink(changes.tx, who.workspace_id, source, target, evidence=proof)
    await joined(changes.tx, source, target, actor_of(who))


async def _absorb(changes: Changes, source_id: str, target_id: str, actor: Actor) -> None:
    """The source's story goes on in the target, which is owned by whoever has the better claim to it."""
    source, target = changes[source_id], changes[target_id]
    workspace = source.workspace_id
    steps = [changes.current(id_) for id_ in (source_id, target_id)]
    agents = {(workspace, step.agent) for step in steps if step is not None and step.agent is not None}
    await changes.lock_roster(teams=[(workspace, target.team)], agents=agents)
    left = steps[0].agent if steps[0] else None
    if steps[0] is not None:
        assigning.withdraw(changes, steps[0], actor, reason="merged")
    changes.record(source_id, "merged", actor, data={"into": target_id})
    changes.change(source_id, actor, "merged", state="merged", merged_into=target_id, waiting_since=None)
    changes.emit(TicketMergedEvent, source_id, actor, into=target_id)
    # The source must be written as merged before the target may take over what made it unique.
    await changes.flush()
    count = await joining.move_story(
        changes.tx, source_id, target_id, after=changes[target_id].last_seq, customer=target.customer_id
    )
    changes.amend(target_id, last_seq=changes[target_id].last_seq + count)
    changes.record(target_id, "merged-from", actor, data={"ticket": source_id})
    waits = await messages.waiting(changes.tx, [target_id])
    await _tell(
        changes,
        target_id,
        actor,
        "merged",
        tags=tuple(dict.fromkeys((*target.tags, *source.tags))),
        networks=tuple(dict.fromkeys((*target.networks, *source.networks))),
        rank=min(target.rank, source.rank) if source.is_active else target.rank,
        waiting_since=waits[target_id],
    )
    _settle_owner(changes, target_id, actor, heir=left)
    if left is not None:
        await fill(changes, workspace, left)
    await changes.flush()


def _settle_owner(changes: Changes, target_id: str, actor: Actor, *, heir: str | None) -> None:
    target, step = changes[target_id], changes.current(target_id)
    if step is not None and step.agent is not None:
        member = changes.roster.find(target.workspace_id, step.agent)
        overloaded = member is not None and member.load > member.capacity
        if member is not None and member.obstacle() not in _ABSENT and not overloaded:
            return
        assigning.unassign(changes, target_id, actor, reason="owner-full" if overloaded else "owner-absent")
    if target.state == "open":
        assigning.assign(changes, target_id, actor, prefer=heir)


async def _tell(changes: Changes, ticket_id: str, actor: Actor, reason: str, **fields: Any) -> None:
    before = changes[ticket_id]
    changes.change(ticket_id, actor, reason, **fields)
    told = sorted(name for name, value in fields.items() if getattr(before, name) != value)
    owner = changes[ticket_id].customer_id
    accounts = (await customers.accounts(changes.tx, {(before.workspace_id, owner)})).get(owner, ())
    changes.emit(TicketUpdated, ticket_id, actor, changes=("customer", *told), reason=reason, accounts=accounts)


async def _gather(tx: Transaction, desk: Desk, held: Sequence[Ticket]) -> Changes:
    changes = Changes(tx, desk.ids, now=await tx.now())
    changes.adopt(*held)
    changes.know((await assignments.current(tx, [ticket.id for ticket in held])).values())
    return changes


async def _active(tx: Transaction, workspace: str, owners: Sequence[str]) -> dict[str, Ticket]:
    """By customer, whose rows are locked: the active ticket, locked too."""
    current = await tickets.lock_current(tx, [(workspace, owner) for owner in owners])
    return {ticket.customer_id: ticket for ticket in current.values() if ticket.is_active}


async def _identity(tx: Transaction, workspace: str, customer_id: str, wanted: tuple[str, str, str | None]) -> Identity:
    network, external_id, scope = wanted
    for identity in await customers.identities(tx, workspace, [customer_id]):
        if (identity.network, identity.external_id) == (network, external_id) and scope in (None, identity.scope):
            return identity
    raise NotFound(f"customer {customer_id} has no account {external_id} on {network}")


async def _reload(tx: Transaction, customer_id: str) -> Customer:
    customer = await customers.load(tx, customer_id)
    if customer is None:
        raise NotFound(f"there is no customer {customer_id}")
    return customer
