"""Sixteen clients on a few tickets: what each asked, what it heard, and when, by one clock."""

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import httpx

from tests.support import lease_history as leases
from tests.support import ticket_history as tickets
from tests.support.callers import Api, connected, hired
from tests.support.lease_history import Lease, check_lease
from tests.support.linearizable import Operation
from tests.support.page import Page
from tests.support.screen import Screen, of_lease, of_ticket
from tests.support.system import System
from tests.support.ticket_history import Page as TicketPage
from tests.support.ticket_history import Ticket, check_ticket

DURATIONS: Final = {
    "heartbeat": 100,
    "lease_ttl": 700,
    "idle_release": 1100,
    "takeover_free_after": 500,
    "takeover_request": 250,
}
"""Of the workspace, in milliseconds: everything that can happen to a lease happens within a second or two."""

LEASE: Final = Lease(ttl=0.7, idle=1.1, free_after=0.5, request=0.25)
VERBS: Final = {
    "acquire": 5,
    "beat": 10,
    "release": 2,
    "take over": 2,
    "force": 1,
    "read": 5,
    "amend": 3,
    "note": 1,
    "reply": 2,
}
"""How often each is chosen."""


@dataclass(slots=True, kw_only=True)
class Story:
    """Everything that was asked and heard about one ticket."""

    id: str
    author: int
    first: TicketPage
    of_lease: list[Operation] = field(default_factory=list)
    of_ticket: list[Operation] = field(default_factory=list)

    def check(self) -> None:
        """Both histories have an order that explains them."""
        check_lease(self.of_lease, LEASE)
        check_ticket(self.of_ticket, Ticket(first=self.first))

    def crashed(self, start: float, end: float) -> None:
        """The process was killed, and another one had its data by then: what had no answer happened before, or never.

        Messages are not asked by anybody who waits: they happen whenever they are read.
        """
        for history in (self.of_lease, self.of_ticket):
            for place, one in enumerate(history):
                if one.result is None and one.call.verb != "message" and one.start < start:
                    history[place] = replace(one, end=min(one.end, end))
        told = leases.Told(verdict="crashed")
        crash = Operation(who="-", call=leases.Call(verb="crash"), result=told, start=start, end=end)
        self.of_lease.append(crash)


@dataclass(slots=True, kw_only=True)
class Client:
    """A screen with a connection of its own."""

    system: System
    screen: Screen
    heard: int = 0

    async def work(self, stories: list[Story], done: asyncio.Event) -> None:
        """Until told to stop, with a new connection whenever the old one goes dead."""
        chance = self.screen.chance
        while not done.is_set():
            async with connected(self.system, connections=1) as http:
                while not done.is_set():
                    # Whoever answers somebody stays there for a while.
                    own = [story for story in stories if story.id == self.screen.at and chance.random() < 0.7]
                    if not await self._next(http, chance.choice(own or stories)):
                        break
            await asyncio.sleep(0.02)

    async def once(self, http: httpx.AsyncClient, story: Story, verb: str) -> bool:
        """One operation, as it went; whether the connection still lives."""
        request, api = self.screen.request(verb, story.id), Api(http, self.screen.agent.key)
        path, start = f"/v1/tickets/{story.id}{request.path}", time.monotonic()
        try:
            response = await api.call(request.method, path, request.body, **request.headers)
        except httpx.ConnectError:
            # Nobody was there to hear it.
            return False
        except httpx.TransportError:
            response = None
        end = time.monotonic()
        if response is not None and response.status_code == 503:
            response = None
        self.heard += response is not None
        lease = of_lease(request.lease, response) if request.lease and response is not None else None
        ticket = of_ticket(request.ticket, response) if request.ticket and response is not None else None
        for call, told, history in (
            (request.lease, lease, story.of_lease),
            (request.ticket, ticket, story.of_ticket),
        ):
            if call is not None:
                history.append(self._operation(call, told, start, end))
        self.screen.note(story.id, lease, ticket)
        return response is not None

    async def _next(self, http: httpx.AsyncClient, story: Story) -> bool:
        chance = self.screen.chance
        await asyncio.sleep(chance.uniform(0, 0.03))
        [verb] = chance.choices([*VERBS], [*VERBS.values()])
        if verb == "force" and not self.screen.may_force:
            verb = "take over"
        if verb in ("amend", "reply") and chance.random() < 0.7 and not await self.once(http, story, "read"):
            return False
        return await self.once(http, story, verb)

    def _operation(self, call: Any, told: Any, start: float, end: float) -> Operation:
        who = f"{self.screen.agent.name}/{self.screen.session}"
        return Operation(who=who, call=call, result=told, start=start, end=math.inf if told is None else end)


async def gather_crowd(system: System, admin: Api, chance: random.Random) -> list[Client]:
    """Sixteen screens: nine agents, five of them with two, a lead and a bot."""
    agents = await hired(admin, 9)
    [lead], [bot] = await hired(admin, 1, role="lead"), await hired(admin, 1, role="bot", kind="bot")
    screens: list[tuple[Api, str, dict[str, bool]]] = [(api, "one", {}) for api in agents]
    screens += [(api, "two", {}) for api in agents[:5]]
    screens += [(lead, "one", {"may_force": True}), (bot, "one", {"is_human": False})]
    return [
        Client(
            system=system,
            screen=Screen(agent=api.agent, session=session, chance=random.Random(chance.random()), **more),
        )
        for api, session, more in screens
        if api.agent is not None
    ]


async def open_stories(page: Page, count: int) -> list[Story]:
    """Customers who wait for an answer, each with a ticket to which nothing happens any more by itself."""
    found = []
    for _ in range(count):
        author, _, ticket = await page.asked()
        first = TicketPage(ticket["version"], ticket["priority"], ticket["last_seq"])
        found.append(Story(id=ticket["id"], author=author, first=first))
    return found


async def ask_again(page: Page, story: Story) -> None:
    """The customer writes once more: the ticket has one version more at some time later."""
    call = tickets.Call(verb="message", priority="normal")
    story.of_ticket.append(Operation(who="customer", call=call, start=time.monotonic()))
    await page.say(page.comment(story.author, "Hello?"))


@asynccontextmanager
async def rushing(clients: list[Client], stories: list[Story]) -> AsyncIterator[None]:
    """All of them work for as long as the block runs."""
    done = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(client.work(stories, done))
        try:
            yield
        finally:
            done.set()
