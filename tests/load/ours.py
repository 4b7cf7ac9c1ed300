"""Our webhook path in a process and on a core of its own, with what stores deliveries passed in.

`python -m tests.load.ours decoding|forgetting|durable CORE [DSN]` prints its port, and serves until it is ended.
"""

import asyncio
import sys
from datetime import timedelta
from typing import Any, Final, cast

import uvloop

from services.ingest.api.webhooks import PREFIXES, Webhooks
from services.ingest.domain.deliveries import Arrival
from services.ingest.handlers.directory import Directory
from services.ingest.handlers.intake import Intake, Told
from services.ingest.handlers.refusals import Refusals
from services.ingest.settings import IngestSettings
from shared.clock import SystemClock
from shared.db.pool import Database
from shared.ids import TimeOrderedIds
from shared.networks.registry import NETWORKS
from shared.telemetry.metrics import Metrics
from shared.web import server
from shared.web.app import App
from tests.load import bodies, channels, process
from tests.support.api import Stub, new_app

BODY_LIMIT: Final = 1024 * 1024
POOL: Final = 16


class Decoding:
    """In the inbox's place: does the floor's decode, which ours leaves to the normalizer, and keeps nothing."""

    def keep(self, arrival: Arrival, told: Told) -> None:
        """Done at once."""
        bodies.DECODE(arrival.body)
        told(None)


class Forgetting:
    """In the inbox's place: does nothing."""

    def keep(self, _: Arrival, told: Told) -> None:
        """Done at once."""
        told(None)


def face(database: Database, intake: Any) -> App:
    """The raw webhook path behind the mount of the whole face, as every process has it."""
    webhooks = Webhooks(
        networks=NETWORKS,
        directory=Directory(database, channels.RING, SystemClock()),
        intake=intake,
        refusals=Refusals(database),
        clock=SystemClock(),
        metrics=Metrics(),
        body_limit=BODY_LIMIT,
    )
    mounts, hooks = dict.fromkeys(PREFIXES, webhooks), dict.fromkeys(PREFIXES, webhooks.take)
    return new_app(database, Stub(name="ingest", mounts=mounts, hooks=hooks))


async def _in_memory(intake: Any, stop: asyncio.Event) -> None:
    await _serve(face(cast("Database", channels.InMemory()), intake), stop)


async def _durable(dsn: str, stop: asyncio.Event) -> None:
    ids = TimeOrderedIds()
    async with Database.open(dsn, clock=SystemClock(), ids=ids, size=POOL) as database, asyncio.TaskGroup() as group:
        intake = Intake(database, ids, IngestSettings.load())
        writing = group.create_task(intake.run())
        await _serve(face(database, intake), stop)
        writing.cancel()


async def _serve(app: App, stop: asyncio.Event) -> None:
    listener = server.listen("127.0.0.1", 0)
    said = {"port": listener.getsockname()[1]}
    await server.serve(app, listener, stop=stop, grace=timedelta(seconds=1), started=lambda: process.say(said))


async def _main() -> None:
    name, core, *rest = sys.argv[1:]
    process.pin(int(core))
    stop = process.until_told()
    match name:
        case "decoding":
            await _in_memory(Decoding(), stop)
        case "forgetting":
            await _in_memory(Forgetting(), stop)
        case "durable":
            await _durable(rest[0], stop)
        case _:
            raise SystemExit(f"there is no server {name}")


if __name__ == "__main__":
    uvloop.run(_main())
