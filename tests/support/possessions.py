"""One of everything in a workspace, for requests that need an id."""

from datetime import timedelta
from typing import Final

from shared.clock import SystemClock
from tests.support.callers import Api, hired
from tests.support.page import REFUSED, Page, unique

NONE: Final = frozenset({"letter_id", "surge_id"})
"""What nobody has whose system is well and whose day is quiet."""


async def possessions(page: Page, writer: Api) -> dict[str, str]:
    """Ids by the name of their placeholder; `writer` is an agent of the page's workspace."""
    admin = page.admin
    _, _, ticket = await page.asked()
    page.network.refuse.append(REFUSED)
    reply = (await writer.reply(ticket, "Hello")).json()
    await writer.settled(reply["id"])
    await writer.call("DELETE", f"/v1/tickets/{ticket['id']}/lease")
    [draft] = await writer.get(f"/v1/tickets/{ticket['id']}/drafts")
    team = f"team-{unique()}"
    await admin.made("/v1/teams", {"id": team, "name": "Team"})
    await admin.call("PUT", f"/v1/teams/{team}/schedule", {"zone": "UTC"})
    [agent] = await hired(admin, 1)
    endpoint = await admin.made("/v1/endpoints", {"url": "http://127.0.0.1:9/", "event_types": ["*"]})
    hook = await admin.made("/v1/hooks", {"target_url": "http://127.0.0.1:9/", "event": "ticket.created.v1"})
    document = {"rules": [], "fallback": {"team": "community"}}
    for _ in range(3):
        ruleset = await admin.made("/v1/rulesets", {"document": document})
    far = (SystemClock().now() + timedelta(days=300)).isoformat()
    planned = await admin.made(f"/v1/rulesets/{ruleset['version']}/activate", {"at": far})
    # One runs at a time: that of earlier possessions, perhaps.
    await admin.call("DELETE", "/v1/rulesets/shadow")
    await admin.made(f"/v1/rulesets/{ruleset['version']}/shadow")
    key = await admin.made("/v1/keys", {"name": "k", "role": "analyst"})
    view = await admin.made("/v1/views", {"name": f"View {unique()}", "query": {}})
    message = next(line["message"] for line in await admin.timeline(ticket["id"]) if line["kind"] == "message")
    return {
        "ticket_id": ticket["id"],
        "customer_id": ticket["customer"]["id"],
        "reply_id": reply["id"],
        "draft_id": draft["id"],
        "message_id": message["id"],
        "channel_id": page.id,
        "inbox_id": (await admin.get("/v1/inbox", channel_id=page.id))["data"][0]["id"],
        "agent_id": agent.agent.id if agent.agent else "",
        "team_id": team,
        "source": f"calendar-{unique()}",
        "endpoint_id": endpoint["id"],
        "hook_id": hook["id"],
        "number": "1",
        "version": str(ruleset["version"]),
        "plan_id": planned["plan"]["id"],
        "key_id": key["id"],
        "view_id": view["id"],
        "letter_id": "nothing-was-ever-given-up",
        "surge_id": "nothing-ever-surged",
    }
