"""Workspaces with a past: messages that were decided, and what tries rulesets on them."""

import dataclasses
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import APIRouter

from services.router.api import plans, rulesets, shadows, structures, surge_policies, surges, trials, usage
from services.router.handlers import deciding
from services.router.handlers.backtests import Backtests, Limits
from services.router.handlers.gathering import Untold
from services.router.handlers.surging import Surges
from shared.db.pool import Database
from shared.db.scope import Batch, Owner, Workspace
from shared.host import Runtime, inert_runtime
from tests.support import api
from tests.support.messages import message, received

UNTOLD = Untold(frozenset({"sentiment", "urgency"}))
FALLBACK = {"team": "community"}
REFUNDS = {
    "name": "refunds",
    "when": {"text": "refund"},
    "then": {"team": "care", "priority": "high", "tags": ["money"]},
}


def runtime(database: Database) -> Runtime:
    """What the router gets of its process."""
    return dataclasses.replace(inert_runtime("router"), database=database)


def looked_at(tried: Runtime) -> float:
    """How many messages its backtests have looked at."""
    text = tried.metrics.exposition()[0].decode()
    return float(re.findall(r"^baton_backtest_messages_total (.*)$", text, re.MULTILINE)[0])


def router(tried: Runtime, limits: Limits | None = None) -> api.Stub:
    """The router's routes, without its consumer."""
    routes = APIRouter()
    for part in (plans, rulesets, structures, shadows, surge_policies, surges, trials, usage):
        routes.include_router(part.router)
    return api.Stub(
        name="router",
        router=routes,
        resources=[Backtests(tried, limits or Limits()), Surges(tried.ids, tried.metrics), UNTOLD],
    )


@asynccontextmanager
async def admin(database: Database, workspace: str = "w1", **parts: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client with an admin's key of a new workspace."""
    await api.new_workspace(database, workspace)
    token = await api.new_key(database, workspace)
    async with api.client(api.new_app(database, router(runtime(database), **parts)), token) as opened:
        yield opened


async def keep(database: Database, *rules: Any, workspace: str = "w1", **parts: Any) -> int:
    """A new version."""
    document = {"fallback": FALLBACK, "rules": list(rules), **parts}
    async with database.transaction(Workspace(workspace), schema="router") as tx:
        created, _ = await deciding.create(tx, workspace, document=document, note=None, author="agt_1")
    return created.version


async def activate(database: Database, version: int, *, workspace: str = "w1") -> None:
    """From now on."""
    async with database.transaction(Workspace(workspace), schema="router") as tx:
        await deciding.activate(tx, workspace, version, author="agt_1")


async def decide(
    database: Database, messages: Iterable[Any], *, workspace: str = "w1", by: deciding.Router | None = None
) -> None:
    """Messages, or just their texts, come and are decided in one batch."""
    events = [
        received(message(f"m{number}", workspace=workspace, channel=f"chn_{workspace}", text=one))
        if isinstance(one, str)
        else received(one)
        for number, one in enumerate(messages)
    ]
    async with database.transaction(Batch(frozenset({workspace})), schema="router") as tx:
        await (by or deciding.Router()).on_messages(tx, events)


async def own(database: Database, sql: str, *arguments: Any) -> Any:
    """One statement by the owner of the schema, who is bound to no workspace; the rows of a question."""
    async with database.transaction(Owner(), schema="router") as tx:
        return await tx.fetch(sql, *arguments)
