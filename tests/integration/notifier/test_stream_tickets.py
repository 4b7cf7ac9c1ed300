"""A browser's stream: a ticket stands for a key once, soon, and for no more than the key may."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest
import structlog

from shared.db.scope import Owner, Workspace
from shared.platform.store import keys
from tests.integration.notifier.test_stream import Ear, living
from tests.support.outgoing import ticket as ticket_view


@pytest.fixture
async def live(database):
    async with living(database) as made:
        yield made


@asynccontextmanager
async def browser(live, ticket, query=""):
    """An `EventSource`: it can say nothing but a URL."""
    async with (
        httpx.AsyncClient(base_url=live.url, timeout=30) as client,
        client.stream("GET", f"/v1/stream?ticket={ticket}{query}") as response,
    ):
        yield response


async def ticket_for(live, token):
    async with httpx.AsyncClient(base_url=live.url, headers={"Authorization": f"Bearer {token}"}) as client:
        answer = await client.post("/v1/stream/tickets")
    assert answer.status_code == 201, answer.text
    assert answer.json().keys() == {"ticket", "expires_at"}
    return answer.json()["ticket"]


async def status(live, ticket):
    async with browser(live, ticket) as response:
        return response.status_code


async def test_a_ticket_opens_the_stream_of_its_key_and_resumes_it(live):
    token = await live.key(teams=["care"])
    await live.happen(2)
    ticket = await ticket_for(live, token)
    async with browser(live, ticket, "&after=1") as response:
        assert response.status_code == 200
        ear = Ear(response)
        assert (await ear.next())["event"] == "ready"
        assert await ear.ids(1) == [2]


async def test_a_ticket_shows_no_more_than_its_key(live):
    ticket = await ticket_for(live, await live.key(teams=["product"]))
    async with browser(live, ticket, "&after=0") as response:
        ear = Ear(response)
        await ear.next()
        await live.happen(2)
        await live.happen(view=ticket_view(team="product"))
        assert await ear.ids(1) == [3]


async def test_of_many_who_come_with_one_ticket_one_gets_in(live):
    ticket = await ticket_for(live, await live.key())
    barrier = asyncio.Barrier(20)

    async def come():
        await barrier.wait()
        return await status(live, ticket)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(come()) for _ in range(20)]
    assert sorted(task.result() for task in tasks) == [200] + [401] * 19


async def test_a_ticket_is_good_for_thirty_seconds(live):
    ticket = await ticket_for(live, await live.key())
    async with live.here.database.transaction(Owner()) as tx:
        left = await tx.fetchval("SELECT max(expires_at) - clock_timestamp() FROM platform.stream_ticket")
        assert timedelta(seconds=20) < left <= timedelta(seconds=30)
        await tx.execute("UPDATE platform.stream_ticket SET expires_at = clock_timestamp()")
    assert await status(live, ticket) == 401


async def test_the_ticket_of_a_revoked_key_opens_nothing(live):
    token = await live.key()
    ticket = await ticket_for(live, token)
    async with live.here.database.transaction(Workspace("w1")) as tx:
        await keys.revoke(tx, "w1", "_".join(token.split("_")[2:4]))
    assert await status(live, ticket) == 401


@pytest.mark.parametrize("ticket", ["", "x", "baton_stream_key_" + "0" * 32 + "_" + "A" * 43 + "00000000"])
async def test_what_is_no_ticket_opens_nothing(live, ticket):
    assert await status(live, ticket) == 401


async def test_a_key_is_no_ticket_and_a_ticket_no_key(live):
    token = await live.key()
    ticket = await ticket_for(live, token)
    assert await status(live, token) == 401
    async with httpx.AsyncClient(base_url=live.url, headers={"Authorization": f"Bearer {ticket}"}) as client:
        assert (await client.get("/v1/stream")).status_code == 401
        assert (await client.get(f"/v1/changes?ticket={ticket}")).status_code == 401
    assert await status(live, ticket) == 200


async def test_a_key_that_may_not_listen_gets_no_ticket(live):
    token = await live.key(scopes=["tickets:read"])
    async with httpx.AsyncClient(base_url=live.url, headers={"Authorization": f"Bearer {token}"}) as client:
        assert (await client.post("/v1/stream/tickets")).status_code == 403


async def test_a_ticket_is_neither_stored_nor_logged(live):
    with structlog.testing.capture_logs() as lines:
        ticket = await ticket_for(live, await live.key())
        assert await status(live, ticket) == 200
        assert await status(live, ticket) == 401
    assert ticket not in str(lines)
    waiting = await ticket_for(live, await live.key())
    async with live.here.database.transaction(Owner()) as tx:
        [row] = await tx.fetch("SELECT * FROM platform.stream_ticket")
    assert waiting not in str(dict(row))
    assert waiting.encode() not in bytes(row["secret_hash"])
