"""Whose rows a transaction sees: scopes, and the roles of the database that keep them."""

import re
from dataclasses import dataclass
from typing import Final

WORKSPACE_ROLE: Final = "baton_workspace"
BATCH_ROLE: Final = "baton_batch"
SCAN_ROLE: Final = "baton_scan"

WORKSPACE_PLANS: Final = (
    "SET LOCAL plan_cache_mode = auto; SET LOCAL enable_seqscan = on; SET LOCAL enable_mergejoin = on"
)
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


def bind(scope: Scope) -> str:
    """SQL that takes the scope's role for the rest of the transaction, and names its workspaces."""
    match scope:
        case Workspace(workspace):
            return (
                f"SET LOCAL ROLE {WORKSPACE_ROLE}; SET LOCAL baton.workspace = '{_checked(workspace)}'; "
                f"{WORKSPACE_PLANS}"
            )
        case Batch(workspaces):
            names = ",".join(_checked(name) for name in sorted(workspaces))
            return f"SET LOCAL ROLE {BATCH_ROLE}; SET LOCAL baton.workspaces = '{names}'"
        case Scan():
            return f"SET LOCAL ROLE {SCAN_ROLE}"
        case Owner():
            return "SET LOCAL ROLE NONE"


def _checked(workspace: str) -> str:
    # It goes into a literal: SET takes no parameters, and one round trip is worth the check.
    if not _WORKSPACE_ID.match(workspace):
        raise ValueError("not a workspace id")
    return workspace
