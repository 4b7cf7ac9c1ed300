"""While it surges, customers who say the same get one tag, whoever says it first, and nobody else does."""

import asyncio

import pytest

from services.router.domain import duplicates as names
from services.router.handlers import duplicates
from services.router.store import sayings
from shared.db.timers import Timers
from shared.events.routing import TicketRouted
from shared.events.tickets import TicketCreated, TicketUpdated
from tests.support import past, surges
from tests.support.messages import message
from tests.support.ticket_events import told
from tests.support.triggers import W, happen, routed

SAID = "My app crashes since the update"
TAG = f"duplicate:{names.name(SAID)}"


@pytest.fixture
async def admin(database):
    async with past.admin(database) as opened:
        yield opened


async def surge(admin, database, **during):
    """The channel surges."""
    await surges.policy(admin, watch=["channel", "tag"], during={"tags": [], "group_duplicates": True} | during)
    await surges.remember(database, hourly={surges.channel(): 4})
    await surges.say(database, 100, text=None)
    await surges.look(database)


def said(author, text=SAID, *, nth=1, channel="chn_w1", **fields):
    return message(f"{author}-{nth}", workspace=W, channel=channel, author=author, text=text, **fields)


async def tags(database, *some):
    """What is decided about these, each batch on its own."""
    found = {}
    for one in some:
        await past.decide(database, [one])
        [row] = await past.own(database, "SELECT action FROM router.decision WHERE message_id = $1", one.id)
        found[one.external_id.rpartition("-")[0]] = row["action"].get("tags", [])
    return found


async def opened(database, *authors):
    for author in authors:
        await happen(
            database, told(TicketCreated, 1, workspace=W, message=said(author), ticket={"id": f"tkt_{author}"})
        )


async def ring(database):
    """Those who said something first are looked at; gives what tickets are told."""
    await past.own(database, "UPDATE router.timer SET due_at = now() WHERE kind = $1 RETURNING 1", sayings.KIND)
    await Timers(database, "router", {sayings.KIND: duplicates.on_timer}).step()
    told_ = [one for one in await routed(database) if isinstance(one, TicketRouted)]
    return [(one.ticket_id, one.ticket_version, one.decision.tags, one.decision.rule) for one in told_]


async def states(database):
    rows = await past.own(database, "SELECT state FROM router.saying ORDER BY state")
    return [row["state"] for row in rows]


async def test_whoever_says_what_others_said_gets_their_tag_and_the_rest_gets_none(admin, database):
    await surge(admin, database)
    other = "Something else entirely, and I am alone with it"
    found = await tags(
        database, said("ann"), said("ann", nth=2), said("bea", other), said("cem", f"{SAID}!"), said("dan", "ok")
    )
    assert found == {"ann": [], "bea": [], "cem": [TAG], "dan": []}


async def test_in_one_batch_all_who_say_the_same_get_the_tag(admin, database):
    await surge(admin, database)
    batch = [said("ann"), said("bea"), said("cem", "I have a question about my invoice")]
    await past.decide(database, batch)
    rows = await past.own(
        database, "SELECT action FROM router.decision WHERE message_id = ANY($1::text[])", [one.id for one in batch]
    )
    assert sorted(str(row["action"].get("tags")) for row in rows) == ["None", f"['{TAG}']", f"['{TAG}']"]


async def test_the_ticket_of_who_said_it_first_gets_the_tag_when_somebody_else_says_it(admin, database):
    await surge(admin, database)
    await tags(database, said("ann"))
    await opened(database, "ann")
    assert await ring(database) == []
    await tags(database, said("bea"))
    told_ = ("tkt_ann", 1, (TAG,), "group_duplicates")
    assert await ring(database) == [told_]
    await happen(database, told(TicketUpdated, 2, workspace=W, ticket={"id": "tkt_ann", "tags": ("vip",)}))
    # It had moved on: tickets dropped that.
    again = ("tkt_ann", 2, (TAG,), "group_duplicates")
    assert await ring(database) == [told_, again]
    await happen(database, told(TicketUpdated, 3, workspace=W, ticket={"id": "tkt_ann", "tags": ("vip", TAG)}))
    assert await ring(database) == [told_, again]
    await ring(database)
    assert (await states(database), await past.own(database, "SELECT FROM router.timer WHERE kind = 'duplicates'")) == (
        ["told", "told"],
        [],
    )
    # Whoever takes the tag off has the last word.
    await happen(database, told(TicketUpdated, 4, workspace=W, ticket={"id": "tkt_ann", "tags": ("vip",)}))
    await tags(database, said("cem"))
    assert await ring(database) == [told_, again]


async def test_a_ticket_that_never_comes_is_not_waited_for_for_ever(admin, database):
    await surge(admin, database)
    await tags(database, said("ann"), said("bea"))
    await ring(database)
    assert await states(database) == ["due", "told"]
    await past.own(database, "UPDATE router.saying SET said_at = said_at - interval '2 minutes' RETURNING 1")
    await ring(database)
    assert await states(database) == ["told", "told"]


async def test_two_routers_that_hear_it_at_once_leave_nobody_out(admin, database):
    await surge(admin, database)
    async with asyncio.TaskGroup() as group:
        for author in ("ann", "bea"):
            group.create_task(past.decide(database, [said(author)]))
    await opened(database, "ann", "bea")
    assert (await tags(database, said("cem")))["cem"] == [TAG]
    rows = await past.own(database, "SELECT action FROM router.decision WHERE action::text LIKE '%duplicate%'")
    late = {one[0] for one in await ring(database)}
    assert late <= {"tkt_ann", "tkt_bea"}
    assert len(rows) + len(late) == 3


async def test_only_what_a_surge_concerns_is_compared_and_only_where_it_is_wanted(admin, database):
    ignoring = {"name": "staff", "when": {"author.id": "eve"}, "then": {"ignore": True}}
    await past.activate(database, await past.keep(database, ignoring))
    assert await tags(database, said("ann"), said("bea")) == {"ann": [], "bea": []}
    await surge(admin, database)
    elsewhere = await tags(database, said("ann", nth=2, channel="chn_2"), said("bea", nth=2, channel="chn_2"))
    assert elsewhere == {"ann": [], "bea": []}
    found = await tags(
        database, said("eve"), said("ann", nth=3, replayed=True), said("bea", nth=3), said("cem"), said("eve", nth=2)
    )
    assert found == {"eve": [], "ann": [], "bea": [], "cem": [TAG]}
    await surges.policy(admin, version=1, watch=["channel"], during={"tags": []})
    assert await tags(database, said("dan")) == {"dan": []}


async def test_it_is_explained_tried_again_the_same_and_counts_as_no_topic(admin, database):
    await surge(admin, database)
    await tags(database, said("ann"), said("bea"))
    told_ = (await admin.get(f"/v1/decisions/{said('bea').id}")).json()["decision"]["surge"]
    assert (told_["duplicate"], told_["during"]) == (TAG.removeprefix("duplicate:"), {"group_duplicates": True})
    report = (await admin.post("/v1/rulesets/1/backtest", json={})).text.splitlines()[-1]
    assert '"different":0' in report
    assert [one for one in await surges.counts(database) if one.startswith("tag:")] == []
    assert (await admin.get("/v1/surge-policy")).json()["during"]["group_duplicates"] is True
