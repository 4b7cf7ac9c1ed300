"""The HTTP API as its users call it: one key's requests, pages, replies and live stream."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from shared.clock import SystemClock
from shared.db.pool import Database
from shared.db.scope import Workspace
from shared.ids import TimeOrderedIds
from shared.platform import keys as tokens
from shared.platform.store import agents, keys, workspaces
from tests.support.fleet import Fleet
from tests.support.system import Agent, System
from tests.support.waiting import PATIENCE

T = TypeVar("T")


class Api:
    """One key's view of the HTTP API."""

    def __init__(self, http: httpx.AsyncClient, key: str | None, *, agent: Agent | None = None) -> None:
        self.http = http
        self.key = key
        self.agent = agent

    def headers(self, **more: str | None) -> dict[str, str]:
        """With the key; underscores of names become dashes."""
        found = {name.replace("_", "-"): value for name, value in more.items() if value is not None}
        return found | ({"Authorization": f"Bearer {self.key}"} if self.key else {})

    async def call(self, method: str, path: str, body: Any = None, **headers: str | None) -> httpx.Response:
        """One request, whatever the answer."""
        return await self.http.request(method, path, json=body, headers=self.headers(**headers))

    async def post(self, path: str, body: Any = None, **headers: str | None) -> httpx.Response:
        """One request, whatever the answer."""
        return await self.call("POST", path, body, **headers)

    async def patient(self, path: str, body: Any = None) -> httpx.Response:
        """One POST; whoever is told to come back later does."""
        for _ in range(5):
            answer = await self.post(path, body)
            if answer.status_code != 503:
                break
            await asyncio.sleep(int(answer.headers["retry-after"]))
        return answer

    async def made(self, path: str, body: Any = None, **headers: str | None) -> Any:
        """What a POST that must succeed gave."""
        response = await self.post(path, body, **headers)
        assert response.is_success, f"{response.status_code}: {response.text}"
        return response.json()

    async def get(self, path: str, **query: Any) -> Any:
        """What a GET that must succeed gave."""
        response = await self.http.get(path, params=query, headers=self.headers())
        assert response.status_code == 200, f"{path}: {response.status_code}: {response.text}"
        return response.json()

    async def every(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """All pages of a list."""
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = await self.get(path, limit=200, **query, **({"cursor": cursor} if cursor else {}))
            found += page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    async def timeline(self, ticket_id: str) -> list[dict[str, Any]]:
        """Every line of a ticket."""
        return await self.every(f"/v1/tickets/{ticket_id}/timeline")

    async def reply(self, ticket: Mapping[str, Any], text: str, **more: Any) -> httpx.Response:
        """Answers a ticket as it was read; where too many wait in front of it, again."""
        body = {"text": text, "seen_seq": ticket["last_seq"], **more}
        return await self.patient(f"/v1/tickets/{ticket['id']}/replies", body)

    async def settled(self, reply_id: str, *, within: float = PATIENCE) -> dict[str, Any]:
        """A reply once it is neither queued nor being sent."""

        async def finished() -> dict[str, Any] | None:
            shown: dict[str, Any] = await self.get(f"/v1/replies/{reply_id}")
            return None if shown["state"] in {"queued", "sending"} else shown

        return await until(finished, within=within)

    @asynccontextmanager
    async def stream(self, *, last: int | None = None, **query: str) -> AsyncIterator[AsyncIterator["Told"]]:
        """The live stream, from now on or behind a number."""
        headers = self.headers(Last_Event_ID=None if last is None else str(last))
        timeout = httpx.Timeout(PATIENCE, read=60)
        async with self.http.stream("GET", "/v1/stream", params=query, headers=headers, timeout=timeout) as response:
            assert response.status_code == 200, await response.aread()
            assert response.headers["content-type"].startswith("text/event-stream")
            yield _told(response)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event of the live stream; `data` is the event's own, out of the envelope that the feed puts around it."""

    id: int | None
    type: str
    data: dict[str, Any]

    def is_about(self, ticket_id: str) -> bool:
        """Whether it is something about a ticket."""
        return bool(self.data.get("ticket", {}).get("id") == ticket_id)


async def _told(response: httpx.Response) -> AsyncIterator[Told]:
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        if "event" in fields:
            number = int(fields["id"]) if "id" in fields else None
            data = json.loads(fields["data"])
            if "data" in data:
                assert (data["type"], data["sequence"]) == (fields["event"], number)
                data = data["data"]
            yield Told(id=number, type=fields["event"], data=data)
        fields = {}


@asynccontextmanager
async def connected(system: System | Fleet, *, connections: int = 100) -> AsyncIterator[httpx.AsyncClient]:
    """HTTP to a system; each of so many callers at once has a connection of its own."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    door = system.door(limits) if isinstance(system, Fleet) else httpx.AsyncHTTPTransport(limits=limits)
    async with httpx.AsyncClient(base_url=system.url, timeout=PATIENCE, transport=door, trust_env=False) as http:
        yield http


async def until(ask: Callable[[], Awaitable[T | None]], *, within: float = PATIENCE, every: float = 0.03) -> T:
    """Asks until the answer is true; fails if it takes too long."""
    deadline = time.monotonic() + within
    while not (found := await ask()):
        assert time.monotonic() < deadline, f"it did not come within {within} s"
        await asyncio.sleep(every)
    return found


async def hired(admin: Api, count: int, *, role: str = "agent", kind: str = "human") -> list[Api]:
    """New agents who take no tickets by themselves, each with a key, made as an admin would."""

    async def one(number: int) -> Api:
        name = f"Agent {number}"
        made = await admin.made("/v1/agents", {"name": name, "kind": kind, "role": role, "capacity": 0})
        key = await admin.made("/v1/keys", {"name": name, "role": role, "agent_id": made["id"]})
        return Api(admin.http, key["token"], agent=Agent(id=made["id"], name=name, key=key["token"]))

    return await at_once(one(number) for number in range(count))


async def at_once(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Runs all of it at the same time; the results in order."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in work]
    return [task.result() for task in tasks]


async def other_workspace(system: System, http: httpx.AsyncClient) -> Api:
    """Somebody of a new workspace who may do everything there. No public path makes one, so it is written as `baton up` writes the first."""
    ids = TimeOrderedIds()
    workspace, agent, key_id, secret = ids.new("wsp"), ids.new("agt"), ids.new("key"), tokens.new_secret()
    async with (
        Database.open(system.database_url, clock=SystemClock(), ids=ids, size=2) as database,
        database.transaction(Workspace(workspace)) as tx,
    ):
        await workspaces.create(tx, workspace_id=workspace, name="Other")
        await agents.create(tx, workspace, agent_id=agent, name="Eve", role="admin")
        await keys.issue(
            tx, workspace, key_id=key_id, secret=secret, name="Eve", role="admin", environment="demo", agent_id=agent
        )
    return Api(http, tokens.token("demo", key_id, secret))
