"""The live stream: at once, exact after a break, for those who may see it, and no burden when nobody reads."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest

from services.notifier.api import router
from services.notifier.handlers.feed import TicketEvents
from services.notifier.handlers.following import Hub
from services.notifier.handlers.streaming import Streams
from services.notifier.settings import NotifierSettings
from shared.db.scope import Workspace
from shared.errors import Retryable
from shared.events import tickets
from shared.events.deliveries import PresenceChanged
from shared.events.routing import Flag
from shared.log.postgres.log import PostgresLog
from shared.platform.store import agents, keys, teams
from shared.web import server
from tests.support import api
from tests.support.outgoing import ANN, AT, happened, ticket, world
from tests.support.waiting import eventually


class Live:
    """A notifier behind a real server."""

    def __init__(self, here, hub, url):
        self.here = here
        self.hub = hub
        self.url = url
        self.events = TicketEvents(wake=lambda: None, offer=hub.offer)

    async def happen(self, count=1, **changes):
        events = [happened(tickets.TicketUpdated, **changes) for _ in range(count)]
        await self.here.deliver(self.events.on_events, *events)

    async def key(self, workspace="w1", **rights):
        return await api.new_key(self.here.database, workspace, **rights)

    @asynccontextmanager
    async def listen(self, query="", *, after=None, workspace="w1", **key) -> AsyncIterator["Ear"]:
        token = await self.key(workspace, **key)
        headers = {"Authorization": f"Bearer {token}"}
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        async with (
            httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30) as client,
            client.stream("GET", f"/v1/stream{query}") as response,
        ):
            assert response.status_code == 200, await response.aread()
            ear = Ear(response)
            assert (await ear.next())["event"] in {"ready", "resync"}
            yield ear


class Ear:
    """A client that reads events one by one."""

    def __init__(self, response):
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self):
        event = {}
        async for line in self._lines:
            if line:
                name, _, value = line.partition(":")
                event[name] = value.strip()
            elif "event" in event:
                if "data" in event:
                    event["data"] = json.loads(event["data"])
                return event
            elif "retry" not in event:
                return event
            else:
                event = {}
        return None

    async def ids(self, count):
        return [int((await self.next())["id"]) for _ in range(count)]


class Awakening:
    """A log that cannot be followed at first."""

    def __init__(self, log, failures):
        self._log = log
        self._failures = failures

    @asynccontextmanager
    async def tail(self, topics):
        if self._failures:
            self._failures -= 1
            raise Retryable("the log is away")
        async with self._log.tail(topics) as records:
            yield records


@asynccontextmanager
async def living(database, *, failures=0, **settings) -> AsyncIterator[Live]:
    async with PostgresLog.open(database) as log, world(database, log=Awakening(log, failures)) as here:
        chosen = NotifierSettings(**settings)
        hub = Hub(here.runtime, chosen)
        stub = api.Stub(name="notifier", router=router, resources=[Streams(here.runtime, chosen, hub)])
        app = api.new_app(database, stub)
        listener = server.listen("127.0.0.1", 0)
        stop, started = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(hub.run())
            group.create_task(server.serve(app, listener, stop=stop, grace=timedelta(seconds=3), started=started.set))
            await started.wait()
            yield Live(here, hub, server.url_of(listener))
            here.runtime.stopping.set()
            stop.set()


@pytest.fixture
async def live(database):
    async with living(database) as made:
        yield made


async def test_an_event_arrives_with_number_type_and_body(live):
    async with live.listen() as ear:
        await live.happen()
        event = await ear.next()
        assert (event["id"], event["event"]) == ("1", "ticket.updated.v1")
        assert event["data"]["data"]["ticket"]["id"] == "tkt_1"
        assert event["data"]["sequence"] == 1


async def test_who_follows_his_own_tickets_hears_what_rules_tell_him_or_his_team(live):
    async with live.here.database.transaction(Workspace("w1")) as tx:
        await teams.create(tx, "w1", team_id="crisis", name="Crisis")
        await agents.create(tx, "w1", agent_id="agt_zoe", name="Zoe")
        await teams.add_member(tx, "w1", "crisis", "agt_zoe")
    async with live.listen("?mine=true", agent_id="agt_zoe") as zoe, live.listen("?team=crisis") as crisis:
        for whom in {"agents": ("agt_bea",)}, {"agents": ("agt_zoe",)}, {"team": "crisis"}:
            told = happened(tickets.TicketFlagged, flag=Flag(rule="r", text="Look", **whom))
            await live.here.deliver(live.events.on_events, told)
        assert await zoe.ids(2) == [2, 3]
        assert await crisis.ids(1) == [3]


async def test_a_client_that_comes_back_gets_exactly_what_it_missed(live):
    async with live.listen() as ear:
        await live.happen(3)
        assert await ear.ids(2) == [1, 2]
    await live.happen(1200)
    async with live.listen(after=2) as ear:
        await live.happen(5)
        assert await ear.ids(1206) == list(range(3, 1209))


async def test_nothing_is_lost_or_doubled_while_clients_join_under_load(live):
    async def load():
        for _ in range(60):
            await live.happen(10)
            await asyncio.sleep(0)

    async def client(after):
        async with live.listen(after=after) as ear:
            return await ear.ids(600)

    async with asyncio.TaskGroup() as group:
        clients = [group.create_task(client(0)) for _ in range(5)]
        group.create_task(load())
    assert all(task.result() == list(range(1, 601)) for task in clients)


async def test_what_another_process_numbered_comes_too(live):
    elsewhere = TicketEvents(wake=lambda: None, offer=lambda _: None)
    async with live.listen() as ear:
        await live.here.deliver(elsewhere.on_events, happened(tickets.TicketUpdated))
        assert await ear.ids(1) == [1]
        await live.here.deliver(elsewhere.on_events, happened(tickets.TicketUpdated))
        await live.happen()
        assert await ear.ids(2) == [2, 3]


async def test_no_client_sees_another_workspace_or_another_teams_tickets(live):
    product = ticket("t9", team="product", owner=None)
    async with live.listen(workspace="w2") as other, live.listen(teams=["care"]) as ear:
        await live.happen(view=product)
        await live.happen()
        await live.happen(workspace="w2")
        assert await ear.ids(1) == [2]
        assert await other.ids(1) == [1]


async def test_filters_by_type_team_and_owner(live):
    agent = await api.new_agent(live.here.database)
    async with (
        live.listen("?types=ticket.created") as created,
        live.listen("?team=product") as product,
        live.listen("?mine=true", agent_id=agent) as mine,
    ):
        await live.happen(view=ticket("t1", owner=agent))
        await live.happen(view=ticket("t2", team="product"))
        await live.here.deliver(live.events.on_events, happened(tickets.TicketCreated))
        assert await created.ids(1) == [3]
        assert await product.ids(1) == [2]
        assert await mine.ids(1) == [1]


async def test_a_log_that_is_away_at_first_stops_neither_feed_nor_presence(database):
    async with living(database, failures=2) as live:
        async with live.listen(teams=["care"]) as ear:
            await live.happen()
            assert (await ear.next())["event"] == "ticket.updated.v1"
        await _is_present(live)


async def test_presence_is_shown_without_a_number_to_those_who_may_see_the_ticket(live):
    await _is_present(live)


async def _is_present(live):
    def present(team):
        return PresenceChanged(
            workspace_id="w1", ticket_id=f"t-{team}", team=team, agent=ANN, session="s", level="viewing", expires_at=AT
        )

    async with live.listen(teams=["care"]) as ear, asyncio.TaskGroup() as group:
        hearing = group.create_task(ear.next())
        # Whoever is not listening yet has missed it, which presence may be: it is told again until it is heard.
        while not hearing.done():
            async with live.here.database.transaction(Workspace("w1")) as tx:
                tx.emit(present("product"), key="t-product")
                tx.emit(present("care"), key="t-care")
            await asyncio.wait([hearing], timeout=0.3)
        event = hearing.result()
        assert (event["event"], event["data"]["ticket_id"]) == ("presence.changed.v1", "t-care")
        assert "id" not in event


async def test_silence_is_broken_by_a_heartbeat_that_moves_the_client_on(database):
    async with living(database, stream_heartbeat_ms=100) as live, live.listen("?types=ticket.created") as ear:
        await live.happen(7)
        beat = await ear.next()
        while beat["id"] != "7":
            beat = await ear.next()
        assert "event" not in beat


async def test_a_client_that_does_not_read_is_told_to_come_back_and_then_misses_nothing(database):
    async with living(database, stream_buffer=50, stream_send_ms=20_000) as live:
        big = ticket("t1", tags=("x" * 30_000,))
        async with live.listen() as ear:
            for _ in range(20):
                await live.happen(40, view=big)
            ids = []
            while (event := await ear.next()) is not None and event["event"] != "resync":
                ids.append(int(event["id"]))
            assert event["data"]["reason"] == "slow"
            assert await ear.next() is None
        assert ids == list(range(1, len(ids) + 1))
        assert len(ids) < 800
        # A machine that is busy may tell it before the first event.
        async with live.listen(after=len(ids)) as ear:
            assert await ear.ids(800 - len(ids)) == list(range(len(ids) + 1, 801))


@pytest.mark.parametrize(("after", "reason"), [(99, "ahead"), (0, "expired")])
async def test_a_number_that_cannot_be_resumed_is_said(live, after, reason):
    await live.happen(3)
    await live.here.rows("UPDATE notifier.feed_counter SET first = 3")
    token = await api.new_key(live.here.database, "w1")
    headers = {"Authorization": f"Bearer {token}", "Last-Event-ID": str(after)}
    async with (
        httpx.AsyncClient(base_url=live.url, headers=headers) as client,
        client.stream("GET", "/v1/stream") as response,
    ):
        resync = await Ear(response).next()
        assert (resync["event"], resync["data"]["reason"]) == ("resync", reason)


async def test_streams_end_when_the_process_leaves(database):
    async with living(database) as live, live.listen() as ear:
        live.here.runtime.stopping.set()
        async with asyncio.timeout(30):
            assert await ear.next() is None


async def test_a_client_that_leaves_leaves_nothing_behind(live):
    async with live.listen():
        assert len(live.hub._followers) == 1
    await eventually(lambda: not live.hub._followers and not live.hub._rooms)


async def test_a_revoked_key_loses_its_stream(database, monkeypatch):
    monkeypatch.setattr("services.notifier.handlers.streaming.RECHECK_SECONDS", 0.0)
    monkeypatch.setattr("shared.web.auth.REMEMBER_SECONDS", 0.0)
    async with living(database, stream_heartbeat_ms=50) as live, live.listen() as ear:
        async with database.transaction(Workspace("w1")) as tx:
            [key] = await keys.page(tx, "w1")
            await keys.revoke(tx, "w1", key.id)
        async with asyncio.timeout(30):
            while await ear.next() is not None:
                pass


async def test_a_key_of_one_team_hears_that_a_ticket_has_left_and_not_where_it_went(live):
    moved = {"view": ticket(team="product", owner="agt_zoe"), "came_from": tickets.Home(team="care", owner=ANN.id)}
    async with live.listen(teams=["care"]) as ear:
        await live.happen(1)
        await live.happen(1, **moved)
        await live.happen(1, view=ticket(team="product", owner="agt_zoe"))
        await live.happen(1)
        heard = [await ear.next() for _ in range(3)]
    assert [(event["id"], event["event"]) for event in heard] == [
        ("1", "ticket.updated.v1"),
        ("2", "ticket.left.v1"),
        ("4", "ticket.updated.v1"),
    ]
    assert heard[1]["data"]["data"] == {"workspace_id": "w1", "ticket": {"id": "tkt_1"}}
    assert "agt_zoe" not in str(heard)
    headers = {"Authorization": f"Bearer {await live.key(teams=['care'])}"}
    async with httpx.AsyncClient(base_url=live.url, headers=headers) as client:
        listed = (await client.get("/v1/changes")).json()["data"]
        assert listed == [event["data"] for event in heard]
        page = (await client.get("/v1/changes", params={"types": "ticket.left", "limit": 1})).json()
    assert [change["sequence"] for change in page["data"]] == [2]
