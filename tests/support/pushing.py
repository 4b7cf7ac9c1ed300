"""A notifier that pushes to endpoints, and a client of its API."""

import asyncio
from contextlib import asynccontextmanager
from typing import Final

from services.notifier.api import router
from services.notifier.handlers.deliverer import Deliverer
from services.notifier.handlers.endpoints import Endpoints
from services.notifier.handlers.feed import TicketEvents
from services.notifier.handlers.following import Hub
from services.notifier.settings import NotifierSettings
from shared.events import tickets
from shared.log.postgres.log import PostgresLog
from tests.support import api
from tests.support.outgoing import happened, world
from tests.support.waiting import PATIENCE

QUICK: Final = {"lane_refresh_ms": 50, "lane_ttl_ms": 2_000, "endpoint_timeout_ms": 5_000, "feed_poll_ms": 20}


class Pushing:
    """A notifier that pushes, and a client of its API."""

    def __init__(self, here, hub, deliverer, client, group):
        self.here = here
        self.hub = hub
        self.deliverer = deliverer
        self.client = client
        self.group = group
        self.events = TicketEvents(wake=lambda: None, offer=hub.offer)

    async def happen(self, count=1, kind=tickets.TicketUpdated, **changes):
        await self.here.deliver(self.events.on_events, *(happened(kind, **changes) for _ in range(count)))

    async def endpoint(self, receiver, *, types=("*",), **more):
        body = {"url": receiver.url, "event_types": list(types), **more}
        response = await self.client.post("/v1/endpoints", json=body)
        assert response.status_code == 201, response.text
        return response.json()

    async def deliveries(self, endpoint, query=""):
        response = await self.client.get(f"/v1/endpoints/{endpoint['id']}/deliveries{query}")
        return response.json()["data"]

    async def state(self, endpoint):
        return (await self.client.get(f"/v1/endpoints/{endpoint['id']}")).json()

    async def post(self, path, **body):
        response = await self.client.post(f"/v1/endpoints/{path}", json=body or None)
        assert response.status_code < 300, response.text
        return response.json()

    async def rows(self, count):
        """Waits until so many deliveries are settled."""

        async def are_there():
            [row] = await self.here.rows("SELECT count(*) FROM notifier.delivery WHERE state <> 'waiting'")
            return row["count"] >= count

        await until(are_there)

    async def reads(self, endpoint, name, wanted):
        """Waits until the endpoint shows this."""

        async def does():
            return (await self.state(endpoint))[name] == wanted

        await until(does)


async def until(is_so):
    """Asks until it is so."""
    async with asyncio.timeout(PATIENCE):
        while not await is_so():  # noqa: ASYNC110 - nobody tells a test
            await asyncio.sleep(0.02)


@asynccontextmanager
async def pushing(database, **settings):
    async with PostgresLog.open(database) as log, world(database, log=log) as here:
        chosen = NotifierSettings(**(QUICK | settings))
        hub = Hub(here.runtime, chosen)
        deliverer = Deliverer(here.runtime, chosen, hub)
        endpoints = Endpoints(here.runtime, chosen, wake=deliverer.wake)
        stub = api.Stub(name="notifier", router=router, resources=[here.runtime, endpoints])
        app = api.new_app(database, stub)
        token = await api.new_key(database, "w1")
        async with api.client(app, token) as client, asyncio.TaskGroup() as group:
            group.create_task(hub.run())
            group.create_task(deliverer.run())
            yield Pushing(here, hub, deliverer, client, group)
            here.runtime.stopping.set()
            deliverer.wake()
