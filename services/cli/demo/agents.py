"""Two agents with one inbox and no manners: they pick the same tickets, answer at once, and count what they hear."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

PAGE_SIZE: Final = 20
ANSWERS: Final = (
    "Thank you for writing! We are on it.",
    "Sorry about that. Could you send us your order number?",
    "Yes, we do! You will find it in our shop.",
    "Gracias por escribirnos, lo revisamos ahora mismo.",
    "ご連絡ありがとうございます。確認いたします。",
)


@dataclass(slots=True, kw_only=True)
class Agent:
    """One simulated member of staff, who works through the public API and nothing else."""

    id: str
    name: str
    client: httpx.AsyncClient
    key: str
    channel: str
    """The demo's own: nobody else's customers are answered."""
    run: str
    """Tells this day's requests from those of the same seed on another day."""
    chance: random.Random
    pace: float
    """Seconds between two looks at the inbox."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """How often each answer was accepted, or refused with which code."""
    accepted: list[str] = field(default_factory=list)
    """Ids of replies that were accepted."""
    _ours: dict[str, bool] = field(default_factory=dict)

    async def work(self, done: asyncio.Event) -> None:
        """Answers until told to stop."""
        while not done.is_set():
            try:
                await self._answer_one()
            except httpx.HTTPError:
                self.outcomes["unreachable"] += 1
            await asyncio.sleep(self.pace * self.chance.uniform(0.5, 1.5))

    async def looked(self) -> list[dict[str, Any]]:
        """The tickets of the demo that changed last, as they are now."""
        listed = await self._get("/v1/tickets", state="open", sort="updated", limit=PAGE_SIZE)
        return [ticket for ticket in listed["data"] if await self._is_ours(ticket["id"])]

    async def _answer_one(self) -> None:
        # Both look at the head of the same list: that is how two people end up on one ticket.
        tickets = (await self.looked())[:6]
        if not tickets:
            return
        ticket = self.chance.choice(tickets)
        await self._put(f"/v1/tickets/{ticket['id']}/presence", {"level": "composing", "session": "demo"})
        if self.chance.random() < 0.5:
            lease = await self._post(f"/v1/tickets/{ticket['id']}/lease", {"session": "demo"})
            if lease.status_code != 200:
                self._note(lease)
                return
        await asyncio.sleep(self.pace * self.chance.uniform(0.2, 1.0))
        await self.answer(ticket)

    async def answer(self, ticket: dict[str, Any]) -> None:
        """Answers a ticket as it was looked at, whatever has happened since."""
        text = f"{self.chance.choice(ANSWERS)} ({self.name[:1]}{len(self.accepted) + sum(self.outcomes.values())})"
        sent = await self._post(
            f"/v1/tickets/{ticket['id']}/replies",
            {"text": text, "seen_seq": ticket["last_seq"]},
            idempotency=f"demo-{self.run}-{self.chance.getrandbits(64):x}",
        )
        self._note(sent)
        if sent.status_code == 202:
            self.accepted.append(sent.json()["id"])
        await self.client.request("DELETE", f"/v1/tickets/{ticket['id']}/lease", headers=self._headers())

    async def _is_ours(self, ticket_id: str) -> bool:
        if ticket_id not in self._ours:
            conversations = (await self._get(f"/v1/tickets/{ticket_id}"))["conversations"]
            self._ours[ticket_id] = {one["channel_id"] for one in conversations} == {self.channel}
        return self._ours[ticket_id]

    def _note(self, response: httpx.Response) -> None:
        code = "accepted" if response.status_code == 202 else response.json().get("code", str(response.status_code))
        self.outcomes[code] += 1

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    async def _get(self, path: str, **query: Any) -> dict[str, Any]:
        response = await self.client.get(path, params=query, headers=self._headers())
        response.raise_for_status()
        found: dict[str, Any] = response.json()
        return found

    async def _put(self, path: str, body: dict[str, Any]) -> None:
        await self.client.put(path, json=body, headers=self._headers())

    async def _post(self, path: str, body: dict[str, Any], *, idempotency: str | None = None) -> httpx.Response:
        headers = self._headers() | ({"Idempotency-Key": idempotency} if idempotency else {})
        return await self.client.post(path, json=body, headers=headers)


async def meet(one: Agent, other: Agent) -> None:
    """Both answer the same customer at the same moment: what a short day may have left to chance."""
    for ticket in (await one.looked())[:1]:
        async with asyncio.TaskGroup() as group:
            group.create_task(one.answer(ticket))
            group.create_task(other.answer(ticket))
