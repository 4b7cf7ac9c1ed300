"""Services behind the real HTTP face, without a socket: workspaces, keys and a client."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import httpx
from fastapi import APIRouter

from shared.clock import Clock
from shared.db.pool import Database
from shared.db.scope import Workspace
from shared.platform.scopes import Role, Scope
from shared.platform.store import agents, keys, teams, workspaces
from shared.sealing import KeyRing
from shared.settings import KernelSettings
from shared.telemetry.metrics import Metrics
from shared.web.app import App, Hosted, create_app
from shared.web.calls import Call, requires
from shared.web.health import Health
from shared.web.hooks import Hook
from shared.web.settings import WebSettings

Anyone = Annotated[Call, requires()]
"""Any key will do."""


@dataclass(frozen=True, kw_only=True)
class Stub:
    """A service that is nothing but its routes."""

    name: str = "demo"
    router: APIRouter = field(default_factory=APIRouter)
    mounts: Mapping[str, Any] = field(default_factory=dict)
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    mount_paths: Mapping[str, Any] = field(default_factory=dict)
    body_limits: Mapping[str, int] = field(default_factory=dict)
    resources: Sequence[object] = ()


async def new_workspace(database: Database, workspace_id: str = "w1") -> str:
    """A workspace with its preset teams."""
    async with database.transaction(Workspace(workspace_id)) as tx:
        await workspaces.create(tx, workspace_id, name=workspace_id.upper())
    return workspace_id


async def new_agent(
    database: Database, workspace_id: str = "w1", *, name: str = "Ann", role: Role = "agent", team: str | None = None
) -> str:
    """An agent, in a team if one is named."""
    agent_id = database.ids.new("agt")
    async with database.transaction(Workspace(workspace_id)) as tx:
        await agents.create(tx, workspace_id, agent_id=agent_id, name=name, role=role)
        if team:
            await teams.add_member(tx, workspace_id, team, agent_id)
    return agent_id


async def new_key(
    database: Database,
    workspace_id: str = "w1",
    *,
    role: Role = "admin",
    agent_id: str | None = None,
    scopes: Collection[Scope] | None = None,
    teams: Collection[str] | None = None,
) -> str:
    """A key's token."""
    async with database.transaction(Workspace(workspace_id)) as tx:
        _, token = await keys.issue(
            tx,
            workspace_id,
            key_id=database.ids.new("key"),
            name="test",
            role=role,
            environment="test",
            agent_id=agent_id,
            scopes=scopes,
            teams=teams,
        )
    return token


def new_app(
    database: Database,
    *services: Hosted,
    clock: Clock | None = None,
    settings: KernelSettings | None = None,
    web: WebSettings | None = None,
    health: Health | None = None,
) -> App:
    """The face of some services on a database."""
    clock = clock or database.clock
    return create_app(
        services,
        database=database,
        clock=clock,
        ids=database.ids,
        metrics=Metrics(),
        health=health or Health(clock),
        settings=settings or KernelSettings(),
        keyring=KeyRing([bytes(32)]),
        web=web or WebSettings(),
    )


@asynccontextmanager
async def client(app: App, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app, with a key if one is given."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://baton", headers=headers) as opened:
        yield opened
