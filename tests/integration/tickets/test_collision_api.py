"""Leases, presence, replies, drafts and the ledger as clients meet them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from services.tickets.api import collision, lease, reply
from shared.db.pool import Database
from tests.support.answers import Answers
from tests.support.api import Stub, client, new_agent, new_app, new_key
from tests.support.floor import HOME, OTHER, Floor


@dataclass(slots=True)
class Office:
    """Clients with keys, and the ticket that they share."""

    answers: Answers
    ann: httpx.AsyncClient
    ben: httpx.AsyncClient
    lea: httpx.AsyncClient
    eve: httpx.AsyncClient
    """In another workspace."""

    def path(self, rest: str) -> str:
        return f"/v1/tickets/{self.answers.ticket_id}/{rest}"


@pytest.fixture
async def office(floor: Floor) -> AsyncIterator[Office]:
    answers = await Answers(floor).open()
    app = new_app(
        floor.database,
        *[
            Stub(name="tickets", router=part.router, resources=[floor.desk, answers.heart])
            for part in (lease, reply, collision)
        ],
    )
    async with (
        _someone(floor.database, app, "Ann", "agent") as ann,
        _someone(floor.database, app, "Ben", "agent") as ben,
        _someone(floor.database, app, "Lea", "lead") as lea,
        _someone(floor.database, app, "Eve", "admin", workspace=OTHER) as eve,
    ):
        yield Office(answers, ann, ben, lea, eve)


@asynccontextmanager
async def _someone(
    database: Database, app: object, name: str, role: str, *, workspace: str = HOME
) -> AsyncIterator[httpx.AsyncClient]:
    agent_id = await new_agent(database, workspace, name=name, role=role)
    token = await new_key(database, workspace, role=role, agent_id=agent_id)
    async with client(app, token) as opened:
        yield opened


async def test_a_lease_is_taken_kept_wanted_taken_over_and_given_back(office: Office) -> None:
    path = office.path("lease")
    taken = await office.ann.post(path, json={"session": "tab-1"})
    assert taken.status_code == 200
    fence = taken.json()["fence"]
    assert taken.json()["holder"]["name"] == "Ann"
    held = await office.ben.post(path)
    assert (held.status_code, held.json()["code"]) == (423, "lease-held")
    assert held.json()["holder"]["name"] == "Ann"
    asked = await office.ben.post(f"{path}/takeover", json={})
    assert (asked.status_code, asked.json()["fence"]) == (202, None)
    beat = await office.ann.put(path, json={"fence": fence, "active": True})
    assert (beat.status_code, beat.json()["wanted_by"]["name"]) == (200, "Ben")
    forced = await office.ben.post(f"{path}/takeover", json={"mode": "force"})
    assert forced.status_code == 403
    forced = await office.lea.post(f"{path}/takeover", json={"mode": "force"})
    assert (forced.status_code, forced.json()["fence"] > fence) == (200, True)
    late = await office.ann.put(path, json={"fence": fence})
    assert (late.status_code, late.json()["code"]) == (409, "fenced-off")
    assert (await office.lea.delete(path)).status_code == 204
    assert (await office.ben.post(path)).status_code == 200


async def test_a_refused_reply_is_kept_and_the_refusal_is_replayed(office: Office) -> None:
    await office.ann.post(office.path("lease"))
    key = {"Idempotency-Key": "k1"}
    body = {"text": "Hi", "seen_seq": await office.answers.last_seq()}
    first = await office.ben.post(office.path("replies"), json=body, headers=key)
    again = await office.ben.post(office.path("replies"), json=body, headers=key)
    assert (first.status_code, again.status_code) == (423, 423)
    assert again.headers["Idempotent-Replayed"] == "true"
    drafts = await office.ben.get(office.path("drafts"))
    assert [(draft["id"], draft["reason"]) for draft in drafts.json()] == [(first.json()["draft_id"], "lease-held")]
    assert len(await office.answers.ledger()) == 1


async def test_a_reply_is_sent_once_per_key(office: Office) -> None:
    body = {"text": "Hi", "seen_seq": await office.answers.last_seq()}
    key = {"Idempotency-Key": "k1"}
    answers = [await office.ann.post(office.path("replies"), json=body, headers=key) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert (await office.answers.told()).count("reply.queued") == 1


async def test_a_reply_can_be_looked_at_and_taken_back(office: Office) -> None:
    body = {"text": "Hi", "seen_seq": await office.answers.last_seq()}
    queued = (await office.ann.post(office.path("replies"), json=body)).json()
    shown = await office.ben.get(f"/v1/replies/{queued['id']}")
    assert (shown.status_code, shown.json()["state"], shown.json()["text"]) == (200, "queued", "Hi")
    assert (await office.ben.delete(f"/v1/replies/{queued['id']}")).status_code == 403
    assert (await office.ann.delete(f"/v1/replies/{queued['id']}")).status_code == 202
    outcome = await office.ann.post(f"/v1/replies/{queued['id']}/outcome", json={"outcome": "sent"})
    assert (outcome.status_code, outcome.json()["code"]) == (409, "not-unknown")


async def test_a_message_that_arrives_while_a_reply_waits_flags_the_reply(office: Office) -> None:
    body = {"text": "Hi", "seen_seq": await office.answers.last_seq()}
    queued = (await office.ann.post(office.path("replies"), json=body)).json()
    path = f"/v1/replies/{queued['id']}"
    assert (await office.ann.get(path)).json()["arrived_meanwhile"] == []
    item = await office.answers.says("m2", text="One more thing")
    assert (await office.ann.get(path)).json()["arrived_meanwhile"] == [item.id]
    await office.answers.sent(queued["id"])
    await office.answers.says("m3", text="Thanks")
    assert (await office.ann.get(path)).json()["arrived_meanwhile"] == [item.id]


async def test_a_moved_thread_is_a_problem_with_what_was_missed(office: Office) -> None:
    seen = await office.answers.last_seq()
    await office.answers.says("m2", text="Wait")
    moved = await office.ann.post(office.path("replies"), json={"text": "Hi", "seen_seq": seen})
    assert (moved.status_code, moved.json()["code"]) == (409, "thread-moved")
    assert moved.headers["Content-Type"] == "application/problem+json"
    assert [entry["text"] for entry in moved.json()["missed"]] == ["Wait"]


@pytest.mark.parametrize(
    "body",
    [
        {"seen_seq": 1},
        {"text": "  ", "seen_seq": 1},
        {"text": "a\0b", "seen_seq": 1},
        {"text": "Hi"},
        {"text": "Hi", "seen_seq": -1},
        {"text": "Hi", "seen_seq": 1, "colour": "red"},
        {"text": "Hi", "seen_seq": 2**63},
        {"text": "x" * 60_000, "seen_seq": 1},
    ],
)
async def test_what_is_no_reply_is_not_valid(office: Office, body: dict) -> None:
    assert (await office.ann.post(office.path("replies"), json=body)).status_code == 422


@pytest.mark.parametrize("path", ["/v1/replies/a%00b", "/v1/collisions?agent=a%00b"])
async def test_what_cannot_be_stored_cannot_be_asked_for(office: Office, path: str) -> None:
    assert (await office.ann.get(path)).status_code == 400


async def test_drafts_are_ones_own(office: Office) -> None:
    path = office.path("draft")
    first = await office.ann.put(path, json={"text": "Dear"})
    second = await office.ann.put(path, json={"text": "Dear customer", "kind": "public"})
    assert (first.status_code, first.json()["id"]) == (200, second.json()["id"])
    assert [draft["text"] for draft in (await office.ann.get(office.path("drafts"))).json()] == ["Dear customer"]
    for params in ({}, {"everybodys": "true"}):
        assert (await office.ben.get(office.path("drafts"), params=params)).json() == []
    assert len((await office.lea.get(office.path("drafts"), params={"everybodys": "true"})).json()) == 1
    draft = f"/v1/drafts/{first.json()['id']}"
    assert (await office.ben.delete(draft)).status_code == 404
    assert (await office.ann.delete(draft)).status_code == 204
    assert (await office.ann.delete(draft)).status_code == 404


async def test_the_ledger_is_listed_filtered_counted_and_paged(office: Office) -> None:
    await office.ann.post(office.path("lease"))
    seen = await office.answers.last_seq()
    for text in ("One", "Two", "Three"):
        await office.ben.post(office.path("replies"), json={"text": text, "seen_seq": seen})
    await office.lea.post(office.path("replies"), json={"text": "Four", "seen_seq": seen, "override": True})
    first = (await office.ann.get("/v1/collisions", params={"limit": 3})).json()
    rest = (await office.ann.get("/v1/collisions", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    kinds = [(line["outcome"], line["kind"]) for line in first["data"] + rest["data"]]
    assert kinds == [("overridden", "lease-held")] + [("prevented", "lease-held")] * 3
    only = await office.ann.get("/v1/collisions", params={"outcome": "overridden"})
    assert [line["other"]["name"] for line in only.json()["data"]] == ["Ann"]
    counts = (await office.ann.get("/v1/collisions/counts")).json()
    assert counts == [
        {"outcome": "overridden", "kind": "lease-held", "count": 1},
        {"outcome": "prevented", "kind": "lease-held", "count": 3},
    ]
    since = await office.ann.get("/v1/collisions/counts", params={"since": "2099-01-01T00:00:00Z"})
    assert since.json() == []
    assert (await office.eve.get("/v1/collisions")).json()["data"] == []


async def test_collisions_are_counted_by_outcome_and_kind(office: Office) -> None:
    await office.ann.post(office.path("lease"))
    await office.ben.post(office.path("replies"), json={"text": "One", "seen_seq": await office.answers.last_seq()})
    metrics = office.answers.floor.desk.metrics
    lines = metrics.exposition()[0].decode().splitlines()
    assert 'baton_collisions_total{kind="lease-held",outcome="prevented"} 1.0' in lines
    assert 'baton_lease_total{outcome="acquired"} 1.0' in lines


async def test_nothing_of_it_is_there_for_another_workspace(office: Office) -> None:
    body = {"text": "Hi", "seen_seq": await office.answers.last_seq()}
    queued = (await office.ann.post(office.path("replies"), json=body)).json()
    draft = (await office.ann.put(office.path("draft"), json={"text": "Hi"})).json()
    attempts = [
        await office.eve.post(office.path("lease")),
        await office.eve.put(office.path("lease"), json={"fence": queued["fence"]}),
        await office.eve.delete(office.path("lease")),
        await office.eve.post(office.path("lease/takeover"), json={"mode": "force"}),
        await office.eve.put(office.path("presence"), json={"level": "viewing", "session": "s"}),
        await office.eve.post(office.path("replies"), json=body),
        await office.eve.put(office.path("draft"), json={"text": "Hi"}),
        await office.eve.get(office.path("drafts")),
        await office.eve.get(f"/v1/replies/{queued['id']}"),
        await office.eve.delete(f"/v1/replies/{queued['id']}"),
        await office.eve.post(f"/v1/replies/{queued['id']}/outcome", json={"outcome": "sent"}),
        await office.eve.delete(f"/v1/drafts/{draft['id']}"),
    ]
    assert [attempt.status_code for attempt in attempts] == [404] * len(attempts)
