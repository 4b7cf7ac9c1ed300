"""The running system that a demo plays into, and how a simulated network becomes a channel of it."""

from dataclasses import dataclass

import httpx

from services.cli.demo.networks.simulated import Simulated
from shared.errors import Misconfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A running Baton: where it is, and the keys to it."""

    url: str
    admin: str
    agents: tuple[tuple[str, str, str], ...]
    """Id, name and key of each agent."""


async def connect(client: httpx.AsyncClient, key: str, network: Simulated) -> str:
    """Connects a simulated account, or takes the connection of an earlier demo over; returns the channel's id."""
    headers = {"Authorization": f"Bearer {key}"}
    changing = {"credentials": network.credentials, "api_base_url": network.url}
    named = {"network": network.network, "external_id": network.account}
    body = {**named, "name": f"Demo {network.network}", "purpose": "care", **changing}
    answer = await client.post("/v1/channels", json=body, headers=headers)
    if answer.status_code == 409:
        channels = (await client.get("/v1/channels", params={"limit": 200}, headers=headers)).json()["data"]
        found = next(one for one in channels if named.items() <= one.items())
        current = await client.get(f"/v1/channels/{found['id']}", headers=headers)
        answer = await client.patch(
            f"/v1/channels/{found['id']}", json=changing, headers=headers | {"If-Match": current.headers["ETag"]}
        )
    if answer.status_code == 422:
        raise Misconfigured(
            "the running system may not call a simulated network on this machine: "
            "start it with BATON_ALLOW_PRIVATE_EGRESS=1, or let `baton demo --own` start one of its own"
        )
    answer.raise_for_status()
    network.webhook_url = f"{client.base_url}".rstrip("/") + answer.json()["webhook_path"]
    await network.greet()
    return str(answer.json()["id"])
