"""What must be true at the end of the day, checked through the public API against what the network saw."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from services.cli.demo.networks.facebook import Facebook


@dataclass(slots=True, kw_only=True)
class Findings:
    """The state after the day."""

    tickets: int = 0
    owners: Counter[str] = field(default_factory=Counter)
    """Tickets per team."""
    unassigned: Counter[str] = field(default_factory=Counter)
    """Tickets that wait in a team's queue."""
    messages: Counter[str] = field(default_factory=Counter)
    """How often each inbound item stands on a ticket, by the provider's id."""
    replies: Counter[str] = field(default_factory=Counter)
    """Replies by state."""
    collisions: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


class Auditor:
    """Reads everything back with an admin's key."""

    def __init__(self, client: httpx.AsyncClient, key: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {key}"}

    async def examine(
        self, *, sent: list[str], accepted: list[str], network: Facebook, channel: str, run: str
    ) -> Findings:
        """Everything that was acknowledged is there once; every answer that left was accepted, and left once.

        What has not `run` in its id was written on another day.
        """
        findings = Findings()
        async for ticket in self._all("/v1/tickets", network="facebook", state="any"):
            await self._read_ticket(findings, ticket, channel, run)
        for reply in accepted:
            state = (await self._get(f"/v1/replies/{reply}"))["state"]
            findings.replies[state] += 1
        for entry in await self._get("/v1/collisions/counts"):
            findings.collisions[f"{entry['outcome']} ({entry['kind']})"] += entry["count"]
        self._compare(findings, sent=sent, network=network)
        return findings

    def _compare(self, findings: Findings, *, sent: list[str], network: Facebook) -> None:
        lost = [item for item in sent if item not in findings.messages]
        doubled = [item for item, count in findings.messages.items() if count > 1]
        foreign = set(findings.messages) - set(sent)
        twice = [
            text for text, count in Counter((one.target, one.text) for one in network.received).items() if count > 1
        ]
        if lost:
            findings.problems.append(f"{len(lost)} messages are on no ticket, such as {lost[0]}")
        if doubled:
            findings.problems.append(f"{len(doubled)} messages are on two tickets, such as {doubled[0]}")
        if foreign:
            findings.problems.append(f"{len(foreign)} messages were never sent, such as {min(foreign)}")
        if twice:
            findings.problems.append(f"{len(twice)} answers reached a customer twice, such as {twice[0]}")
        if len(network.received) != findings.replies["sent"]:
            findings.problems.append(
                f"the network took {len(network.received)} answers, and {findings.replies['sent']} count as sent"
            )

    async def _read_ticket(self, findings: Findings, ticket: dict[str, Any], channel: str, run: str) -> None:
        entries = [entry async for entry in self._all(f"/v1/tickets/{ticket['id']}/timeline")]
        messages = [entry["message"] for entry in entries if entry["kind"] == "message" and entry.get("message")]
        inbound = [one for one in messages if one["channel_id"] == channel and run in one["external_id"]]
        if not inbound:
            return
        findings.tickets += 1
        findings.owners[ticket["team"]] += 1
        if ticket["owner"] is None:
            findings.unassigned[ticket["team"]] += 1
        findings.messages.update(message["external_id"] for message in inbound)

    async def _all(self, path: str, **query: Any) -> AsyncIterator[dict[str, Any]]:
        cursor = None
        while True:
            page = await self._get(path, limit=200, **query, **({"cursor": cursor} if cursor else {}))
            for item in page["data"]:
                yield item
            cursor = page["next_cursor"]
            if cursor is None:
                return

    async def _get(self, path: str, **query: Any) -> Any:
        response = await self._client.get(path, params=query, headers=self._headers)
        response.raise_for_status()
        return response.json()
