"""The tickets service behind the real face: a client per agent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from services.tickets.service import build
from shared.host import Runtime
from shared.host.opening import inert_runtime
from shared.platform.scopes import Role
from tests.support.api import client, new_app, new_key
from tests.support.floor import HOME, Floor


def runtime(floor: Floor) -> Runtime:
    """A runtime on the floor's database, without a log and a way out."""
    from dataclasses import replace

    inert = inert_runtime("tickets")
    return replace(inert, database=floor.database, ids=floor.database.ids, clock=floor.database.clock)


@asynccontextmanager
async def person(
    floor: Floor,
    agent_id: str | None,
    *,
    workspace: str = HOME,
    role: Role = "agent",
    only: list[str] | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key of this agent (or of nobody)."""
    token = await new_key(floor.database, workspace, role=role, agent_id=agent_id, teams=only)
    app = new_app(floor.database, build(runtime(floor)))
    async with client(app, token) as opened:
        yield opened
