"""Whose rows a transaction sees: scopes, and the roles of the database that keep them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

WORKSPACE_ROLE: Final = "baton_workspace"
BATCH_ROLE: Final = "baton_batch"
SCAN_ROLE: Final = "baton_scan"

WORKSPACE_PLANS: Final = {"plan_cache_mode": "auto", "enable_seqscan": "on", "enable_mergejoin": "on"}
"""What a session of the pool is not set to, because batches repeat themselves and requests do not."""

_WORKSPACE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class Workspace:
    """One workspace, by the role of API requests."""

    id: str


@dataclass(frozen=True, slots=True)
class Batch:
    """The workspaces of one batch, by the role of consumers."""

    workspaces: frozenset[str]


@dataclass(frozen=True, slots=True)
class Scan:
    """Across workspaces: the log, key and channel look-ups, due timers, and nothing else."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The login role itself: migrations, set-up, `doctor` and the CLI of operators."""


Scope = Workspace | Batch | Scan | Owner


def bind(scope: Scope, **settings: str) -> tuple[str, ...]:
    """A statement and its arguments: the scope's role, its workspaces, these settings, until the transaction ends."""
    match scope:
        case Workspace(workspace):
            return _set(WORKSPACE_ROLE, {**WORKSPACE_PLANS, **settings}, "baton.workspace", _checked(workspace))
        case Batch(workspaces):
            names = ",".join(_checked(name) for name in sorted(workspaces))
            return _set(BATCH_ROLE, settings, "baton.workspaces", names)
        case Scan():
            return _set(SCAN_ROLE, settings)
        case Owner():
            return _set("none", settings)


def _set(role: str, settings: Mapping[str, str], *named: str) -> tuple[str, ...]:
    # Few texts, because each is prepared once in every session; what varies is an argument.
    told = [f"set_config('role', '{role}', true)"]
    told += [f"set_config('{name}', '{value}', true)" for name, value in settings.items()]
    if not named:
        return (f"SELECT {', '.join(told)}",)
    name, value = named
    return f"SELECT {', '.join(told)}, set_config('{name}', $1, true)", value


def _checked(workspace: str) -> str:
    # They are told apart by commas.
    if not _WORKSPACE_ID.match(workspace):
        raise ValueError("not a workspace id")
    return workspace
