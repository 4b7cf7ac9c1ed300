"""What rules ask about customers comes all the way: from the ticket that one message opened to the next one's rules."""

from typing import Any

import httpx

from tests.support.callers import Api, hired, other_workspace, until
from tests.support.page import connected_page, unique
from tests.support.system import System

DOCUMENT = {
    "fallback": {"team": "community"},
    "rules": [
        {"name": "new", "when": {"author.first": True}, "then": {"tags": ["new"]}},
        {"name": "again", "when": {"ticket.open": True, "ticket.tags": "new"}, "then": {"tags": ["again"]}},
    ],
}
MOVING = {
    "fallback": {"team": "community"},
    "rules": [
        {
            "name": "again",
            "on": "customer.replied",
            "when": {"text": "lawyer"},
            "then": {"reroute": {"team": "care"}, "priority": "urgent"},
        }
    ],
}
ANSWERING = {
    "fallback": {"team": "community"},
    "rules": [
        {
            "name": "soon",
            "when": {"kind": "comment"},
            "then": {"auto_reply": {"text": "Thanks {{author.name|you}}, we are on it"}},
        }
    ],
}
HIDING = {
    "fallback": {"team": "community"},
    "rules": [{"name": "spam", "when": {"text": "crypto"}, "then": {"ignore": True, "hide": True}}],
}


async def test_a_rule_sees_the_ticket_that_an_earlier_message_opened(system: System, http: httpx.AsyncClient):
    boss, customer = await other_workspace(system, http), unique()
    kept = await boss.made("/v1/rulesets", {"document": DOCUMENT})
    assert (await boss.post(f"/v1/rulesets/{kept['version']}/activate")).status_code == 200
    async with connected_page(boss) as page:
        await page.say(page.comment(customer, "Where is my parcel?"))
        assert (await page.ticket_of(customer))["tags"] == ["new"]

        async def is_known() -> bool:
            await page.say(page.comment(customer, "And now?"))
            return (await page.ticket_of(customer))["tags"] == ["new", "again"]

        # The router hears of the ticket a moment after it was opened.
        await until(is_known)


async def test_a_reply_moves_an_open_ticket_and_says_which_rule_did(system: System, http: httpx.AsyncClient):
    boss, customer = await other_workspace(system, http), unique()
    kept = await boss.made("/v1/rulesets", {"document": MOVING})
    assert (await boss.post(f"/v1/rulesets/{kept['version']}/activate")).status_code == 200
    async with connected_page(boss) as page:
        await page.say(page.comment(customer, "Where is my parcel?"))
        assert (await page.ticket_of(customer))["team"] == "community"
        await page.say(page.comment(customer, "I shall call my lawyer"))

        async def has_moved() -> bool:
            ticket = await page.ticket_of(customer)
            return (ticket["team"], ticket["priority"]) == ("care", "urgent")

        await until(has_moved)
        ticket = await page.ticket_of(customer)
    [decision] = (await boss.get("/v1/decisions", ticket_id=ticket["id"]))["data"]
    assert (decision["rule"], decision["trigger"], decision["held"]) == ("again", "customer.replied", None)


async def test_a_rule_answers_once_what_came_twice_and_the_customer_still_waits_for_somebody(
    system: System, http: httpx.AsyncClient
):
    boss, customer = await other_workspace(system, http), unique()
    kept = await boss.made("/v1/rulesets", {"document": ANSWERING})
    assert (await boss.post(f"/v1/rulesets/{kept['version']}/activate")).status_code == 200
    async with connected_page(boss) as page:
        item = f"{page.post}_{unique()}"
        asked = page.comment(customer, "Where is my parcel?", item=item)
        for _ in range(3):
            await page.say(asked)

        async def is_answered() -> bool:
            return bool(page.received(item))

        await until(is_answered)
        await page.say(page.comment(customer, "Hello?", parent=item))
        ticket = await page.quiet(await page.ticket_of(customer, seq=5))
        assert ticket["waiting_since"] is not None
        [ann] = await hired(boss, 1)
        mine = await ann.reply(ticket, "It is on its way")
        assert (await ann.settled(mine.json()["id"]))["state"] == "sent"
        told = [one.text for one in page.network.received]
        assert (await page.quiet(ticket))["waiting_since"] is None
    assert told == [f"Thanks Customer {customer}, we are on it", "It is on its way"]
    assert (await boss.get("/v1/collisions"))["data"] == []


async def test_a_rule_hides_what_it_ignores_and_a_person_what_nobody_ignored(system: System, http: httpx.AsyncClient):
    boss, customer = await other_workspace(system, http), unique()
    kept = await boss.made("/v1/rulesets", {"document": HIDING})
    assert (await boss.post(f"/v1/rulesets/{kept['version']}/activate")).status_code == 200
    async with connected_page(boss) as page:
        spam, rude = f"{page.post}_{unique()}", f"{page.post}_{unique()}"
        await page.say(page.comment(unique(), "Buy crypto now", item=spam))
        await page.say(page.comment(customer, "You idiots", item=rude))
        ticket = await page.ticket_of(customer)
        [said] = [line["message"] for line in await boss.timeline(ticket["id"]) if line["kind"] == "message"]
        path = f"/v1/tickets/{ticket['id']}/messages/{said['id']}/moderation"
        assert (await boss.post(path, {"operation": "hide"})).status_code == 202

        async def is_told() -> bool:
            kinds = [line["kind"] for line in await boss.timeline(ticket["id"])]
            return "moderation-done" in kinds and len(await _concluded(boss)) == 2

        await until(is_told)
        await page.network.caught_up()
        hidden = {(one.operation, one.item) for one in page.network.operated}
    assert hidden == {("hide", spam), ("hide", rude)}
    # What the network shows again of it asks for nothing more, and the ignored one never became work.
    assert [one["id"] for one in (await boss.get("/v1/tickets", state="any"))["data"]] == [ticket["id"]]
    told = [line["message"]["state"] for line in await boss.timeline(ticket["id"]) if line["kind"] == "message"]
    assert told == ["hidden"]
    concluded = await _concluded(boss)
    assert {(one["moderation"]["external_id"], one["outcome"]) for one in concluded} == {(spam, "done"), (rude, "done")}
    assert {one["moderation"].get("rule") for one in concluded} == {"spam", None}


async def _concluded(boss: Api) -> list[dict[str, Any]]:
    feed = (await boss.get("/v1/changes", after=0, limit=200))["data"]
    return [one["data"] for one in feed if one["type"] == "moderation.concluded.v1"]
