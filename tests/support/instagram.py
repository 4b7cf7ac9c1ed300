"""A connected Instagram account: what customers write is signed and posted, what Baton answers is taken and echoed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from services.cli.demo.networks.instagram import Instagram as SimulatedInstagram
from services.cli.demo.networks.simulated import Received
from tests.support.callers import Api, until
from tests.support.page import CREDENTIALS, SECRET, unique


@dataclass(kw_only=True)
class Instagram(SimulatedInstagram):
    """The simulated network, which remembers what it was asked for."""

    bodies: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Path and body of every reply that was asked for."""

    def take(self, path: str, payload: Any) -> tuple[Received, dict[str, Any]]:
        """As the network."""
        self.bodies.append((path, payload))
        return super().take(path, payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One channel with the network behind it."""

    id: str
    admin: Api
    network: Instagram
    path: str

    async def comments(self, text: str, *, field: str = "comments") -> tuple[str, dict[str, Any]]:
        """A new customer comments: the comment's id, and the ticket."""
        item, customer = str(unique()), str(unique())
        value = {"id": item, "from": {"id": customer, "username": f"u{customer}"}, "text": text, "media": {"id": "9"}}
        return item, await self.hears(item, self.network.body(changes=[{"field": field, "value": value}]))

    async def writes(self, text: str, *, ago: timedelta = timedelta(0)) -> tuple[str, dict[str, Any]]:
        """A new customer writes a direct message: the customer's id, and the ticket."""
        item, customer = f"m_{unique()}", str(unique())
        message = {"mid": item, "text": text}
        return customer, await self.hears(
            item, self.network.messaging(customer, self.network.account, message, ago=ago.total_seconds())
        )

    def following(self, item: str, message: dict[str, Any]) -> dict[str, Any]:
        """The webhook of what the same customer adds to a message of theirs."""
        customer = message["author"]["external_id"]
        if message["kind"] == "dm":
            return self.network.messaging(customer, self.network.account, {"mid": item, "text": "Thanks"})
        value = {"id": item, "parent_id": message["external_id"], "from": {"id": customer}, "text": "Thanks"}
        return self.network.body(changes=[{"field": "comments", "value": value}])

    async def hears(self, item: str, body: dict[str, Any]) -> dict[str, Any]:
        """Posts a webhook with a customer's item; the ticket that it is in, once nothing happens to it any more."""
        assert await self.network.post(body) == 200

        async def look() -> dict[str, Any] | None:
            listed = await self.admin.get("/v1/tickets", network="instagram", state="any", sort="updated", limit=50)
            for ticket in listed["data"]:
                lines = await self.admin.timeline(ticket["id"])
                if any(line.get("message", {}).get("external_id") == item for line in lines):
                    found: dict[str, Any] = await self.admin.get(f"/v1/tickets/{ticket['id']}")
                    return found if found["owner"] else None
            return None

        return await until(look)


@asynccontextmanager
async def connected_profile(admin: Api) -> AsyncIterator[Profile]:
    """An account of its own, on a network that listens for as long as the block runs."""
    network = Instagram(secret=SECRET, account=str(unique()))
    async with network.serving():
        body = {
            "network": "instagram",
            "name": "acme",
            "external_id": network.account,
            "purpose": "care",
            "credentials": CREDENTIALS,
            "api_base_url": network.url,
        }
        made = await admin.made("/v1/channels", body)
        network.webhook_url = str(admin.http.base_url).rstrip("/") + made["webhook_path"]
        yield Profile(id=made["id"], admin=admin, network=network, path=made["webhook_path"])
