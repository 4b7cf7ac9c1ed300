"""A classifier on loopback that says what a test wants, late or badly if need be, and a router that asks it."""

import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from services.router.handlers.classifying import Classifier
from services.router.handlers.deciding import Router
from services.router.handlers.shadows import Shadows
from services.router.settings import RouterSettings
from shared.db.pool import Database
from shared.db.scope import Batch
from shared.egress import AddressPolicy, Egress
from shared.host import Runtime
from shared.log.consumer import Beforehand
from tests.support import past, peers
from tests.support.clock import ManualClock
from tests.support.messages import received
from tests.support.peers import Peer

Answer = Callable[[list[str]], Any]


def moods(texts: list[str]) -> Any:
    """The first word of a text is its mood."""
    return {"results": [{"sentiment": text.split()[0], "urgency": "high", "lane": "care"} for text in texts]}


@dataclass
class Asked:
    """What a classifier is asked, and what it says: JSON, raw bytes of a response, or nothing for ever (None)."""

    says: Answer = moods
    texts: list[list[str]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    url: str = ""

    async def behave(self, peer: Peer) -> None:
        """Answers request after request."""
        while True:
            head, _, body = (await peer.read_request()).partition(b"\r\n\r\n")
            self.heads.append(head.decode().lower())
            self.texts.append(json.loads(body)["texts"])
            said = self.says(self.texts[-1])
            if said is None:
                await peer.gone()
                return
            if not isinstance(said, bytes):
                content = json.dumps(said).encode()
                said = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content)
            await peer.send(said)


@dataclass
class Floor:
    """A router, its classifier, and the clock by which that is left alone."""

    database: Database
    asked: Asked
    runtime: Runtime
    clock: ManualClock
    router: Router

    async def decide(self, *messages: Any, workspace: str = "w1") -> list[dict[str, Any]]:
        """As a consumer would: what has to be asked is asked between two transactions. Gives the kept decisions."""
        events = [received(one) for one in messages]
        while True:
            try:
                async with self.database.transaction(Batch(frozenset({workspace})), schema="router") as tx:
                    await self.router.on_messages(tx, events)
                break
            except Beforehand as first:
                await first.ask()
        rows = await past.own(
            self.database,
            "SELECT message_id, rule, facts FROM router.decision WHERE message_id = ANY($1::text[])",
            [one.id for one in messages],
        )
        by_id = {row["message_id"]: dict(row) for row in rows}
        return [by_id[one.id] for one in messages]

    def count(self, outcome: str) -> float:
        """How many texts ended so."""
        name = f'baton_classified_texts_total{{outcome="{outcome}"}}'
        lines = self.runtime.metrics.exposition()[0].decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@asynccontextmanager
async def classifying(database: Database, says: Answer = moods, **settings: Any) -> AsyncIterator[Floor]:
    """A floor; `settings` without `classifier_`."""
    asked = Asked(says)
    clock = ManualClock()
    async with peers.serving(asked.behave) as server, Egress(AddressPolicy(allow_private=True)) as egress:
        asked.url = f"http://127.0.0.1:{server.port}/classify"
        runtime = dataclasses.replace(past.runtime(database), egress=egress, clock=clock)
        given = {f"classifier_{name}": value for name, value in ({"timeout_ms": 5_000} | settings).items()}
        classifier = Classifier(runtime, RouterSettings.load(**given), asked.url)
        router = Router(Shadows(0, runtime.metrics), classifier=classifier)
        yield Floor(database, asked, runtime, clock, router)
