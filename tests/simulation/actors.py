"""Who uses the system: agents and bots who answer, claim, take over and let go, each by its own dice."""

import asyncio
import json
import random
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from tests.simulation.loop import VirtualLoop
from tests.simulation.process import Answer, Lost, Process

TIMEOUT: Final = 6.0


class World(Protocol):
    """What an actor needs of what it lives in."""

    loop: VirtualLoop

    def process(self) -> Process | None: ...
    def tell(self, line: str) -> None: ...
    def blame(self, line: str) -> None: ...


@dataclass(slots=True, kw_only=True)
class Agent:
    """A member of staff with a key."""

    world: World
    chance: random.Random
    name: str
    id: str
    token: str
    is_lead: bool = False
    is_bot: bool = False
    accepted: dict[str, str] = field(default_factory=dict)
    """Replies that were answered with 202, and their texts."""
    fences: list[tuple[str, int]] = field(default_factory=list)
    """Fences that it was given, each with its customer."""
    _held: dict[str, int] = field(default_factory=dict)
    _count: int = 0

    async def work(self, until: float) -> None:
        """One thing after the other."""
        while self.world.loop.time() < until:
            await asyncio.sleep(self.chance.choice((0.05, 0.3, 1.0, 2.0)))
            ticket = await self._choose()
            if ticket is not None:
                await self._act(ticket)

    async def _choose(self) -> Any:
        listed = await self.get("/v1/tickets?sort=updated&limit=20&state=open&state=pending")
        return self.chance.choice(listed["data"]) if listed and listed["data"] else None

    async def _act(self, ticket: dict[str, Any]) -> None:
        path, roll = f"/v1/tickets/{ticket['id']}", self.chance.random()
        if roll < 0.5:
            await self._answer(ticket)
        elif roll < 0.62:
            await self._lease(ticket, "POST", f"{path}/lease", {"session": self.name})
        elif roll < 0.74:
            await self._take_over(ticket, path)
        elif roll < 0.82:
            await self._keep(ticket, path, lets_go=roll > 0.78)
        elif roll < 0.86 and self.accepted:
            await self.send("DELETE", f"/v1/replies/{self.chance.choice(list(self.accepted))}")
        elif roll < 0.9 or self.is_bot:
            await self.send("POST", f"{path}/notes", {"text": f"note {self._count} by {self.name}"})
        elif roll < 0.97:
            await self._moderate(path)
        else:
            verb = self.chance.choice(("claim", "claim", "release", "resolve"))
            await self.send("POST", f"{path}/{verb}", {}, version=ticket["version"])

    async def _moderate(self, path: str) -> None:
        lines = await self.get(f"{path}/timeline?order=desc&limit=20")
        said = [line["message"] for line in lines["data"] if line["kind"] == "message"] if lines else []
        if comments := [message["id"] for message in said if message["kind"] == "comment"]:
            where = f"{path}/messages/{self.chance.choice(comments)}/moderation"
            for operation in self.chance.choices(("hide", "unhide", "like", "delete"), (4, 4, 2, 1), k=3):
                await self.send("POST", where, {"operation": operation})

    async def _take_over(self, ticket: dict[str, Any], path: str) -> None:
        mode = self.chance.choice(("auto", "force")) if self.is_lead else "auto"
        has_it = await self._lease(ticket, "POST", f"{path}/lease/takeover", {"mode": mode, "session": self.name})
        if has_it and self.chance.random() < 0.7 and (now := await self.get(path)):
            await self._answer(now)

    async def _keep(self, ticket: dict[str, Any], path: str, *, lets_go: bool) -> None:
        fence = self._held.get(ticket["id"])
        if fence is not None and lets_go:
            del self._held[ticket["id"]]
            await self.send("DELETE", f"{path}/lease?fence={fence}")
        elif fence is not None:
            await self.send("PUT", f"{path}/lease", {"fence": fence, "active": True})

    async def _lease(self, ticket: dict[str, Any], method: str, path: str, body: Any) -> bool:
        answer = await self.send(method, path, body)
        if answer and answer.status == 200 and (fence := json.loads(answer.body)["fence"]):
            self._held[ticket["id"]] = fence
            self.fences.append((ticket["customer"]["id"], fence))
            return True
        return False

    async def _answer(self, ticket: dict[str, Any]) -> None:
        self._count += 1
        # What was seen is older than what is there, now and then: somebody was typing meanwhile.
        if self.chance.random() < 0.3:
            await asyncio.sleep(self.chance.choice((0.2, 1.5)))
        text = f"{self.name} {self._count}"
        body: dict[str, Any] = {"text": text, "seen_seq": ticket["last_seq"]}
        if ticket["id"] in self._held and self.chance.random() < 0.6:
            body["fence"] = self._held[ticket["id"]]
        if self.is_lead and self.chance.random() < 0.1:
            body["override"] = True
        answer = await self.send("POST", f"/v1/tickets/{ticket['id']}/replies", body)
        if answer and answer.status == 202:
            told = json.loads(answer.body)
            self.accepted[told["id"]] = text
            self.fences.append((ticket["customer"]["id"], told["fence"]))
            self.world.tell(f"{self.name}: {text!r} is {told['id'][-4:]} under fence {told['fence']}")

    async def send(self, method: str, path: str, body: Any = None, *, version: int | None = None) -> Answer | None:
        """A write, tried again under the same key until somebody answers; None when nobody did for long."""
        self._count += 1
        headers = {"idempotency-key": f"{self.name}-{self._count:08}"}
        if version is not None:
            headers["if-match"] = f'"{version}"'
        raw = b"" if body is None else json.dumps(body).encode()
        for attempt in range(8):
            answer = await self._once(method, path, headers, raw)
            if answer is not None and answer.status != 503 and b"request-in-progress" not in answer.body:
                if answer.status >= 500:
                    self.world.blame(f"{method} {path}: {answer.status} {answer.body.decode()}")
                self.world.tell(f"{self.name}: {method} {_short(path)} {answer.status}")
                return answer
            await asyncio.sleep(0.3 * 2**attempt)
        return None

    async def get(self, path: str) -> Any:
        """A read; None when nobody answers."""
        answer = await self._once("GET", path, {}, b"")
        if answer is not None and answer.status >= 500 and answer.status != 503:
            self.world.blame(f"GET {path}: {answer.status} {answer.body.decode()}")
        return json.loads(answer.body) if answer is not None and answer.status == 200 else None

    async def _once(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer | None:
        process = self.world.process()
        if process is None:
            return None
        try:
            async with asyncio.timeout(TIMEOUT):
                return await process.call(method, path, {"authorization": f"Bearer {self.token}", **headers}, body)
        except (Lost, TimeoutError):
            return None


def _short(path: str) -> str:
    return "/".join(part[-4:] if len(part) > 30 else part for part in path.split("/"))
