"""What rules ask about customers comes all the way: from the ticket that one message opened to the next one's rules."""

import httpx

from tests.support.callers import other_workspace, until
from tests.support.page import connected_page, unique
from tests.support.system import System

DOCUMENT = {
    "fallback": {"team": "community"},
    "rules": [
        {"name": "new", "when": {"author.first": True}, "then": {"tags": ["new"]}},
        {"name": "again", "when": {"ticket.open": True, "ticket.tags": "new"}, "then": {"tags": ["again"]}},
    ],
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
