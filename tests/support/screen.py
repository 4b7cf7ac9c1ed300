"""One agent's screen: what it asks as HTTP, and what an answer says about the lease and the ticket."""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx

from tests.support import lease_history as leases
from tests.support import ticket_history as tickets
from tests.support.page import unique
from tests.support.system import Agent
from tests.support.ticket_history import PRIORITIES, Page

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
REFUSALS: Final[dict[str, leases.Verdict]] = {
    "lease-held": "held",
    "fenced-off": "fenced-off",
    "thread-moved": "moved",
    "turn-taken": "taken",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, and what it is in the histories of the lease and of the ticket."""

    method: str
    path: str = ""
    """Below the ticket's."""
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    lease: leases.Call | None = None
    ticket: tickets.Call | None = None


@dataclass(slots=True, kw_only=True)
class Screen:
    """What one screen of an agent knows."""

    agent: Agent
    session: str
    chance: random.Random
    is_human: bool = True
    may_force: bool = False
    fences: dict[str, list[int]] = field(default_factory=dict)
    """By ticket: those that it got."""
    at: str | None = None
    """The ticket of the last of them."""
    pages: dict[str, Page] = field(default_factory=dict)
    """By ticket: the last one that it read."""

    def request(self, verb: str, ticket_id: str) -> Request:
        """What this verb comes to, by what the screen knows."""
        own = self._fence(ticket_id)
        match verb:
            case "amend" | "reply" if ticket_id in self.pages:
                page = self.pages[ticket_id]
                return self._amend(page) if verb == "amend" else self._reply(page, own)
            case "note":
                body = {"text": f"Note {unique()}"}
                return Request(method="POST", path="/notes", body=body, ticket=tickets.Call(verb="note"))
            case "acquire" | "take over" | "force" | "release":
                return self._lease(verb, own)
            case "beat" if own:
                call = self._call("beat", fence=own, active=self.chance.random() < 0.5)
                return Request(method="PUT", path="/lease", body={"fence": own, "active": call.active}, lease=call)
            case _:
                return Request(method="GET", lease=self._call("read"), ticket=tickets.Call(verb="read"))

    def note(self, ticket_id: str, lease: leases.Told | None, ticket: tickets.Told | None) -> None:
        """Remembers what it was told."""
        if lease and lease.verdict == "granted" and lease.fence:
            self.at = ticket_id
            fences = self.fences.setdefault(ticket_id, [])
            if lease.fence not in fences:
                fences.append(lease.fence)
        if ticket and ticket.version and ticket.priority:
            self.pages[ticket_id] = Page(ticket.version, ticket.priority, ticket.seq or 0)

    def _fence(self, ticket_id: str) -> int | None:
        # Now and then one of a tab that slept.
        fences = self.fences.get(ticket_id, [])[-2:]
        return self.chance.choice([*fences, *fences[-1:] * 4]) if fences else None

    def _lease(self, verb: leases.Verb, own: int | None) -> Request:
        if verb == "release":
            fence = own if self.chance.random() < 0.7 else None
            query = f"?fence={fence}" if fence else ""
            return Request(method="DELETE", path=f"/lease{query}", lease=self._call(verb, fence=fence))
        call, body = self._call(verb, session=self.session), {"session": self.session}
        if verb == "acquire":
            return Request(method="POST", path="/lease", body=body, lease=call)
        mode = {"mode": "force" if verb == "force" else "auto"}
        return Request(method="POST", path="/lease/takeover", body=body | mode, lease=call)

    def _amend(self, page: Page) -> Request:
        call = tickets.Call(verb="amend", version=page.version, priority=self.chance.choice(PRIORITIES))
        tag = {"If_Match": f'"{page.version}"'}
        return Request(method="PATCH", body={"priority": call.priority}, headers=tag, ticket=call)

    def _reply(self, page: Page, own: int | None) -> Request:
        fence = own if self.chance.random() < 0.4 else None
        body = {"text": f"{self.agent.id} says {unique()}", "seen_seq": page.seq, "fence": fence}
        call = self._call("reply", fence=fence)
        return Request(method="POST", path="/replies", body=body, lease=call, ticket=tickets.Call(verb="reply"))

    def _call(self, verb: leases.Verb, **fields: Any) -> leases.Call:
        return leases.Call(verb=verb, agent=self.agent.id, is_human=self.is_human, **fields)


def of_lease(call: leases.Call, response: httpx.Response) -> leases.Told:
    """What the answer says about the lease."""
    body = response.json() if response.content else {}
    if response.is_success:
        return _granted(call, response.status_code, body)
    verdict = REFUSALS.get(body["code"])
    assert verdict is not None, f"{call}: {response.text}"
    if verdict != "held":
        return leases.Told(verdict=verdict)
    until = _instant(body["expires_at"])
    return leases.Told(verdict=verdict, holder=body["holder"]["id"], fence=body["fence"], until=until)


def of_ticket(call: tickets.Call, response: httpx.Response) -> tickets.Told:
    """What the answer says about the ticket."""
    body = response.json()
    if call.verb == "amend" and response.status_code == 412:
        return tickets.Told(verdict="stale", version=body["current_version"])
    if call.verb == "reply" and body.get("code") in REFUSALS:
        return tickets.Told(verdict="refused")
    assert response.is_success, f"{call}: {response.text}"
    if call.verb in ("note", "reply"):
        return tickets.Told(verdict="done", seq=body["seq"])
    return tickets.Told(verdict="done", version=body["version"], priority=body["priority"], seq=body["last_seq"])


def _granted(call: leases.Call, status: int, body: dict[str, Any]) -> leases.Told:
    match call.verb:
        case "read":
            return _shown("held", body["lease"]) if body["lease"] else leases.Told(verdict="free")
        case "reply":
            return leases.Told(verdict="granted", holder=call.agent, fence=body["fence"])
        case "release":
            return leases.Told(verdict="released")
        case _:
            return _shown("granted" if status == 200 else "asked", body)


def _shown(verdict: leases.Verdict, lease: dict[str, Any]) -> leases.Told:
    until = _instant(lease["expires_at"])
    return leases.Told(
        verdict=verdict,
        holder=lease["holder"]["id"],
        fence=lease["fence"],
        until=until,
        at=until - lease["expires_in_ms"] * 1000 if verdict == "granted" else None,
        wanted_by=lease["wanted_by"]["id"] if lease["wanted_by"] else None,
        shows_wish=True,
    )


def _instant(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)
