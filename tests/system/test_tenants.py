"""Nobody without a key, and nobody with another workspace's key, sees or touches anything."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.callers import Api, other_workspace
from tests.support.contract import Contract, Operation
from tests.support.page import Page
from tests.support.possessions import NONE
from tests.support.system import System

BODIES: dict[str, dict[str, Any]] = {
    "createReply": {"text": "Hello", "seen_seq": 1},
    "putDraft": {"text": "Hello"},
    "putPresence": {"level": "viewing", "session": "s"},
    "acquireLease": {"session": "s"},
    "takeOverLease": {"session": "s"},
    "putSchedule": {"zone": "UTC"},
    "testRuleset": {"network": "facebook", "text": "Hello"},
    "changeEndpoint": {"description": "mine"},
    "changeChannel": {"name": "mine"},
    "replayEndpoint": {"since": 1},
}
"""Bodies that a route would take, where the smallest one that its schema allows says nothing."""


COMMON: frozenset[str] = frozenset({"structure"})
"""Placeholders of what Baton brings with it: the same for everybody."""


async def test_without_a_key_only_public_routes_answer(http: httpx.AsyncClient, contract: Contract):
    values = dict.fromkeys({name for operation in contract.operations for name in operation.placeholders}, "nobody")
    public = {operation.path for operation in contract.operations if operation.is_public}
    assert public == {"/livez", "/readyz", "/metrics", "/v1/messages", "/webhooks/{network}/{channel_id}"}
    guarded = [operation for operation in contract.operations if not operation.is_public]
    assert len(guarded) > 60
    for operation in guarded:
        for header in ({}, {"Authorization": "Bearer baton_demo_key_" + "0" * 32 + "_" + "x" * 51}):
            answer = await http.request(operation.method, operation.at(values), headers=header)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), operation.name
            assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_key_of_another_workspace_finds_no_id(
    system: System, http: httpx.AsyncClient, admin: Api, contract: Contract, belongings: dict[str, str]
):
    stranger = await other_workspace(system, http)
    named = [operation for operation in contract.operations if operation.placeholders and not operation.is_public]
    routes = [operation for operation in named if not COMMON & set(operation.placeholders)]
    assert {name for operation in routes for name in operation.placeholders} == set(belongings)
    before = await admin.get(f"/v1/tickets/{belongings['ticket_id']}")
    for operation in routes:
        answer = await attempt(stranger, contract, operation, belongings)
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), f"{operation.name}: {answer.text}"
    for operation in routes:
        if operation.method == "GET" and not NONE & set(operation.placeholders):
            own = await admin.call("GET", operation.at(belongings))
            assert own.status_code == 200, f"{operation.name}: {own.text}"
            contract.check(own)
    after = await admin.get(f"/v1/tickets/{belongings['ticket_id']}")
    assert after == before


async def attempt(caller: Api, contract: Contract, operation: Operation, ids: dict[str, str]) -> httpx.Response:
    """A request that would succeed if the ids were the caller's."""
    body = BODIES.get(operation.spec["operationId"], contract.body(operation))
    if operation.spec["operationId"] in {"linkCustomer", "mergeTicket", "unlinkIdentity"}:
        body = {name: "nobody" if isinstance(value, str) else value for name, value in (body or {}).items()}
    version = '"1"' if operation.wants("If-Match") else None
    return await caller.call(operation.method, operation.at(ids), body, If_Match=version)


async def test_lists_streams_and_the_feed_of_another_workspace_are_empty(
    system: System, http: httpx.AsyncClient, contract: Contract, page: Page, belongings: dict[str, str]
):
    stranger = await other_workspace(system, http)
    mine = {value for value in belongings.values() if not value.isdigit()}
    async with stranger.stream() as told:
        assert (await anext(told)).type == "ready"
        await page.asked("Does anybody hear me?")
        for operation in contract.operations:
            if operation.method != "GET" or operation.is_public or operation.placeholders:
                continue
            if operation.path == "/v1/stream":
                continue
            text = (await stranger.call("GET", operation.path)).text
            assert not [one for one in mine if one in text], operation.name
        for query in ({"ticket": belongings["ticket_id"]}, {"agent": belongings["agent_id"]}):
            assert (await stranger.get("/v1/collisions", **query))["data"] == []
        assert (await stranger.get("/v1/tickets", q="anybody", state="any"))["data"] == []
        refused = await stranger.call("GET", f"/v1/inbox?channel_id={belongings['channel_id']}")
        assert refused.status_code == 404
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await anext(told)


async def test_bodies_cannot_name_what_belongs_to_others(
    system: System, http: httpx.AsyncClient, belongings: dict[str, str]
):
    stranger = await other_workspace(system, http)
    own = await stranger.made("/v1/agents", {"name": "Eve"})
    refused = [
        await stranger.post("/v1/keys", {"name": "k", "role": "agent", "agent_id": belongings["agent_id"]}),
        await stranger.post("/v1/inbox/replay", {"channel_id": belongings["channel_id"]}),
        await stranger.post("/v1/agents", {"name": "Eve", "teams": [belongings["team_id"]]}),
        await stranger.call("PUT", f"/v1/teams/care/members/{belongings['agent_id']}"),
        await stranger.call("PUT", f"/v1/teams/{belongings['team_id']}/members/{own['id']}"),
    ]
    for answer in refused:
        assert answer.status_code in {404, 422}, answer.text
    replayed = await stranger.made("/v1/inbox/replay", {"ids": [belongings["inbox_id"]]})
    assert replayed["count"] == 0
    bulk = {"action": "resolve", "items": [{"id": belongings["ticket_id"], "version": 1}]}
    [result] = (await stranger.made("/v1/tickets/bulk", bulk))["results"]
    assert result["status"] == 404
