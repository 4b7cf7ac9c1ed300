"""Ingest on a real database: its webhook path and API without a socket, its loops under the test's control."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import asyncpg
import httpx
from fastapi import APIRouter

from services.ingest.api import channels as channel_routes
from services.ingest.api import inbox as inbox_routes
from services.ingest.api.paths import webhook_paths
from services.ingest.api.webhooks import PREFIXES
from services.ingest.handlers.normalizer import Normalizer
from services.ingest.handlers.worker import Worker
from services.ingest.service import Parts, assemble
from services.ingest.settings import IngestSettings
from shared.db.appending import decode_headers
from shared.db.pool import Database
from shared.db.scope import Owner
from shared.egress import AddressPolicy, Egress
from shared.events import envelope
from shared.events.envelope import Event
from shared.host import Runtime, inert_runtime
from shared.log.background import running
from shared.networks.facebook import Facebook
from shared.networks.port import Network, Parsed
from shared.networks.registry import NETWORKS
from shared.sealing import KeyRing
from shared.settings import KernelSettings
from shared.web.app import App
from tests.support import api
from tests.support.networks.sample import PAGE
from tests.support.served import served
from tests.support.waiting import PATIENCE

SECRET: Final = "old-secret"
CREDENTIALS: Final = {"app_secret": SECRET, "verify_token": "open-sesame", "access_token": "canary-access-token"}
KEYRING: Final = KeyRing([bytes(32)])


class Changeable(Facebook):
    """Facebook with a parser that a test may replace, as a release would."""

    def __init__(self) -> None:
        self.read: Callable[[bytes], Parsed] = super().parse

    def parse(self, raw: bytes) -> Parsed:
        """What the parser of the day makes of it."""
        return self.read(raw)


@dataclass(kw_only=True)
class Door:
    """Ingest, open. `http` has no key: it is what networks use."""

    database: Database
    runtime: Runtime
    settings: IngestSettings
    networks: Mapping[str, Network]
    parts: Parts
    app: Any
    http: httpx.AsyncClient

    @asynccontextmanager
    async def api(self, workspace_id: str = "w1", **key: Any) -> AsyncIterator[httpx.AsyncClient]:
        """A client with a key of a workspace, which exists afterwards."""
        async with self.database.transaction(Owner()) as tx:
            known = await tx.fetchval("SELECT true FROM platform.workspace WHERE workspace_id = $1", workspace_id)
        if not known:
            await api.new_workspace(self.database, workspace_id)
        async with api.client(self.app, await api.new_key(self.database, workspace_id, **key)) as client:
            yield client

    async def connect(self, workspace_id: str = "w1", **changes: Any) -> dict[str, Any]:
        """A connected Facebook Page, or what the changes make of it."""
        body = {"network": "facebook", "name": "Page", "external_id": PAGE, "credentials": CREDENTIALS} | changes
        async with self.api(workspace_id) as client:
            answer = await client.post("/v1/channels", json=body)
        assert answer.status_code == 201, answer.text
        channel: dict[str, Any] = answer.json()
        return channel

    async def post(self, path: str, body: Any, *, secret: str = SECRET) -> httpx.Response:
        """A delivery as Facebook signs it."""
        content = raw(body)
        return await self.http.post(path, content=content, headers=signed(content, secret))

    def worker(self, member: str, **settings: Any) -> Worker:
        """Another process's worker on the same database."""
        changed = self.settings.model_copy(update=settings)
        normalizer = Normalizer(
            self.database, member=member, networks=self.networks, settings=changed, metrics=self.runtime.metrics
        )
        return Worker(self.database, normalizer, member=member, settings=changed)

    async def normalize(self, **settings: Any) -> int:
        """Works off all that waits, alone; returns how many deliveries that was."""
        worker = self.worker("nrm_test", **settings)
        await worker.share()
        total = 0
        while count := await worker.step():
            total += count
        await worker.leave()
        return total

    async def events(self, prefix: str = "message.") -> list[Event]:
        """What was published, in the order of the log."""
        rows = await self.rows("SELECT headers, value FROM log.event ORDER BY id")
        decoded = [envelope.decode(decode_headers(row["headers"]), row["value"]) for row in rows]
        return [event for event in decoded if event.type.startswith(prefix)]

    async def rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Anything, past row security."""
        async with self.database.transaction(Owner()) as tx:
            return await tx.fetch(sql, *arguments)


@asynccontextmanager
async def open_door(
    database: Database,
    *,
    networks: Mapping[str, Network] = NETWORKS,
    loops: bool = True,
    kernel: Mapping[str, Any] | None = None,
    socket: bool = False,
    **settings: Any,
) -> AsyncIterator[Door]:
    """Ingest with its intake running; normalizing is the test's to call. With `socket`, deliveries come over one."""
    given = IngestSettings(**settings)
    kernel_settings = KernelSettings(**(kernel or {}))
    policy = AddressPolicy(allow_private=kernel_settings.allow_private_egress)
    async with Egress(policy) as egress:
        runtime = replace(
            inert_runtime("ingest"),
            settings=kernel_settings,
            database=database,
            egress=egress,
            keyring=KEYRING,
            clock=database.clock,
            ids=database.ids,
        )
        parts = assemble(runtime, networks=networks, settings=given)
        stub = api.Stub(
            name="ingest",
            router=APIRouter(routes=[*channel_routes.router.routes, *inbox_routes.router.routes]),
            mounts=dict.fromkeys(PREFIXES, parts.webhooks),
            hooks=dict.fromkeys(PREFIXES, parts.webhooks.take),
            mount_paths=webhook_paths(),
            resources=(parts.channels,),
        )
        app = api.new_app(database, stub, settings=kernel_settings)
        async with (
            running(*([parts.intake.run] if loops else [])),
            _over_socket(app) if socket else api.client(app) as http,
        ):
            yield Door(
                database=database,
                runtime=runtime,
                settings=given,
                networks=networks,
                parts=parts,
                app=app,
                http=http,
            )


@asynccontextmanager
async def _over_socket(app: App) -> AsyncIterator[httpx.AsyncClient]:
    async with served(app) as there, httpx.AsyncClient(base_url=there.url, timeout=PATIENCE) as http:
        yield http


def raw(body: Any) -> bytes:
    """JSON as Facebook writes it, unless it is bytes already."""
    return body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()


def page(*entries: Any) -> dict[str, Any]:
    """A delivery of these entries."""
    return {"object": "page", "entry": list(entries)}


def signed(content: bytes, secret: str = SECRET) -> dict[str, str]:
    """Facebook's headers."""
    mac = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={mac}", "Content-Type": "application/json"}
