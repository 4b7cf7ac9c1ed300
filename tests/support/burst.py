"""A burst of signed webhooks while agents answer and something dies, and the audit of what is left, from outside."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import httpx

from tests.support.callers import Api, at_once, until
from tests.support.page import Page, unique

FINAL: Final = {"sent", "held", "failed", "unknown"}


class Mortal(Protocol):
    """A system that dies, in part or as a whole, and comes back on the same data."""

    async def die(self) -> None:
        """SIGKILL."""
        ...

    async def revive(self) -> None:
        """Everything runs again."""
        ...


@dataclass
class Clerk:
    """An agent who likes and answers what has no answer on one Page, and asks again with the same key when the line dies."""

    api: Api
    page: Page
    chance: random.Random
    takes_over: bool = False
    """Takes the right to answer by force, whoever has it."""
    accepted: list[str] = field(default_factory=list)
    fences: dict[str, list[int]] = field(default_factory=dict)
    liked: dict[str, str] = field(default_factory=dict)
    """Comments that it wanted liked, by their ids on the network, and where that is told."""
    ends: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Accepted replies that have come to an end, as the last audit saw them."""

    async def work(self, done: asyncio.Event) -> None:
        """Until told to stop."""
        while not done.is_set():
            await self._one()
            await asyncio.sleep(0.02)

    async def _one(self) -> None:
        listed = await self._get("/v1/tickets", network="facebook", sort="updated", limit="50")
        waiting = [ticket for ticket in listed["data"] if ticket["waiting_since"]] if listed else []
        if not waiting:
            await asyncio.sleep(0.05)
            return
        ticket = self.chance.choice(waiting)
        lines = await self._get(f"/v1/tickets/{ticket['id']}/timeline", order="desc", limit="50")
        said = [line for line in lines["data"] if line["kind"] in {"message", "reply", "answer"}] if lines else []
        # Not what other tests have left: the network behind it is gone, and an answer would wait for ever.
        if not said or said[0]["kind"] != "message" or said[0]["message"]["channel_id"] != self.page.id:
            return
        await self._like(ticket, said[0]["message"])
        seen = max(line["seq"] for line in lines["data"])
        body = {"text": f"{self.api.agent.name} says {unique()}", "seen_seq": seen}
        if self.takes_over:
            taken = await self._post(f"/v1/tickets/{ticket['id']}/lease/takeover", {"mode": "force"})
            assert taken.status_code == 200, taken.text
            body["fence"] = taken.json()["fence"]
        answer = await self._post(f"/v1/tickets/{ticket['id']}/replies", body)
        assert answer.status_code in {202, 409, 423}, answer.text
        if answer.status_code == 202:
            self.accepted.append(answer.json()["id"])
            self.fences.setdefault(ticket["customer"]["id"], []).append(answer.json()["fence"])

    async def _like(self, ticket: dict[str, Any], message: dict[str, Any]) -> None:
        if message["kind"] != "comment" or message["external_id"] in self.liked:
            return
        path = f"/v1/tickets/{ticket['id']}/messages/{message['id']}/moderation"
        answer = await self._post(path, {"operation": "like"})
        assert answer.status_code == 202, answer.text
        self.liked[message["external_id"]] = path

    async def _get(self, path: str, **query: str) -> Any:
        try:
            response = await self.api.http.get(path, params=query, headers=self.api.headers())
        except httpx.TransportError:
            await asyncio.sleep(0.1)
            return None
        return response.json() if response.status_code == 200 else None

    async def _post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        key = f"try-{unique()}"
        while True:
            try:
                answer = await self.api.post(path, body, Idempotency_Key=key)
            except httpx.TransportError:
                await asyncio.sleep(0.1)
                continue
            if answer.status_code != 503 and answer.json().get("code") != "request-in-progress":
                return answer


@dataclass
class Round:
    """What was sent and heard in one life of the process and the next."""

    items: dict[str, int] = field(default_factory=dict)
    """Provider ids of acknowledged messages, and who wrote each."""
    told: dict[str, tuple[Any, list[str]]] = field(default_factory=dict)
    """What each ticket told in the last audit, and which version of it that was."""

    async def send(self, page: Page, author: int, *, direct: bool) -> None:
        """One webhook, until it is acknowledged."""
        item = f"m_{unique()}" if direct else f"{page.post}_{unique()}"
        body = (page.direct if direct else page.comment)(author, f"Message {item}", item=item)
        await page.say(body)
        self.items[item] = author


