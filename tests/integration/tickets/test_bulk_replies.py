"""One text for many customers: each answer is guarded as if it were written alone."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.support.floor import AT, Floor, at_once, message, routed
from tests.support.tickets_app import person

TEXT = "We are on it"


@dataclass(slots=True)
class Room:
    """Two agents, and tickets of customers who all wait for the same."""

    floor: Floor
    ann: httpx.AsyncClient
    ben: httpx.AsyncClient

    async def tickets(self) -> list[dict[str, Any]]:
        return await self.floor.rows("SELECT id, last_seq FROM tickets.ticket ORDER BY id")

    async def texts(self) -> list[tuple[str, str]]:
        rows = await self.floor.rows("SELECT ticket_id, author ->> 'name' AS by FROM tickets.reply ORDER BY ticket_id")
        return [(row["ticket_id"], row["by"]) for row in rows]

    async def drafts(self) -> list[tuple[str, str]]:
        rows = await self.floor.rows("SELECT ticket_id, reason FROM tickets.draft WHERE text = $1", TEXT)
        return [(row["ticket_id"], row["reason"]) for row in rows]


@pytest.fixture
async def room(floor: Floor) -> AsyncIterator[Room]:
    ann, ben = [await floor.add_agent(name, team=None) for name in ("ann", "ben")]
    await floor.deliver(*[routed(message(f"m{n}", author=f"c{n}", network="api", occurred_at=AT)) for n in range(3)])
    async with person(floor, ann) as first, person(floor, ben) as second:
        yield Room(floor, first, second)


def asking(tickets: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    items = [{"id": ticket["id"], "seen_seq": ticket["last_seq"]} for ticket in tickets]
    return {"action": "reply", "text": TEXT, "items": items, **more}


async def answered(client: httpx.AsyncClient, body: dict[str, Any], **headers: str) -> list[dict[str, Any]]:
    answer = await client.post("/v1/tickets/bulk", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


async def test_every_customer_is_answered_under_a_lease_of_the_writer(room: Room) -> None:
    tickets = await room.tickets()
    results = await answered(room.ann, asking(tickets))
    assert [(one["id"], one["status"], one["problem"]) for one in results] == [(t["id"], 202, None) for t in tickets]
    assert await room.texts() == [(ticket["id"], "Ann") for ticket in tickets]
    for ticket, result in zip(tickets, results, strict=True):
        lease = (await room.ann.get(f"/v1/tickets/{ticket['id']}")).json()["lease"]
        assert (lease["holder"]["name"], lease["fence"]) == ("Ann", result["reply"]["fence"])
    assert (await room.floor.told()).count("reply.queued.v1") == 3


async def test_the_same_request_twice_answers_once(room: Room) -> None:
    body = asking(await room.tickets())
    first, again = [await answered(room.ann, body, **{"Idempotency-Key": "k1"}) for _ in range(2)]
    assert again == first
    assert (await room.floor.told()).count("reply.queued.v1") == 3


async def test_the_ticket_that_somebody_else_holds_is_refused_alone_and_its_text_is_kept(room: Room) -> None:
    tickets = await room.tickets()
    await room.ben.post(f"/v1/tickets/{tickets[1]['id']}/lease")
    results = await answered(room.ann, asking(tickets), **{"Idempotency-Key": "k1"})
    assert [one["status"] for one in results] == [202, 423, 202]
    problem = results[1]["problem"]
    assert (problem["code"], problem["holder"]["name"]) == ("lease-held", "Ben")
    assert await room.texts() == [(tickets[0]["id"], "Ann"), (tickets[2]["id"], "Ann")]
    assert await room.drafts() == [(tickets[1]["id"], "lease-held")]
    assert (await room.floor.told()).count("collision.prevented.v1") == 1


async def test_each_refusal_says_why_and_stops_nobody_else(room: Room) -> None:
    tickets = await room.tickets()
    await room.floor.deliver(routed(message("more", author="c0", network="api", occurred_at=AT)))
    taken = (await room.ann.post(f"/v1/tickets/{tickets[1]['id']}/lease")).json()
    body = asking([*tickets, {"id": "tkt_none", "last_seq": 1}])
    body["items"][1]["fence"] = taken["fence"] + 1
    results = await answered(room.ann, body)
    assert [(one["status"], (one["problem"] or {}).get("code")) for one in results] == [
        (409, "thread-moved"),
        (409, "fenced-off"),
        (202, None),
        (404, "not-found"),
    ]
    assert [missed["text"] for missed in results[0]["problem"]["missed"]] == ["Hello"]
    assert dict(await room.drafts()) == {tickets[0]["id"]: "thread-moved", tickets[1]["id"]: "fenced-off"}


async def test_two_who_answer_the_same_customers_at_once_answer_each_of_them_once(room: Room) -> None:
    tickets = await room.tickets()
    mine, theirs = await at_once(
        [lambda: answered(room.ann, asking(tickets)), lambda: answered(room.ben, asking(tickets[::-1]))]
    )
    assert sorted(one["status"] for one in [*mine, *theirs]) == [202] * 3 + [423] * 3
    assert [ticket_id for ticket_id, _ in await room.texts()] == [ticket["id"] for ticket in tickets]
    assert len(await room.drafts()) == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"text": " "}, "a reply needs a text, an attachment or a template"),
        ({"team": "care"}, "reply takes no team"),
        ({"items": [{"id": "t", "version": 1}]}, "an item of reply takes no version"),
        ({"items": [{"id": "t"}]}, "an item of reply needs seen_seq"),
        ({"action": "resolve", "text": None, "items": [{"id": "t"}]}, "an item of resolve needs version"),
        ({"action": "resolve"}, "resolve takes no text"),
    ],
)
async def test_a_request_that_fits_no_action_is_refused_as_a_whole(
    room: Room, changes: dict[str, Any], said: str
) -> None:
    answer = await room.ann.post("/v1/tickets/bulk", json=asking(await room.tickets()) | changes)
    assert answer.status_code == 422
    assert said in answer.json()["errors"][0]["detail"]
