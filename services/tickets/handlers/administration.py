"""Keys and the workspace itself."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from services.tickets.handlers.scope import revoke_all
from shared.db.transaction import Transaction
from shared.errors import Forbidden, Invalid, NotFound
from shared.ids import Ids
from shared.platform import models
from shared.platform.models import ApiKey, Workspace
from shared.platform.scopes import Role, Scope
from shared.platform.store import agents, keys, workspaces
from shared.web.auth import Principal
from shared.web.calls import stale


@dataclass(frozen=True, slots=True)
class Environment:
    """What tokens of this installation say that they belong to."""

    name: str


async def issue(
    tx: Transaction,
    ids: Ids,
    who: Principal,
    *,
    environment: str,
    name: str,
    role: Role,
    agent_id: str | None,
    scopes: list[Scope] | None,
    teams: list[str] | None,
    expires_at: datetime | None,
) -> tuple[ApiKey, str]:
    """A new key and its token; it can do no more than the one that issues it."""
    if who.teams is not None and not (teams is not None and who.teams.issuperset(teams)):
        raise Forbidden("a key cannot see more teams than the one that issues it", missing=sorted(who.teams))
    if agent_id == agents.rules_id(who.workspace_id):
        detail = "rules answer by themselves: nobody speaks for their bot"
        raise Invalid(detail, errors=[{"pointer": "#/agent_id", "detail": detail}])
    if agent_id is not None and await agents.load(tx, who.workspace_id, agent_id) is None:
        raise NotFound(f"there is no agent {agent_id}")
    if expires_at is not None and expires_at <= await tx.now():
        detail = "the instant must lie ahead"
        raise Invalid(detail, errors=[{"pointer": "#/expires_at", "detail": detail}])
    return await keys.issue(
        tx,
        who.workspace_id,
        key_id=ids.new("key"),
        name=name,
        role=role,
        environment=environment,
        agent_id=agent_id,
        scopes=scopes,
        teams=teams,
        expires_at=expires_at,
        granted_by=who.scopes,
    )


async def revoke(tx: Transaction, workspace_id: str, key_id: str) -> ApiKey:
    """Ends a key for good; once is enough."""
    revoked = await keys.revoke(tx, workspace_id, key_id)
    if revoked is None:
        raise NotFound(f"there is no key {key_id}")
    return revoked


async def workspace(tx: Transaction, workspace_id: str) -> Workspace:
    """The workspace."""
    found = await workspaces.load(tx, workspace_id)
    if found is None:
        raise NotFound(f"there is no workspace {workspace_id}")
    return found


async def amend(
    tx: Transaction, ids: Ids, who: Principal, *, version: int, name: str | None, settings: dict[str, Any]
) -> Workspace:
    """Another name, other settings; Invalid when they contradict each other. Another scope of leases ends them all."""
    workspace_id = who.workspace_id
    found = await workspaces.load(tx, workspace_id, lock=True)
    if found is None:
        raise NotFound(f"there is no workspace {workspace_id}")
    if version != found.version:
        raise stale(found.version)
    changed = replace(found, name=name or found.name, settings=models.changed(found.settings, settings))
    saved = await workspaces.save(tx, changed)
    if saved is None:
        raise stale(found.version)
    if saved.settings.lease_scope != found.settings.lease_scope:
        await revoke_all(tx, ids, who)
    return saved