async def burst(
    system: Mortal,
    page: Page,
    clerks: list[Clerk],
    story: Round,
    chance: random.Random,
    *,
    size: int,
    people: int = 60,
    replies: int = 2,
) -> None:
    """Hundreds of webhooks while agents answer; the process dies somewhere in the middle and comes back.

    The agents go on until they were promised so many `replies`, however slow the machine: the audit is about those.
    """
    done = asyncio.Event()
    promised = _promised(clerks)
    sent = len(story.items)
    authors = [unique() for _ in range(people)]
    gate = asyncio.Semaphore(40)

    async def one() -> None:
        async with gate:
            await story.send(page, chance.choice(authors), direct=chance.random() < 0.3)

    async def strike() -> None:
        dies_after = sent + chance.randrange(size // 5, size * 4 // 5)

        async def far_enough() -> bool:
            return len(story.items) >= dies_after

        await until(far_enough, within=60 + size / 20, every=0.005)
        await system.die()
        await system.revive()

    async def enough() -> bool:
        return _promised(clerks) >= promised + replies or not clerks

    async with asyncio.TaskGroup() as group:
        working = [group.create_task(clerk.work(done)) for clerk in clerks]
        striking = group.create_task(strike())
        await at_once(one() for _ in range(size))
        await striking
        await asyncio.sleep(0.5)
        await until(enough, within=60)
        done.set()
        if working:
            await asyncio.wait(working)


def _promised(clerks: list[Clerk]) -> int:
    return sum(len(clerk.accepted) for clerk in clerks)


async def check(page: Page, clerks: list[Clerk], story: Round) -> None:
    """The audit, from outside."""
    admin = page.admin

    async def settled() -> bool:
        waiting = await admin.get("/v1/inbox", channel_id=page.id, state="pending", limit=1)
        return not waiting["data"]

    await until(settled, within=30 + len(story.items) / 200)
    where: dict[str, list[str]] = {}
    per_customer: Counter[str] = Counter()

    async def everything() -> bool:
        where.clear()
        per_customer.clear()
        tickets = await admin.every("/v1/tickets", network="facebook", state="any")
        per_customer.update(ticket["customer"]["id"] for ticket in tickets)
        changed = [ticket for ticket in tickets if story.told.get(ticket["id"], ("",))[0] != _version(ticket)]
        lines = await at_once(admin.timeline(ticket["id"]) for ticket in changed)
        for ticket, said in zip(changed, lines, strict=True):
            story.told[ticket["id"]] = (_version(ticket), _items(page, said))
        for ticket_id, (_, items) in story.told.items():
            for item in items:
                where.setdefault(item, []).append(ticket_id)
        return set(story.items) <= set(where)

    await until(everything, within=30 + len(story.items) / 200, every=0.5)
    strange = set(where) - set(story.items)
    assert not strange, await told(admin, where, strange)
    assert {item: ids for item, ids in where.items() if len(ids) > 1} == {}
    assert set(per_customer.values()) == {1}
    if clerks:
        await answers(page, clerks)
        await likes(page, clerks)
    for clerk in clerks:
        for fences in clerk.fences.values():
            assert fences == sorted(fences)


def _version(ticket: dict[str, Any]) -> tuple[int, int]:
    return ticket["version"], ticket["last_seq"]


def _items(page: Page, lines: list[dict[str, Any]]) -> list[str]:
    """Provider ids of what was said on the Page, by customers or in the network's own app."""
    messages = [line["message"] for line in lines if line["kind"] in {"message", "native"}]
    return [message["external_id"] for message in messages if message["channel_id"] == page.id]


async def told(admin: Api, where: dict[str, list[str]], items: set[str]) -> str:
    """The stories of tickets with messages that nobody wrote, or with echoes that were taken for somebody's answer."""
    lines = []
    for item in items:
        for ticket in where[item]:
            for line in await admin.timeline(ticket):
                reply = await admin.get(f"/v1/replies/{line['reply']['id']}") if line.get("reply") else {}
                message = line.get("message") or {}
                said = {key: message.get(key) for key in ("external_id", "conversation_id", "text", "direction")}
                lines.append(f"{line['seq']} {line['kind']} {line.get('at')} {said} {reply}")
    return f"{items}:\n" + "\n".join(lines)


async def answers(page: Page, clerks: list[Clerk]) -> None:
    """Every accepted reply has an end, which is what the network saw; no turn has two writers."""
    admin = page.admin
    accepted = [reply for clerk in clerks for reply in clerk.accepted]
    assert len(accepted) == len(set(accepted))
    for clerk in clerks:
        # What is unknown may be found out.
        open_ = [reply for reply in clerk.accepted if clerk.ends.get(reply, {"state": "unknown"})["state"] == "unknown"]
        shown = await at_once(admin.settled(reply, within=100) for reply in open_)
        clerk.ends.update({reply["id"]: reply for reply in shown})
    ends = {reply: shown for clerk in clerks for reply, shown in clerk.ends.items()}
    assert {shown["state"] for shown in ends.values()} <= FINAL
    received = Counter(one.text for one in page.network.received)
    assert [text for text, count in received.items() if count > 1] == []
    texts = {shown["text"]: shown for shown in ends.values()}
    assert set(received) <= set(texts), "the network got what nobody had been promised"
    for text, shown in texts.items():
        if shown["state"] != "unknown":
            assert (text in received) == (shown["state"] == "sent"), shown
    writers: dict[str, set[str]] = {}
    for text in received:
        for turn in texts[text]["turns"]:
            writers.setdefault(turn, set()).add(texts[text]["author"]["id"])
    assert {turn: who for turn, who in writers.items() if len(who) > 1} == {}
    # Whoever had the right to answer a customer when a later one had taken it did not send any more.
    fences: dict[str, list[int]] = {}
    for one in page.network.received:
        fences.setdefault(one.target, []).append(texts[one.text]["fence"])
    assert {target: seen for target, seen in fences.items() if seen != sorted(seen)} == {}


async def likes(page: Page, clerks: list[Clerk]) -> None:
    """Every like that was asked for has an end; where that is `done`, the network saw it."""
    wanted = {item: path for clerk in clerks for item, path in clerk.liked.items()}

    async def ends() -> dict[str, str] | None:
        listed = await at_once(page.admin.get(path) for path in wanted.values())
        found = {item: one[-1]["state"] for item, one in zip(wanted, listed, strict=True)}
        return None if "requested" in found.values() else found

    states = await until(ends, within=100) if wanted else {}
    assert set(states.values()) <= {"done", "failed"}
    seen = {one.item for one in page.network.operated if one.operation == "like"}
    assert {item for item, state in states.items() if state == "done"} <= seen
