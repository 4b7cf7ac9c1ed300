"""A connected Facebook Page: what customers write is signed and posted, what Baton answers is taken and echoed."""

import asyncio
import itertools
import json
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from services.cli.demo.networks.facebook import Facebook as SimulatedFacebook
from services.cli.demo.networks.simulated import Received
from tests.support.callers import Api, until
from tests.support.waiting import PATIENCE

SECRET: Final = "s3cret"
VERIFY: Final = "vt"
CREDENTIALS: Final = {"app_secret": SECRET, "verify_token": VERIFY, "access_token": "t"}
THROTTLED: Final = (429, {"error": {"message": "Calls to this api have exceeded the rate limit.", "code": 613}})
"""What the network answers when it is too much for it: the reply surely did not leave, and may in a second."""

REFUSED: Final = (400, {"error": {"message": "Unsupported post request", "code": 100, "error_subcode": 33}})

_NUMBERS: Final = itertools.count(random.SystemRandom().randrange(10**12) * 1000)


def unique() -> int:
    """A number that no other test uses, in this run or on the same data."""
    return next(_NUMBERS)


class Facebook(SimulatedFacebook):
    """The simulated network, which asks for a second's pause when it is throttling, and may be slow."""

    delay = 0.0
    """Seconds between taking a reply and saying so."""

    patience = 60.0
    """Seconds for which a webhook is sent again and again while nobody takes it."""

    async def post(self, payload: Mapping[str, Any]) -> int:
        """Sends one webhook until it is acknowledged, or refused for good."""
        deadline = time.monotonic() + self.patience
        while (status := await super().post(payload)) != 200 and time.monotonic() < deadline:
            if 400 <= status < 500:
                break
        return status

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """As the network, with the header."""

        async def answer(event: dict[str, Any]) -> None:
            if event["type"] == "http.response.start":
                await asyncio.sleep(self.delay)
            if event.get("status") == 429:
                event["headers"] = [*event["headers"], (b"retry-after", b"1")]
            await send(event)

        await super().__call__(scope, receive, answer)


@dataclass(slots=True, kw_only=True)
class Page:
    """One channel with the network behind it."""

    id: str
    admin: Api
    network: Facebook
    path: str
    post: str = field(default_factory=lambda: str(unique()))

    def comment(self, author: int, text: str, *, item: str | None = None, parent: str | None = None) -> dict[str, Any]:
        """The webhook of a comment; its customer is called `Customer <author>`."""
        post = f"{self.network.account}_{self.post}"
        value = {
            "item": "comment",
            "verb": "add",
            "comment_id": item or f"{self.post}_{unique()}",
            "parent_id": parent or post,
            "post_id": post,
            "from": {"id": str(author), "name": f"Customer {author}"},
            "message": text,
            "created_time": int(time.time()),
        }
        return self.body(changes=[{"field": "feed", "value": value}])

    def direct(self, author: int, text: str, *, item: str | None = None) -> dict[str, Any]:
        """The webhook of a direct message."""
        message = {"mid": item or f"m_{unique()}", "text": text}
        event = {"sender": {"id": str(author)}, "recipient": {"id": self.network.account}, "message": message}
        return self.body(messaging=[event | {"timestamp": int(time.time() * 1000)}])

    def native(self, target: str, text: str) -> dict[str, Any]:
        """The webhook of an answer that the Page's staff wrote in the network's own app."""
        post = f"{self.network.account}_{self.post}"
        value = {
            "item": "comment",
            "verb": "add",
            "comment_id": f"{self.post}_{unique()}",
            "parent_id": target,
            "post_id": post,
            "from": {"id": self.network.account, "name": "The Page"},
            "message": text,
            # Ahead, because the network counts in seconds: an answer is not older than what it answers.
            "created_time": int(time.time()) + 1,
        }
        return self.body(changes=[{"field": "feed", "value": value}])

    def body(self, **content: Any) -> dict[str, Any]:
        """One entry of the Page."""
        return {"object": "page", "entry": [{"id": self.network.account, "time": int(time.time()), **content}]}

    async def say(self, body: dict[str, Any]) -> None:
        """Posts a webhook until it is acknowledged: networks go on for hours."""

        async def is_taken() -> bool:
            return await self.network.post(body) == 200

        await until(is_taken, within=2 * PATIENCE)

    async def ticket_of(self, author: int, *, seq: int = 1, within: float = PATIENCE) -> dict[str, Any]:
        """The ticket of a customer who commented, once it has so many lines."""

        async def look() -> dict[str, Any] | None:
            found = await self.tickets_of(author)
            return next((ticket for ticket in found if ticket["last_seq"] >= seq), None)

        return await until(look, within=within)

    async def tickets_of(self, author: int) -> list[dict[str, Any]]:
        """All tickets of a customer who commented."""
        listed = await self.admin.get("/v1/tickets", network="facebook", state="any", sort="updated", limit=200)
        return [ticket for ticket in listed["data"] if ticket["customer"]["name"] == f"Customer {author}"]

    async def asked(self, text: str = "Where is my parcel?") -> tuple[int, str, dict[str, Any]]:
        """A new customer's comment: the customer, the comment's id and the ticket, once it is assigned."""
        author, item = unique(), f"{self.post}_{unique()}"
        await self.say(self.comment(author, text, item=item))
        return author, item, await self.quiet(await self.ticket_of(author))

    async def quiet(self, ticket: dict[str, Any], *, calm: float = 0.15) -> dict[str, Any]:
        """The ticket once nothing has happened to it for a moment."""
        while True:
            await asyncio.sleep(calm)
            current: dict[str, Any] = await self.admin.get(f"/v1/tickets/{ticket['id']}")
            if current["version"] == ticket["version"] and current["last_seq"] == ticket["last_seq"]:
                return current
            ticket = current

    def received(self, target: str) -> list[Received]:
        """What the network took as answers to one comment or person."""
        return [one for one in self.network.received if one.target == target]


@asynccontextmanager
async def connected_page(
    admin: Api, *, network: Facebook | None = None, port: int = 0, **channel: Any
) -> AsyncIterator[Page]:
    """A Page of its own, on a network that listens for as long as the block runs."""
    facebook = network or Facebook(secret=SECRET, account=str(unique()))
    async with facebook.serving(port):
        body = {
            "network": "facebook",
            "name": "Page",
            "external_id": facebook.account,
            "purpose": "care",
            "credentials": CREDENTIALS,
            "api_base_url": facebook.url,
        }
        made = await admin.made("/v1/channels", body | channel)
        facebook.webhook_url = str(admin.http.base_url).rstrip("/") + made["webhook_path"]
        yield Page(id=made["id"], admin=admin, network=facebook, path=made["webhook_path"])


def signed(network: SimulatedFacebook, body: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    """The bytes and headers of a webhook, for a test that sends them by itself."""
    raw = json.dumps(body).encode()
    return raw, network.sign(raw)


async def deliver(http: httpx.AsyncClient, page: Page, body: dict[str, Any]) -> httpx.Response:
    """Posts one webhook, once."""
    raw, headers = signed(page.network, body)
    return await http.post(page.path, content=raw, headers=headers)
