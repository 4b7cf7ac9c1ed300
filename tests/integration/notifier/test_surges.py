"""Staff and endpoints hear of surges in the order of everything else, unless they may see some teams only."""

import pytest

from services.notifier.domain.event_types import FEED_TYPES, example
from services.notifier.handlers.feed import TicketEvents
from services.notifier.service import build
from shared.events import envelope, tickets
from shared.events.payload import SYSTEM
from shared.events.surges import SurgeBegan, SurgeEnded, Volume
from tests.support import api
from tests.support.outgoing import AT, IDS, happened, world
from tests.support.pushing import pushing
from tests.support.receiving import receiving
from tests.support.waiting import eventually

EVENTS = TicketEvents(wake=lambda: None, offer=lambda _: None)


def told(kind, **fields):
    data = kind(
        workspace_id="w1",
        surge_id="srg_1",
        subject="channel:chn_1",
        at=AT,
        volume=Volume(messages=120, minutes=15, usual=10.5),
        actor=SYSTEM,
        policy_version=1,
        **fields,
    )
    return envelope.new(data, event_id=IDS.new("evt"), key="w1", time=AT)


BEGAN = told(SurgeBegan, policy_author="agt_ann", tags=("surge",), priority="high")
ENDED = told(SurgeEnded, reason="calm", began_at=AT, peak=200)


@pytest.fixture
async def here(database):
    async with world(database) as made:
        for _ in range(2):
            await made.deliver(EVENTS.on_events, BEGAN, happened(tickets.TicketUpdated, event_id="evt_t"), ENDED)
        yield made


async def changes(here, query="", **key):
    token = await api.new_key(here.database, "w1", **key)
    async with api.client(api.new_app(here.database, build(here.runtime)), token) as client:
        return [(one["sequence"], one["type"]) for one in (await client.get(f"/v1/changes{query}")).json()["data"]]


async def test_a_surge_has_its_place_in_the_feed_once(here):
    assert await changes(here) == [(1, "surge.began.v1"), (2, "ticket.updated.v1"), (3, "surge.ended.v1")]
    assert await changes(here, "?types=surge.*") == [(1, "surge.began.v1"), (3, "surge.ended.v1")]


async def test_whoever_sees_some_teams_only_does_not_hear_what_concerns_all(here):
    assert await changes(here, teams=["care"]) == [(2, "ticket.updated.v1")]


async def test_an_endpoint_gets_what_surges(database):
    async with pushing(database) as push, receiving() as receiver:
        await push.endpoint(receiver, types=["surge.began"])
        await push.here.deliver(push.events.on_events, BEGAN, ENDED)
        await eventually(lambda: len(receiver.pushes) == 1)
    [arrived] = receiver.pushes
    assert arrived.body["data"] == {
        "workspace_id": "w1",
        "surge_id": "srg_1",
        "subject": "channel:chn_1",
        "at": "2026-11-22T09:00:00Z",
        "volume": {"messages": 120, "minutes": 15, "usual": 10.5},
        "actor": {"kind": "system"},
        "policy_version": 1,
        "policy_author": "agt_ann",
        "tags": ["surge"],
        "priority": "high",
    }


def test_surges_can_be_subscribed_to_and_have_an_example():
    assert {"surge.began.v1", "surge.ended.v1"} <= set(FEED_TYPES)
    assert example("surge.began.v1")["data"]["volume"] == {"messages": 1, "minutes": 1}
