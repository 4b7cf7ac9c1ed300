"""The exclusive right to answer: who gets it at once, who must ask or wait, and what becomes of its holder."""

from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from shared.errors import Conflict, Refusal
from shared.events.payload import Actor
from shared.events.tickets import LeaseView, RevokeReason

TakeoverMode = Literal["auto", "force"]
ReleaseReason = Literal["released", "idle", "expired"]


class LeaseHeld(Refusal):
    """Somebody else has the right to answer, and may not be pushed aside by the one who asks."""

    status = 423
    code = "lease-held"
    title = "Somebody else is answering"
    keeps_effects = True


class FencedOff(Conflict):
    """The caller's fence is not the current one: the lease ended, or somebody else has it."""

    code = "fenced-off"
    title = "The lease is no longer yours"
    keeps_effects = True


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How long things last in a workspace."""

    ttl: timedelta
    idle: timedelta
    """Without activity for so long, heartbeats no longer help."""
    longest: timedelta
    free_after: timedelta
    """From a holder who has been idle for so long, a takeover needs no asking."""
    request: timedelta
    """How long a holder has before the one who asked may take it, and how long that one has then."""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A lease's row under its lock. Without holder it only remembers the fence."""

    scope: str
    workspace_id: str
    fence: int
    holder: Actor | None = None
    session: str | None = None
    active_at: datetime | None = None
    expires_at: datetime | None = None
    idle: timedelta = timedelta(0)
    wanted_by: Actor | None = None
    wanted_until: datetime | None = None

    def is_live(self, at: datetime) -> bool:
        """Whether somebody has the right at this instant of the database's clock."""
        return self.holder is not None and self.expires_at is not None and self.expires_at > at

    def is_held_by(self, who: Actor) -> bool:
        """Whether its holder, past or present, is this one."""
        return self.holder is not None and self.holder.id == who.id


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What a new holder writes down about the one before: it ended by itself."""

    reason: ReleaseReason


class Revoked(msgspec.Struct, frozen=True, kw_only=True):
    """What a new holder writes down about the one before: it was taken away."""

    reason: RevokeReason


class Renew(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's own: the fence stays, nobody needs to hear of it."""


class Take(msgspec.Struct, frozen=True, kw_only=True):
    """The caller gets it under a new fence."""

    before: Ended | Revoked | None = None
    """None: nobody had it, or the caller did."""
    keeps_request: bool = False
    """Whether somebody's request for it stands: a holder does not shake it off by taking the lease anew."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """The holder is told that the caller wants it."""


class Refuse(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody else has it."""


FREE: Final = Take()


def acquire(lease: Lease | None, who: Actor, *, session: str | None, at: datetime) -> Renew | Take | Refuse:
    """What asking for the lease comes to. Another session of its holder gets a new fence: one screen answers."""
    if lease is None or lease.holder is None:
        return FREE
    if not lease.is_live(at):
        return Take(before=Ended(reason=ended_by(lease)))
    if lease.is_held_by(who):
        is_same = session is None or lease.session in (None, session)
        return Renew() if is_same else Take(keeps_request=True)
    if preempts(who, lease.holder):
        return Take(before=Revoked(reason="preempted"))
    return Refuse()


def take_over(
    lease: Lease | None, who: Actor, *, session: str | None, at: datetime, timing: Timing, mode: TakeoverMode
) -> Renew | Take | Ask | Refuse:
    """What a takeover comes to: free from the idle, asked for otherwise, unless it is forced. Bots only wait."""
    plain = acquire(lease, who, session=session, at=at)
    if not isinstance(plain, Refuse) or lease is None:
        return plain
    if mode == "force":
        return Take(before=Revoked(reason="takeover"))
    if who.kind != "agent":
        return plain
    asked = _is_asked_for(lease, at, timing)
    if _is_idle(lease, at, timing) or (asked and _has_waited(lease, who, at)):
        return Take(before=Revoked(reason="takeover"))
    return plain if asked and lease.wanted_by and lease.wanted_by.id != who.id else Ask()


def for_reply(lease: Lease | None, who: Actor, *, override: bool, at: datetime) -> Renew | Take | Refuse:
    """What a reply does about the lease. An own lease that ended by itself is taken anew."""
    plain = acquire(lease, who, session=None, at=at)
    if isinstance(plain, Refuse) and override:
        return Take(before=Revoked(reason="override"))
    return plain


def is_fenced_off(lease: Lease | None, who: Actor, fence: int) -> bool:
    """Whether a writer who shows this fence has lost the lease since."""
    # An own lease that nobody took since it ended still has the greatest fence: nothing can have come in between.
    return lease is None or lease.fence != fence or not lease.is_held_by(who)


def preempts(who: Actor, holder: Actor) -> bool:
    """Humans do not wait for bots, nor for integrations."""
    return who.kind == "agent" and holder.kind != "agent"


def ended_by(lease: Lease) -> ReleaseReason:
    """Why a lease that is past its end has ended."""
    if lease.active_at is None or lease.expires_at is None:
        return "expired"
    return "idle" if lease.expires_at >= lease.active_at + lease.idle else "expired"


def view(lease: Lease) -> LeaseView:
    """The lease as events show it; one that has a holder."""
    if lease.holder is None or lease.expires_at is None:
        raise ValueError("nobody holds this lease")
    return LeaseView(scope=lease.scope, holder=lease.holder, fence=lease.fence, expires_at=lease.expires_at)


def held(lease: Lease, *, draft_id: str | None = None) -> LeaseHeld:
    """The refusal that names the holder."""
    shown = view(lease)
    extra: dict[str, Any] = {} if draft_id is None else {"draft_id": draft_id}
    return LeaseHeld(
        f"{shown.holder.name or shown.holder.id} is answering until {shown.expires_at.isoformat()}",
        holder=msgspec.to_builtins(shown.holder),
        expires_at=shown.expires_at.isoformat(),
        fence=shown.fence,
        **extra,
    )


def _is_idle(lease: Lease, at: datetime, timing: Timing) -> bool:
    return lease.active_at is not None and at - lease.active_at > timing.free_after


def _is_asked_for(lease: Lease, at: datetime, timing: Timing) -> bool:
    # Whoever asked and then did not come must not keep others from asking.
    return lease.wanted_until is not None and at <= lease.wanted_until + timing.request


def _has_waited(lease: Lease, who: Actor, at: datetime) -> bool:
    by, until = lease.wanted_by, lease.wanted_until
    return by is not None and until is not None and by.id == who.id and at >= until
