"""The whole system as a child process, set up like a brand's, and what its database says in the end."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import httpx

from tests.load import bodies, process, rulebook
from tests.load.stage import temporary_folder

TEAMS: Final = ("care", "product", "community")
AGENTS: Final = 30
CAPACITY: Final = 10_000
RULES: Final = 1_000

_ON_ONE_TICKET: Final = """
SELECT count(*) FROM (
    SELECT m.external_id FROM tickets.message m
    JOIN tickets.ticket t ON t.id = m.ticket_id JOIN tickets.entry e ON e.message_id = m.id AND e.kind = 'message'
    WHERE m.direction = 'in' GROUP BY m.external_id HAVING count(*) = 1
) AS right_ones
"""
_IN_THE_FEED: Final = """
SELECT count(*) FROM (
    SELECT convert_from(data, 'UTF8')::jsonb #>> '{message,external_id}' FROM notifier.feed
    WHERE type IN ('ticket.created.v1', 'ticket.updated.v1', 'ticket.reopened.v1')
        AND convert_from(data, 'UTF8')::jsonb ? 'message'
    GROUP BY 1 HAVING count(*) = 1
) AS right_ones
"""
_COUNTS: Final = {
    "in the inbox": "SELECT count(*) FROM ingest.inbox",
    "on exactly one ticket": _ON_ONE_TICKET,
    "in the feed exactly once": _IN_THE_FEED,
    "tickets": "SELECT count(*) FROM tickets.ticket",
    "tickets with an owner": "SELECT count(*) FROM tickets.ticket WHERE owner_id IS NOT NULL",
}


@dataclass(slots=True, kw_only=True)
class System:
    """`baton up`, running."""

    url: str
    key: str
    pid: int
    data: Path

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(urlsplit(self.url).port or 0)

    def client(self) -> httpx.AsyncClient:
        """An admin's."""
        return httpx.AsyncClient(base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=30)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """Beside all pools, as the owner of everything."""
        connection = await asyncpg.connect(f"postgresql://baton@/baton?host={self.data / 'run'}&port=5432", timeout=10)
        try:
            yield connection
        finally:
            await connection.close(timeout=5)

    async def counts(self) -> dict[str, int]:
        """What the database holds, beside the API."""
        async with self.connection() as connection:
            return {name: await connection.fetchval(sql, timeout=60) for name, sql in _COUNTS.items()}

    def cpu_seconds(self) -> tuple[float, float]:
        """What Baton itself and its Postgres have used so far."""
        postmaster = int((self.data / "postgres" / "postmaster.pid").read_text().split()[0])
        database = process.cpu_seconds([postmaster], gone=True) + process.cpu_seconds(process.children(postmaster))
        return process.cpu_seconds([self.pid]), database


@asynccontextmanager
async def running(environment: Mapping[str, str] | None = None) -> AsyncIterator[System]:
    """Started on an empty folder, ended with the block."""
    env = {"BATON_ALLOW_PRIVATE_EGRESS": "1", "BATON_LOG_LEVEL": "warning", **(environment or {})}
    with temporary_folder() as folder:
        arguments = ("up", "--json", "--port", "0", "--data-dir", str(folder / "data"))
        async with process.child("services.cli.main", *arguments, env=env) as child:
            found = await child.line()
            yield System(url=found["url"], key=found["keys"]["admin"], pid=child.process.pid, data=folder / "data")


async def set_up(system: System) -> str:
    """Thirty agents in three teams, a thousand rules, one Page: the path of its webhooks."""
    document = rulebook.World(rulebook.SEED, told=rulebook.SPARSE).document(RULES)
    async with system.client() as client:
        for agent in (await _post(client, "GET", "/v1/agents"))["data"]:
            with suppress(httpx.HTTPStatusError):
                await _post(client, "PUT", f"/v1/agents/{agent['id']}/availability", {"availability": "away"})
        for number in range(AGENTS):
            team = TEAMS[number % len(TEAMS)]
            await _post(
                client, "POST", "/v1/agents", {"name": f"Agent {number}", "capacity": CAPACITY, "teams": [team]}
            )
        version = (await _post(client, "POST", "/v1/rulesets", {"document": document}))["version"]
        await _post(client, "POST", f"/v1/rulesets/{version}/activate")
        credentials = {"app_secret": bodies.SECRET, "verify_token": bodies.VERIFY_TOKEN, "access_token": "bench"}
        channel = {"network": "facebook", "name": "Page", "external_id": bodies.PAGE, "credentials": credentials}
        return str((await _post(client, "POST", "/v1/channels", channel))["webhook_path"])


async def _post(client: httpx.AsyncClient, method: str, path: str, body: Any = None) -> Any:
    response = await client.request(method, path, json=body)
    if response.is_error:
        raise RuntimeError(f"{method} {path}: {response.status_code} {response.text[:300]}")
    return response.json() if response.content else None
