"""One conversation on every network: a message in, a ticket with an owner, one answer out, the second refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import httpx

from services.cli.demo.channels import System, connect
from services.cli.demo.networks.facebook import Facebook
from services.cli.demo.networks.instagram import Instagram
from services.cli.demo.networks.integration import Integration
from services.cli.demo.networks.simulated import Opening, Simulated
from services.cli.demo.networks.telegram import Telegram
from services.cli.demo.networks.whatsapp import WhatsApp
from services.cli.demo.networks.x import X

PATIENCE: Final = 30.0
"""Seconds for each thing that is waited for."""

ANSWER: Final = "Thank you for writing! We are on it."
BESIDE: Final = "Let me have a look at it, too."


@dataclass(slots=True, kw_only=True)
class Story:
    """What came of a customer's first words."""

    network: str
    what: str
    customer: str
    text: str
    ticket: str = ""
    team: str = ""
    owner: str = ""
    answer: str = ""
    answered_by: str = ""
    known_as: str = ""
    """The network's id of the answer."""
    refused: str = ""
    """Whom Baton kept from answering too."""
    because: str = ""
    """The code of the refusal."""
    problem: str | None = None


def accounts() -> list[Simulated]:
    """One of each network; the Page is another than that of the day, whose answers are counted."""
    return [Facebook(account="1067280970047461"), Instagram(), WhatsApp(), X(), Telegram(), Integration()]


async def tour(system: System) -> list[Story]:
    """Plays all of them at once."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=system.url, timeout=15, trust_env=False))
        desk = Desk(client, system)
        networks = [await stack.enter_async_context(network.serving()) for network in accounts()]

        for network in networks:
            await connect(client, system.admin, network)

        async def visit(network: Simulated) -> list[Story]:
            return [await desk.play(network, opening) for opening in network.openings()]

        async with asyncio.TaskGroup() as group:
            visits = [group.create_task(visit(network)) for network in networks]
        return [story for each in visits for story in each.result()]


class Desk:
    """Two agents and what they see, through the public API and nothing else."""

    def __init__(self, client: httpx.AsyncClient, system: System) -> None:
        self._client = client
        self._admin = system.admin
        self._agents = system.agents[:2]

    async def play(self, network: Simulated, opening: Opening) -> Story:
        """From the customer's words to the second answer."""
        story = Story(network=network.network, what=opening.what, customer=opening.customer, text=opening.text)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._play(network, opening, story)
        except TimeoutError:
            story.problem = f"nothing more happened within {PATIENCE:.0f} s"
        return story

    async def _play(self, network: Simulated, opening: Opening, story: Story) -> None:
        status = await network.post(opening.payload)
        if not 200 <= status < 300:
            story.problem = f"the webhook got {status}"
            return
        ticket = await self._ticket(network.network, opening.item)
        agents = sorted(self._agents, key=lambda agent: agent[0] != ticket["owner"])
        (first_id, first, first_key), (_, second, second_key) = agents
        story.ticket, story.team = ticket["id"], ticket["team"]
        story.owner = first if ticket["owner"] == first_id else ticket["owner"]
        accepted = await self._reply(first_key, ticket, ANSWER)
        if accepted.status_code != 202:
            story.problem = f"{first}'s answer got {accepted.status_code}: {accepted.text}"
            return
        reply = await self._settled(accepted.json()["id"])
        await network.caught_up()
        story.answered_by, story.answer, story.known_as = first, reply["text"], reply["external_id"] or ""
        # The lease is free again, and the second has read everything: it is the turn that is taken.
        await self._client.delete(f"/v1/tickets/{ticket['id']}/lease", headers={"Authorization": f"Bearer {first_key}"})
        current = await self._get(f"/v1/tickets/{ticket['id']}")
        refused = await self._reply(second_key, current, BESIDE)
        story.refused = second
        story.because = "" if refused.status_code == 202 else refused.json()["code"]
        heard = [taken.text for taken in network.received if taken.target == opening.target]
        if reply["state"] != "sent" or refused.status_code == 202 or heard != [ANSWER]:
            story.problem = f"the answer is {reply['state']}, the second got {refused.status_code}, heard was {heard}"

    async def _ticket(self, network: str, item: str) -> dict[str, Any]:
        """The ticket with this message, once somebody owns it."""
        async for ticket in self._looking(network):
            lines = (await self._get(f"/v1/tickets/{ticket['id']}/timeline"))["data"]
            if ticket["owner"] and any((line.get("message") or {}).get("external_id") == item for line in lines):
                return ticket
        raise AssertionError("looking has no end")

    async def _looking(self, network: str) -> AsyncIterator[dict[str, Any]]:
        while True:
            for ticket in (await self._get("/v1/tickets", network=network, sort="updated", limit=20))["data"]:
                yield ticket
            await asyncio.sleep(0.05)

    async def _settled(self, reply: str) -> dict[str, Any]:
        while (shown := await self._get(f"/v1/replies/{reply}"))["state"] in {"queued", "sending"}:
            await asyncio.sleep(0.05)
        return shown

    async def _reply(self, key: str, ticket: dict[str, Any], text: str) -> httpx.Response:
        return await self._client.post(
            f"/v1/tickets/{ticket['id']}/replies",
            json={"text": text, "seen_seq": ticket["last_seq"]},
            headers={"Authorization": f"Bearer {key}"},
        )

    async def _get(self, path: str, **query: Any) -> dict[str, Any]:
        response = await self._client.get(path, params=query, headers={"Authorization": f"Bearer {self._admin}"})
        response.raise_for_status()
        found: dict[str, Any] = response.json()
        return found
