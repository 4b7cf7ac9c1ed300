"""Taking, keeping, giving back and taking away the right to answer; every ticket that it covers hears of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from services.tickets import NAME
from services.tickets.domain import lease as leases_
from services.tickets.domain.lease import (
    Ask,
    Ended,
    FencedOff,
    Lease,
    Refuse,
    Renew,
    Revoked,
    Take,
    TakeoverMode,
    Timing,
)
from services.tickets.domain.ticket import Ticket
from services.tickets.handlers.access import actor_of, check_visible
from services.tickets.handlers.changes import Changes
from services.tickets.handlers.entering import Room, enter
from services.tickets.handlers.grouping import Lanes
from services.tickets.handlers.ledger import Desk
from services.tickets.store import leases, tickets
from services.tickets.store.leases import Beat, Heartbeat, Taking
from shared.db.pool import Database
from shared.db.scope import Workspace
from shared.db.transaction import Transaction
from shared.errors import Forbidden, NotFound
from shared.events.payload import Actor
from shared.events.tickets import (
    LeaseAcquired,
    LeaseReleased,
    LeaseRevoked,
    RevokeReason,
    TicketUpdated,
)
from shared.platform.models import WorkspaceSettings
from shared.web.auth import Principal


class Grant(NamedTuple):
    """What becomes of the lease of a room, for whom."""

    room: Room
    step: Renew | Take
    who: Actor
    session: str | None = None


async def acquire(
    tx: Transaction, desk: Desk, principal: Principal, ticket_id: str, *, session: str | None
) -> dict[str, Any]:
    """The lease, or LeaseHeld; whoever can see at a glance that somebody else has it locks nothing."""
    who = actor_of(principal)
    glance = (await leases.of_tickets(tx, [ticket_id])).get(ticket_id)
    if glance and isinstance(leases_.acquire(glance.lease, who, session=session, at=glance.at), Refuse):
        check_visible(principal, await _load(tx, ticket_id))
        tx.after_commit(desk.metrics.counter("baton_lease_total", outcome="held").inc)
        raise leases_.held(glance.lease)
    room = await enter(tx, desk, principal, ticket_id)
    step = leases_.acquire(room.lease, who, session=session, at=room.at)
    if isinstance(step, Refuse):
        raise _held(room)
    return shown(await apply(room, step, who, session=session))


async def heartbeat(
    tx: Transaction, desk: Desk, principal: Principal, ticket_id: str, *, fence: int, active: bool
) -> dict[str, Any]:
    """A sign of life of the holder: keeps the fence, locks no ticket, tells nobody; FencedOff when it came too late."""
    beat = await leases.beat(tx, Heartbeat(ticket_id, principal.id, fence, active))
    outcome = "renewed" if beat else "fenced-off"
    tx.after_commit(desk.metrics.counter("baton_lease_total", outcome=outcome).inc)
    if beat is None:
        check_visible(principal, await _load(tx, ticket_id))
        raise FencedOff(f"fence {fence} is no longer yours", fence=fence)
    return shown(beat.lease, at=beat.at)


class Heart:
    """The heartbeats of all who hold a lease: those that come at once go out in one statement per workspace.

    Even a single one goes without waiting for a lock: others would have to wait behind it.
    """

    def __init__(self, database: Database, desk: Desk) -> None:
        self._database = database
        self._renewed = desk.metrics.counter("baton_lease_total", outcome="renewed")
        self._lanes: Lanes[Heartbeat, Beat] = Lanes(self._beat)

    async def beat(self, principal: Principal, ticket_id: str, *, fence: int, active: bool) -> dict[str, Any] | None:
        """The lease, kept; None where only `heartbeat` can tell what became of it, or has to wait for its lock."""
        asked = Heartbeat(ticket_id, principal.id, fence, active)
        beat = await self._lanes.ask(principal.workspace_id, asked)
        if beat is None:
            return None
        self._renewed.inc()
        return shown(beat.lease, at=beat.at)

    async def _beat(self, workspace_id: str, asked: Sequence[Heartbeat]) -> Sequence[Beat | None]:
        # The same lease's at the same moment are one sign of life.
        merged: dict[tuple[str, str, int], bool] = {}
        for ticket_id, holder_id, fence, active in asked:
            key = ticket_id, holder_id, fence
            merged[key] = active or merged.get(key, False)
        beats = [Heartbeat(*key, active) for key, active in merged.items()]
        async with self._database.transaction(Workspace(workspace_id), schema=NAME) as tx:
            alone = len(beats) == 1
            found = [await leases.beat(tx, beats[0], waits=False)] if alone else await leases.beat_many(tx, beats)
        kept = dict(zip(merged, found, strict=True))
        return [kept[one.ticket_id, one.holder_id, one.fence] for one in asked]


async def release(tx: Transaction, desk: Desk, principal: Principal, ticket_id: str, *, fence: int | None) -> None:
    """Gives the lease back; nothing when it ended already, FencedOff when somebody else has it by now."""
    room = await enter(tx, desk, principal, ticket_id)
    who, lease = actor_of(principal), room.lease
    if lease is None or lease.holder is None:
        return
    if not lease.is_held_by(who) or fence not in (None, lease.fence):
        if lease.is_live(room.at):
            raise FencedOff("the lease is no longer yours", fence=fence)
        return
    reason = "released" if lease.is_live(room.at) else leases_.ended_by(lease)
    await leases.end(tx, room.scope, revoked=False)
    room.tell(LeaseReleased, who, lease=leases_.view(lease), reason=reason)
    desk.count_lease(room.changes, "released")
    await room.changes.flush()


async def take_over(
    tx: Transaction, desk: Desk, principal: Principal, ticket_id: str, *, mode: TakeoverMode, session: str | None
) -> dict[str, Any]:
    """The lease, taken from a holder who is idle, was asked in time or is overruled; or the request for it, noted."""
    if mode == "force" and not principal.may("tickets:supervise"):
        raise Forbidden("a forced takeover needs tickets:supervise", missing=["tickets:supervise"])
    room = await enter(tx, desk, principal, ticket_id)
    who, timing = actor_of(principal), timing_of(room.settings)
    step = leases_.take_over(room.lease, who, session=session, at=room.at, timing=timing, mode=mode)
    match step:
        case Refuse():
            raise _held(room)
        case Ask():
            return await _ask(room, who, timing)
        case _:
            return shown(await apply(room, step, who, session=session))


async def apply(room: Room, step: Renew | Take, who: Actor, *, session: str | None) -> Lease:
    """Does what was decided about the lease, and tells it to all tickets that it covers."""
    await apply_all(room.tx, [Grant(room, step, who, session)])
    await room.changes.flush()
    if room.lease is None:
        raise LookupError("what was granted is there")
    return room.lease


async def apply_all(tx: Transaction, grants: Sequence[Grant]) -> None:
    """The same for leases of several scopes, in two statements; whoever changes their tickets writes the lines."""
    renewed, taken = [], []
    for grant in grants:
        step, before = grant.step, grant.room.lease
        if isinstance(step, Renew):
            renewed.append(grant)
            continue
        taken.append(grant)
        if step.before is not None and before is not None:
            _end(grant.room, before, step.before, grant.who)
    found = await leases.renew(tx, [grant.room.scope for grant in renewed])
    found |= await leases.take(tx, [_taking(grant) for grant in taken])
    for grant in grants:
        _granted(grant, found[grant.room.scope])


def _taking(grant: Grant) -> Taking:
    room = grant.room
    return Taking(
        scope=room.scope,
        workspace_id=room.ticket.workspace_id,
        who=grant.who,
        session=grant.session,
        timing=timing_of(room.settings),
        keeps_request=isinstance(grant.step, Take) and grant.step.keeps_request,
    )


def _granted(grant: Grant, lease: Lease) -> None:
    room, step = grant.room, grant.step
    room.lease = lease
    if isinstance(step, Renew):
        room.desk.count_lease(room.changes, "renewed")
        return
    room.tell(LeaseAcquired, grant.who, lease=leases_.view(lease), previous_expired=isinstance(step.before, Ended))
    room.desk.count_lease(room.changes, "taken-over" if isinstance(step.before, Revoked) else "acquired")


async def revoke_scope(changes: Changes, customers: Mapping[tuple[str, str], Actor], *, reason: RevokeReason) -> None:
    """Takes the leases of these (workspace, customer) away, whatever their scope; nothing where nobody has one.

    Each comes with the one who took it away. The customers' rows are locked, and what this transaction does to their
    tickets is not written yet.
    """
    by = {customer: actor for (_, customer), actor in customers.items()}
    covered = await leases.covered(changes.tx, list(customers))
    strangers = [ticket_id for ticket_id in covered if ticket_id not in changes]
    if strangers:
        changes.adopt(*(await tickets.lock_known(changes.tx, strangers)).values())
    found = await leases.lock(changes.tx, *by, *covered)
    live = {scope: lease for scope, lease in found.leases.items() if lease.is_live(found.at)}
    if live:
        await leases.end(changes.tx, *live, revoked=True)
    for ticket_id, customer in sorted(covered.items()):
        for scope in {ticket_id, customer} & live.keys():
            _revoke(changes, ticket_id, live[scope], by[customer], reason)


def shown(lease: Lease, *, at: datetime | None = None) -> dict[str, Any]:
    """The lease as its holder sees it. Clients count down `expires_in_ms` by their own clock.

    `at`: when it was read; left out, its last activity was just now.
    """
    seen = leases_.view(lease)
    left = max(seen.expires_at - (at or lease.active_at or seen.expires_at), timedelta(0))
    return {
        "fence": seen.fence,
        "holder": seen.holder,
        "expires_at": seen.expires_at,
        "expires_in_ms": int(left / timedelta(milliseconds=1)),
        "wanted_by": lease.wanted_by,
        "wanted_until": lease.wanted_until,
    }


def timing_of(settings: WorkspaceSettings) -> Timing:
    """A workspace's durations."""
    return Timing(
        ttl=timedelta(milliseconds=settings.lease_ttl),
        idle=timedelta(milliseconds=settings.idle_release),
        longest=timedelta(milliseconds=settings.lease_max),
        free_after=timedelta(milliseconds=settings.takeover_free_after),
        request=timedelta(milliseconds=settings.takeover_request),
    )


