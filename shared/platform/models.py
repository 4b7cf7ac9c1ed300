"""Reference data as values: workspaces and their settings, agents, teams, keys and channels."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from shared.errors import Invalid
from shared.platform.scopes import Role, Scope

AgentKind = Literal["human", "bot"]
Availability = Literal["available", "away", "offline"]
ChannelPurpose = Literal["brand", "care", "ads"]
ChannelState = Literal["active", "paused", "unauthorized", "deleted"]
LeaseScope = Literal["customer", "ticket"]

Milliseconds = Annotated[int, msgspec.Meta(ge=1, le=86_400_000)]


class WorkspaceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a workspace may choose; durations are milliseconds unless their name says otherwise."""

    heartbeat: Milliseconds = 10_000
    """How often a client that holds a lease or is present should say so."""
    lease_ttl: Milliseconds = 30_000
    """How long a lease lives after its last heartbeat."""
    presence_ttl: Milliseconds = 25_000
    """How long somebody counts as present after their last sign of life."""
    idle_release: Milliseconds = 120_000
    """A holder who does nothing for so long loses the lease softly."""
    lease_max: Milliseconds = 900_000
    """No lease lives longer without being taken anew."""
    takeover_free_after: Milliseconds = 60_000
    """From a holder who has been idle for so long, a takeover needs no asking."""
    takeover_request: Milliseconds = 15_000
    """How long a holder has to answer a request for takeover."""
    lease_scope: LeaseScope = "customer"
    """Whether a lease covers all open tickets of a customer, or one ticket."""
    hold_on_message: bool = False
    """Whether a customer's message that arrives while a reply waits turns that reply into a draft."""
    queue_wait_alert: Milliseconds = 300_000
    """A ticket that waits in a queue for longer escalates and alerts."""
    reopen_within_hours: Annotated[int, msgspec.Meta(ge=0, le=8760)] = 72
    """A customer's message reopens a ticket that was resolved no longer ago; later ones open a new ticket."""


SETTING_NAMES: Final = frozenset(WorkspaceSettings.__struct_fields__)


def changed(settings: WorkspaceSettings, changes: dict[str, Any]) -> WorkspaceSettings:
    """The settings with some of them replaced; Invalid when one is unknown, out of range or contradicts another."""
    unknown = sorted(changes.keys() - SETTING_NAMES)
    if unknown:
        raise Invalid(
            f"there is no setting {unknown[0]}",
            errors=[{"pointer": f"#/{name}", "detail": "there is no such setting"} for name in unknown],
        )
    try:
        result = msgspec.convert(msgspec.to_builtins(settings) | changes, WorkspaceSettings)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        pointer = "#/" + where.strip("`").lstrip(".").replace(".", "/")
        raise Invalid(f"a setting is not valid: {error}", errors=[{"pointer": pointer, "detail": what}]) from error
    for name, least in (("lease_ttl", "heartbeat"), ("presence_ttl", "heartbeat"), ("lease_max", "lease_ttl")):
        if getattr(result, name) <= getattr(result, least):
            detail = f"{name} must be longer than {least}"
            raise Invalid(detail, errors=[{"pointer": f"#/{name}", "detail": detail}])
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A tenant."""

    id: str
    name: str
    settings: WorkspaceSettings
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A member of staff, human or bot."""

    id: str
    workspace_id: str
    name: str
    kind: AgentKind
    role: Role
    availability: Availability
    capacity: int
    """Tickets that may be reserved for this agent at once; zero means: none by itself."""
    disabled_at: datetime | None
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """An owner group with a queue."""

    id: str
    workspace_id: str
    name: str
    requires_acceptance: bool
    """Whether an assignment is offered first, and counts only once accepted."""
    offer_seconds: int
    is_fallback: bool
    """Whether it gets what no rule matches; one team per workspace."""
    stand_in: str | None = None
    """The team that gets what comes for this one at this moment, because nobody is on duty."""
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSchedule:
    """A team's schedule as a document, which tickets understands."""

    workspace_id: str
    team_id: str
    document: dict[str, Any]
    version: int
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key without its secret, which is shown once and never stored."""

    id: str
    workspace_id: str
    name: str
    agent_id: str | None
    role: Role
    scopes: tuple[Scope, ...] | None
    """A narrower choice than the role's; None means all that the role has."""
    teams: tuple[str, ...] | None
    """Only tickets of these teams, or of the key's own agent; None means all."""
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One connected account on a network; `credentials` are sealed bytes that only their owner can open."""

    id: str
    workspace_id: str
    network: str
    name: str
    external_id: str
    purpose: ChannelPurpose
    state: ChannelState
    state_reason: str | None
    api_base_url: str | None
    credentials: bytes
    version: int
    created_at: datetime
    updated_at: datetime
