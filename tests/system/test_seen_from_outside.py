"""What is written for users is what they get: every path, as the tutorial walks it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.callers import Api, until
from tests.support.contract import declared
from tests.support.page import CREDENTIALS, SECRET, VERIFY, Page, deliver, signed, unique
from tests.support.system import System

PROBLEM = "application/problem+json"


@pytest.fixture
async def http(system: System) -> AsyncIterator[httpx.AsyncClient]:
    """Connections on which every answer must be one that the document declares."""
    async with declared(system) as http:
        yield http


def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document that a refusal is."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    problem: dict[str, Any] = response.json()
    assert {"type", "title", "status", "code"} <= problem.keys()
    assert (problem["status"], problem["code"]) == (status, code)
    return problem


# -- channels ---------------------------------------------------------------------------------------------------------


async def test_a_channel_answers_with_its_id_and_webhook_path_and_never_shows_its_secrets(admin: Api):
    body = {
        "network": "facebook",
        "name": "Page",
        "external_id": str(unique()),
        "purpose": "care",
        "credentials": CREDENTIALS,
        "api_base_url": "http://127.0.0.1:9999",
    }
    made = await admin.post("/v1/channels", body)
    assert made.status_code == 201, made.text
    channel = made.json()
    assert channel["webhook_path"] == f"/webhooks/facebook/{channel['id']}"
    shown = await admin.call("GET", f"/v1/channels/{channel['id']}")
    for text in (made.text, shown.text):
        assert SECRET not in text
    refused(await admin.post("/v1/channels", body), 409, "channel-connected")


async def test_only_a_key_that_may_connects_a_channel(alice: Api):
    body = {"network": "facebook", "name": "Page", "external_id": str(unique()), "credentials": CREDENTIALS}
    refused(await alice.post("/v1/channels", body), 403, "forbidden")


async def test_the_handshake_answers_the_challenge_and_nothing_but_it(page: Page, http: httpx.AsyncClient):
    query = {"hub.mode": "subscribe", "hub.verify_token": VERIFY, "hub.challenge": "42"}
    greeted = await http.get(page.path, params=query)
    assert (greeted.status_code, greeted.content) == (200, b"42")
    strange = await http.get(page.path, params=query | {"hub.verify_token": "wrong"})
    assert strange.status_code == 403
    assert b"42" not in strange.content


async def test_a_wrong_signature_is_refused_and_nothing_is_kept(page: Page, admin: Api, http: httpx.AsyncClient):
    raw, headers = signed(page.network, page.comment(unique(), "hello"))
    changed = await http.post(page.path, content=raw.replace(b"hello", b"hallo"), headers=headers)
    unsigned = await http.post(page.path, content=raw)
    assert changed.status_code == unsigned.status_code == 401
    assert (await admin.get("/v1/inbox", channel_id=page.id))["data"] == []

    async def counted() -> bool:
        return (await admin.get(f"/v1/channels/{page.id}/health"))["signature_failures"] == 2

    await until(counted)
    assert (await http.post(page.path, content=raw, headers=headers)).status_code == 200


async def test_an_unknown_channel_is_no_place_to_deliver_to(http: httpx.AsyncClient, page: Page):
    raw, headers = signed(page.network, page.comment(unique(), "hello"))
    assert (await http.post("/webhooks/facebook/chn_nobody", content=raw, headers=headers)).status_code == 404
    assert (await http.post(page.path.replace("facebook", "api"), content=raw, headers=headers)).status_code == 404


# -- inbox ------------------------------------------------------------------------------------------------------------


async def test_the_inbox_shows_each_delivery_and_what_became_of_it(page: Page, admin: Api, http: httpx.AsyncClient):
    item = f"{page.post}_{unique()}"
    assert (await deliver(http, page, page.comment(unique(), "Where is it?", item=item))).status_code == 200
    assert (await deliver(http, page, page.body(changes=[{"field": "invented", "value": {}}]))).status_code == 200

    async def done() -> list[dict[str, Any]] | None:
        listed = await admin.get("/v1/inbox", channel_id=page.id)
        assert listed.keys() == {"data", "next_cursor"}
        return listed["data"] if all(entry["state"] != "pending" for entry in listed["data"]) else None

    strange, comment = await until(done)
    assert {"id", "state", "reason", "received_at", "events"} <= comment.keys()
    assert comment["state"] == "normalized"
    [event] = comment["events"]
    assert event["type"] == "message.received.v1"
    assert strange["state"] in {"ignored", "not-understood"}
    assert strange["reason"]
    raw = await admin.get(f"/v1/inbox/{comment['id']}")
    assert item in raw["body"]


# -- tickets ----------------------------------------------------------------------------------------------------------


async def test_a_comment_becomes_an_owned_ticket(page: Page, alice: Api, system: System):
    _, item, ticket = await page.asked("My parcel never arrived, I want a refund")
    [shown] = [one for one in (await alice.every("/v1/tickets", network="facebook")) if one["id"] == ticket["id"]]
    wanted = {"id", "state", "team", "owner", "priority", "customer", "last_seq", "version", "tags"}
    assert wanted <= shown.keys()
    assert (shown["state"], shown["team"], shown["priority"]) == ("open", "care", "high")
    assert shown["tags"] == ["complaint"]
    assert shown["owner"] in {agent.id for agent in system.agents}
    lines = await alice.timeline(ticket["id"])
    [message] = [line["message"] for line in lines if line["kind"] == "message"]
    assert (message["external_id"], message["text"]) == (item, "My parcel never arrived, I want a refund")
    assert [line["seq"] for line in lines] == sorted({line["seq"] for line in lines})
    decision = await Api(alice.http, system.admin).get(f"/v1/decisions/{message['id']}")
    assert (decision["decision"]["rule"], decision["decision"]["action"]["team"]) == ("complaints", "care")


async def test_what_no_rule_matches_goes_to_the_fallback_team(page: Page):
    _, _, ticket = await page.asked("👏👏👏")
    assert ticket["team"] == "community"


async def test_a_list_goes_on_behind_its_cursor_without_losing_or_repeating_one(page: Page, alice: Api):
    made = [await page.asked() for _ in range(3)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        listed = await alice.get("/v1/tickets", network="facebook", limit=2, **cursor)
        seen += [ticket["id"] for ticket in listed["data"]]
        if listed["next_cursor"] is None:
            break
        cursor = {"cursor": listed["next_cursor"]}
    assert len(seen) == len(set(seen))
    assert {ticket["id"] for _, _, ticket in made} <= set(seen)


# -- leases and replies -----------------------------------------------------------------------------------------------


async def test_a_lease_is_one_agents_and_the_other_is_told_whose(page: Page, alice: Api, bob: Api, system: System):
    _, _, ticket = await page.asked()
    held = await alice.post(f"/v1/tickets/{ticket['id']}/lease")
    assert held.status_code == 200, held.text
    assert {"fence", "holder", "expires_at"} <= held.json().keys()
    problem = refused(await bob.post(f"/v1/tickets/{ticket['id']}/lease"), 423, "lease-held")
    assert problem["holder"]["id"] == system.agents[0].id
    assert problem["expires_at"]
    assert (await alice.call("DELETE", f"/v1/tickets/{ticket['id']}/lease")).status_code == 204
    again = await bob.made(f"/v1/tickets/{ticket['id']}/lease")
    assert again["fence"] > held.json()["fence"]


async def test_an_answer_to_a_thread_that_moved_is_refused_with_what_was_missed_and_kept(page: Page, alice: Api):
    author, item, ticket = await page.asked()
    lease = await alice.made(f"/v1/tickets/{ticket['id']}/lease")
    await page.say(page.comment(author, "Also, it is urgent", parent=item))
    moved = await page.ticket_of(author, seq=ticket["last_seq"] + 1)
    late = await alice.reply(ticket, "We look into it", fence=lease["fence"])
    problem = refused(late, 409, "thread-moved")
    assert [missed["text"] for missed in problem["missed"]] == ["Also, it is urgent"]
    drafts = await alice.get(f"/v1/tickets/{ticket['id']}/drafts")
    assert [(draft["id"], draft["text"]) for draft in drafts] == [(problem["draft_id"], "We look into it")]
    assert (await alice.reply(moved, "We look into it", fence=lease["fence"])).status_code == 202


async def test_a_reply_reaches_the_network_once_and_its_echo_is_no_message(page: Page, alice: Api, admin: Api):
    author, item, ticket = await page.asked()
    answered = await alice.reply(ticket, "It left our house today")
    assert answered.status_code == 202, answered.text
    assert {"id", "state", "seq"} <= answered.json().keys()
    settled = await alice.settled(answered.json()["id"])
    assert settled["state"] == "sent"

    async def echoed() -> bool:
        listed = await admin.get("/v1/inbox", channel_id=page.id)
        return len(listed["data"]) == 2 and all(entry["state"] == "normalized" for entry in listed["data"])

    await until(echoed)
    await page.quiet(ticket, calm=0.4)
    [taken] = page.received(item)
    assert (taken.text, taken.external_id) == ("It left our house today", settled["external_id"])
    [same] = await page.tickets_of(author)
    lines = await alice.timeline(same["id"])
    assert [line["message"]["external_id"] for line in lines if line["kind"] == "message"] == [item]
    assert [line["kind"] for line in lines if line["kind"] in {"reply", "answer", "native"}] == ["reply", "answer"]
    assert {line["reply"]["state"] for line in lines if line.get("reply")} == {"sent"}
    assert same["waiting_since"] is None


async def test_a_direct_message_is_answered_in_private(page: Page, alice: Api):
    author, text = unique(), f"Where is order {unique()}?"
    await page.say(page.direct(author, text))

    async def look() -> dict[str, Any] | None:
        found = await alice.get("/v1/tickets", network="facebook", q=text, state="any")
        return next(iter(found["data"]), None)

    ticket = await page.quiet(await until(look))
    reply = (await alice.reply(ticket, "Let me look")).json()
    assert (await alice.settled(reply["id"]))["state"] == "sent"
    [taken] = page.received(str(author))
    assert (taken.text, taken.metadata) == ("Let me look", reply["id"])


# -- errors and operations --------------------------------------------------------------------------------------------


async def test_probes_metrics_and_the_document_need_no_key(http: httpx.AsyncClient, page: Page):
    await page.asked()
    for path in ("/livez", "/readyz", "/metrics", "/openapi.json"):
        assert (await http.get(path)).status_code == 200, path
    metrics = (await http.get("/metrics")).text
    assert "baton_http_requests_total" in metrics
    assert (await http.get("/openapi.json")).json()["openapi"].startswith("3.")


async def test_errors_are_problems_with_a_stable_code(http: httpx.AsyncClient, admin: Api):
    refused(await http.get("/v1/tickets"), 401, "unauthorized")
    refused(await http.get("/v1/tickets", headers={"Authorization": "Bearer btn_no"}), 401, "unauthorized")
    refused(await admin.call("GET", "/v1/tickets/tkt_nobody"), 404, "not-found")
    refused(await admin.call("GET", "/v1/nothing"), 404, "not-found")
    refused(await admin.call("PUT", "/v1/tickets"), 405, "method-not-allowed")
    refused(await admin.post("/v1/channels", {"network": "facebook", "colour": "blue"}), 422, "invalid")
    broken = await http.post("/v1/channels", content=b"{", headers=admin.headers(Content_Type="application/json"))
    refused(broken, 400, "bad-request")
    described = await http.get("/problems/thread-moved")
    assert (described.status_code, described.json()["status"]) == (200, 409)


@pytest.mark.parametrize("sent", ["same", "other"])
async def test_a_request_that_is_repeated_with_its_key_happens_once(page: Page, alice: Api, sent: str):
    _, item, ticket = await page.asked()
    body = {"text": "One answer", "seen_seq": ticket["last_seq"]}
    path, key = f"/v1/tickets/{ticket['id']}/replies", f"try-{unique()}"
    first = await alice.post(path, body, Idempotency_Key=key)
    again = await alice.post(path, body if sent == "same" else body | {"text": "Two"}, Idempotency_Key=key)
    assert first.status_code == 202, first.text
    if sent == "same":
        assert (again.status_code, again.json()) == (202, first.json())
    else:
        refused(again, 422, "idempotency-key-reused")
    await alice.settled(first.json()["id"])
    assert [one.text for one in page.received(item)] == ["One answer"]