async def _ask(room: Room, who: Actor, timing: Timing) -> dict[str, Any]:
    lease = room.lease
    asked_before = lease is not None and lease.wanted_by is not None and lease.wanted_by.id == who.id
    if lease is None or not asked_before or lease.wanted_until is None or lease.wanted_until <= room.at:
        lease = await leases.ask(room.tx, room.scope, who, timing=timing)
        room.changes.emit(TicketUpdated, room.ticket_id, who, changes=("lease",), reason="takeover-requested")
        await room.changes.flush()
    room.desk.count_lease(room.changes, "requested")
    return {**shown(lease, at=room.at), "fence": None}


def _held(room: Room) -> leases_.LeaseHeld:
    if room.lease is None:
        raise LookupError("nobody is refused a lease that nobody has")
    room.desk.count_lease(room.changes, "held")
    return leases_.held(room.lease)


def _end(room: Room, lease: Lease, how: Ended | Revoked, by: Actor) -> None:
    if isinstance(how, Ended):
        room.tell(LeaseReleased, lease.holder or by, lease=leases_.view(lease), reason=how.reason)
        return
    for ticket_id in room.covered:
        _revoke(room.changes, ticket_id, lease, by, how.reason)


def _revoke(changes: Changes, ticket_id: str, lease: Lease, by: Actor, reason: RevokeReason) -> None:
    holder = lease.holder.id if lease.holder else None
    changes.record(ticket_id, "lease-revoked", by, data={"holder": holder, "fence": lease.fence, "reason": reason})
    changes.emit(LeaseRevoked, ticket_id, by, lease=leases_.view(lease), reason=reason, by=by)


async def _load(tx: Transaction, ticket_id: str) -> Ticket:
    ticket = await tickets.load(tx, ticket_id)
    if ticket is None:
        raise NotFound(f"there is no ticket {ticket_id}")
    return ticket
