"""Stories that are told in two workspaces at the same moment, in the same words: neither learns of the other."""

import functools
import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx

from services.tickets.service import build
from shared.db.appending import decode_headers
from shared.db.scope import Owner
from tests.support.answers import Answers
from tests.support.api import client, new_app, new_key
from tests.support.floor import HOME, OTHER, Floor, at_once
from tests.support.tickets_app import runtime

_TABLES: Final = """
SELECT table_name FROM information_schema.columns WHERE table_schema = 'tickets' AND column_name = 'workspace_id'
ORDER BY table_name
"""
_NAMES: Final = """
SELECT workspace_id AS name FROM platform.workspace UNION ALL SELECT id FROM platform.agent
UNION ALL SELECT id FROM tickets.customer UNION ALL SELECT id FROM tickets.ticket UNION ALL SELECT id FROM tickets.message
UNION ALL SELECT id FROM tickets.reply UNION ALL SELECT id FROM tickets.draft UNION ALL SELECT id FROM tickets.assignment
UNION ALL SELECT id FROM tickets.collision
"""
"""Run in one workspace; what people and networks call things is the same in both, and not listed."""

_TICKETS: Final = "SELECT id FROM tickets.ticket WHERE state <> 'merged'"
_TOLD: Final = "SELECT key, value, headers FROM log.event WHERE workspace_id = $1"
_ASKED: Final = 1
"""Tickets of each workspace that the other asks for."""


def in_both_workspaces(story: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """A test that is its story, told in both workspaces at once; its first argument is a floor, or answers on one."""
    first = next(iter(inspect.signature(story).parameters))

    @functools.wraps(story)
    async def told(**given: Any) -> None:
        await _tell(given.pop(first), functools.partial(story, **given))

    return told


async def _tell(place: Floor | Answers, story: Callable[[Any], Awaitable[None]]) -> None:
    await at_once([functools.partial(story, there) for there in (place, place.elsewhere)])
    floor = place if isinstance(place, Floor) else place.floor
    for home in (HOME, OTHER):
        await floor.check_books(workspace=home)
    await check_apart(floor)


async def check_apart(floor: Floor) -> None:
    """Nothing that is stored or told of one workspace names anything of the other, and no key of one finds it."""
    names = {home: {row["name"] for row in await floor.rows(_NAMES, workspace=home)} for home in (HOME, OTHER)}
    tickets = {home: await floor.rows(_TICKETS, workspace=home) for home in (HOME, OTHER)}
    app = new_app(floor.database, build(runtime(floor)))
    for home, other in ((HOME, OTHER), (OTHER, HOME)):
        assert home in names[home]
        assert set(re.findall(r"\w+", await _all_of(floor, home))) & names[other] == set()
        token = await new_key(floor.database, home, role="admin")
        async with client(app, token) as caller:
            await _finds_only(caller, tickets[home], tickets[other])


async def _all_of(floor: Floor, home: str) -> str:
    async with floor.database.transaction(Owner()) as tx:
        told = await tx.fetch(_TOLD, home)
        found = [f"{row['key']} {row['value'].decode()} {decode_headers(row['headers'])}" for row in told]
        for (table,) in await tx.fetch(_TABLES):
            rows = await tx.fetch(f"SELECT t::text FROM tickets.{table} t WHERE workspace_id = $1", home)
            found += [row["t"] for row in rows]
    return "\n".join(found)


async def _finds_only(caller: httpx.AsyncClient, own: list[dict[str, Any]], foreign: list[dict[str, Any]]) -> None:
    listed = (await caller.get("/v1/tickets?state=any&limit=100")).json()["data"]
    assert {ticket["id"] for ticket in listed} == {row["id"] for row in own}
    for row in foreign[:_ASKED]:
        for part in ("", "/timeline", "/drafts"):
            answer = await caller.get(f"/v1/tickets/{row['id']}{part}")
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
        answer = await caller.post(f"/v1/tickets/{row['id']}/lease", json={})
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
        assert (await caller.get(f"/v1/collisions?ticket={row['id']}")).json()["data"] == []
