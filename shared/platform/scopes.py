"""What a key may do: a closed set of scopes, and the roles that bundle them."""

from collections.abc import Iterable
from typing import Final, Literal, get_args

Scope = Literal[
    "tickets:read",
    "tickets:write",
    "tickets:override",
    "tickets:supervise",
    "tickets:moderate",
    "customers:write",
    "reports:read",
    "channels:read",
    "channels:write",
    "inbox:read",
    "inbox:replay",
    "rules:read",
    "rules:write",
    "webhooks:manage",
    "stream:read",
    "agents:manage",
    "dead-letters:manage",
    "keys:manage",
    "workspace:manage",
]

Role = Literal["agent", "lead", "manager", "admin", "analyst", "bot", "integration"]

SCOPES: Final[dict[Scope, str]] = {
    "tickets:read": "read tickets, timelines, customers, teams and agents",
    "tickets:write": "claim, answer, note, tag, snooze and resolve tickets",
    "tickets:override": "answer although a turn is taken or a lease is held; every use is audited",
    "tickets:supervise": "force takeovers, assign beyond capacity, merge, approve, settle replies of others",
    "tickets:moderate": "hide, show, delete and like messages on their networks",
    "customers:write": "set attributes and tags of customers",
    "reports:read": "read reports",
    "channels:read": "read channels and their health, never their secrets",
    "channels:write": "connect, change and disconnect channels",
    "inbox:read": "read raw deliveries and what became of them",
    "inbox:replay": "normalize raw deliveries again",
    "rules:read": "read rulesets, decisions and their traces",
    "rules:write": "write, test, activate and roll back rulesets",
    "webhooks:manage": "manage endpoints and hooks, resend and replay deliveries",
    "stream:read": "follow the live stream and the feed of changes",
    "agents:manage": "manage agents, teams and memberships",
    "dead-letters:manage": "read, re-drive and drop dead letters and parked keys",
    "keys:manage": "issue and revoke keys, never with more than one's own scopes",
    "workspace:manage": "change the workspace's settings",
}
"""Every scope, with what it allows."""

ALL_SCOPES: Final[frozenset[Scope]] = frozenset(get_args(Scope))

_AGENT: Final[frozenset[Scope]] = frozenset(
    {"tickets:read", "tickets:write", "tickets:moderate", "customers:write", "channels:read", "stream:read"}
)
_LEAD: Final[frozenset[Scope]] = _AGENT | {
    "tickets:override",
    "tickets:supervise",
    "reports:read",
    "inbox:read",
    "rules:read",
}
_MANAGER: Final[frozenset[Scope]] = _LEAD | {
    "channels:write",
    "inbox:replay",
    "rules:write",
    "webhooks:manage",
    "agents:manage",
    "dead-letters:manage",
}

ROLES: Final[dict[Role, frozenset[Scope]]] = {
    "agent": _AGENT,
    "lead": _LEAD,
    "manager": _MANAGER,
    "admin": ALL_SCOPES,
    "analyst": frozenset({"tickets:read", "reports:read", "channels:read", "rules:read"}),
    "bot": frozenset({"tickets:read", "tickets:write", "customers:write", "stream:read"}),
    "integration": frozenset({"tickets:read", "customers:write", "channels:read", "stream:read", "webhooks:manage"}),
}
"""What each role may do."""


def effective(role: Role, scopes: Iterable[Scope] | None) -> frozenset[Scope]:
    """What a key may do: all of its role, or the named part of it; never more than the role."""
    allowed = ROLES[role]
    return allowed if scopes is None else allowed & frozenset(scopes)
