"""What rules tell comes to whom they name, in the order of everything else, and to nobody who may not see it."""

from services.notifier.domain.event_types import FEED_TYPES
from shared.events.routing import Flag
from shared.events.tickets import TicketFlagged, TicketUpdated
from shared.platform.store import endpoints as names
from tests.support import api
from tests.support.outgoing import happened, ticket
from tests.support.pushing import pushing
from tests.support.receiving import receiving
from tests.support.waiting import eventually


def flagged(endpoint=None, **changes):
    flag = Flag(rule="vip", text="Look", agents=("agt_1",), endpoint=endpoint)
    return happened(TicketFlagged, flag=flag, **changes)


def arrived(receiver):
    return [one.body["type"] for one in receiver.pushes]


async def test_an_endpoint_that_a_rule_names_gets_it_whatever_it_is_subscribed_to(database):
    async with pushing(database) as push, receiving() as named, receiving() as other, receiving() as foreign:
        mine = await push.endpoint(named, types=["lease.*"])
        await push.endpoint(other, types=["ticket.updated"])
        theirs = await push.endpoint(foreign, types=["lease.*"], teams=["product"])
        event = flagged(mine["id"])
        for _ in range(2):
            await push.here.deliver(push.events.on_events, event)
        # A team's limit is not the type's: what an endpoint may not see, no rule shows to it.
        await push.here.deliver(push.events.on_events, flagged(theirs["id"]), happened(TicketUpdated))
        await eventually(lambda: arrived(other) == ["ticket.updated.v1"])
        await eventually(lambda: arrived(named) == ["ticket.flagged.v1"])
        assert named.pushes[0].body["data"]["flag"] == {
            "rule": "vip",
            "text": "Look",
            "agents": ["agt_1"],
            "endpoint": mine["id"],
        }
        await push.rows(2)
        assert (await push.post(f"{mine['id']}/replay", since=1))["queued"] == 1
        await eventually(lambda: arrived(named) == ["ticket.flagged.v1"] * 2)
        assert arrived(foreign) == []


async def test_an_endpoint_that_is_subscribed_gets_what_is_told_to_anybody(database):
    async with pushing(database) as push, receiving() as receiver:
        await push.endpoint(receiver, types=["ticket.flagged"])
        await push.here.deliver(push.events.on_events, flagged(), flagged(view=ticket("tkt_2", team="product")))
        await eventually(lambda: arrived(receiver) == ["ticket.flagged.v1"] * 2)


async def test_rules_may_name_an_endpoint_for_as_long_as_it_is_there(database):
    async def known(endpoint_id):
        async with push.here.runtime.batch(["w1"]) as tx:
            return await names.existing(tx, "w1", [endpoint_id, "end_other"])

    async with pushing(database) as push, receiving() as receiver:
        made = await push.endpoint(receiver)
        assert await known(made["id"]) == {made["id"]}
        await push.client.delete(f"/v1/endpoints/{made['id']}")
        assert await known(made["id"]) == set()


async def test_pages_show_it_to_whoever_may_read_the_ticket(database):
    async with pushing(database) as push:
        await push.here.deliver(push.events.on_events, flagged())
        for teams, seen in (None, 1), (["care"], 1), (["product"], 0):
            token = await api.new_key(database, "w1", teams=teams)
            push.client.headers["Authorization"] = f"Bearer {token}"
            assert len((await push.client.get("/v1/changes")).json()["data"]) == seen


def test_it_can_be_subscribed_to():
    assert "ticket.flagged.v1" in FEED_TYPES
