"""Surges and changes of duty ask about the open tickets that they concern: all of them, some at a time, each once."""

import asyncio

import msgspec
import pytest

from services.router.domain.facts import SurgeChange
from services.router.domain.rounds import of_surge
from services.router.handlers.triggering import AT_ONCE, Triggers
from services.router.store import rounds
from services.router.store.rounds import Leg
from shared import ids
from shared.db.scope import Batch
from shared.db.timers import Timers
from shared.events import envelope
from shared.events.duties import AvailabilityChanged, DutyChanged
from shared.events.payload import SYSTEM
from shared.events.routing import Chain, TicketRouted
from shared.events.tickets import TicketUpdated
from tests.support import past, surges
from tests.support.messages import message
from tests.support.ticket_events import AT, created, event, told
from tests.support.triggers import W, applied, happen, in_force, routed

BUSY = {
    "name": "busy",
    "on": "surge.changed",
    "when": {"surge.change": "began", "surge.subject": {"starts": ["channel:", "lane:", "tag:"]}},
    "then": {"tags": ["busy"]},
}
CALM = {"name": "calm", "on": "surge.changed", "when": {"surge.change": "ended"}, "then": {"tags": ["calm"]}}
GONE = {
    "name": "gone",
    "on": "shift.changed",
    "when": {"shift.change": {"any": ["owner-off", "owner-away"]}},
    "then": {"reroute": {"team": "care"}},
}
CLOSED = {"name": "closed", "on": "shift.changed", "when": {"shift.change": "team-off"}, "then": {"tags": ["closed"]}}


@pytest.fixture
async def admin(database):
    async with past.admin(database) as opened:
        yield opened


def opened(ticket, *, channel="chn_w1", said="m", **view):
    came = message(f"{said}-{ticket}", workspace=W, author=ticket, channel=channel)
    return told(type(created()), 1, workspace=W, message=came, ticket={"id": ticket, **view})


async def turns(database, subject, change="began", surge="srg_1"):
    """A surge begins or ends."""
    asked = of_surge(surge, SurgeChange(change=change, subject=subject))
    async with database.transaction(Batch(frozenset({W})), schema="router") as tx:
        await rounds.go_on(tx, [Leg(W, asked)])


async def ring(database):
    """What every router does all the time."""
    timers = Timers(database, "router", {rounds.KIND: Triggers().on_round})
    while await timers.step():
        pass


async def asked(database):
    """Which rules held about which tickets, once everything was asked."""
    await ring(database)
    return [(one.ticket_id, one.decision.rule) for one in await decided(database)]


async def decided(database):
    """What was decided about tickets."""
    return [one for one in await routed(database) if isinstance(one, TicketRouted)]


async def shifts(database, data, *, again=False):
    id_ = ids.digest("evt", repr(data))
    for _ in range(1 + again):
        async with database.transaction(Batch(frozenset({W})), schema="router") as tx:
            await Triggers().on_tickets(tx, [envelope.new(data, event_id=id_, key=W, time=AT)])


def duty(on_duty, *, came=(), went=(), team="care"):
    return DutyChanged(workspace_id=W, team=team, actor=SYSTEM, at=AT, on_duty=on_duty, came=came, went=went)


@pytest.mark.parametrize(
    ("subject", "concerned"),
    [
        ("channel:chn_w1", ["tkt_1", "tkt_2"]),
        ("channel:chn_2", ["tkt_3"]),
        ("tag:money", ["tkt_2"]),
        ("tag:chn_w1", []),
        ("lane:care", ["tkt_1"]),
    ],
)
async def test_a_surge_asks_about_the_open_tickets_that_it_concerns(admin, database, subject, concerned):
    tells = {"name": "lane", "when": {"text": "broken"}, "then": {"lane": "care"}}
    await in_force(database, BUSY, tells)
    await past.decide(database, [message("m-tkt_1", workspace=W, channel="chn_w1", author="tkt_1", text="broken")])
    await happen(
        database,
        opened("tkt_1"),
        opened("tkt_2", tags=("money",)),
        opened("tkt_3", channel="chn_2"),
        opened("tkt_4", state="resolved"),
    )
    await turns(database, subject)
    await ring(database)
    told_ = await decided(database)
    assert [one.ticket_id for one in told_] == concerned
    assert all((one.trigger, one.ticket_version, one.chain.hops) == ("surge.changed", 1, 1) for one in told_)


async def test_a_surge_that_is_noticed_asks_when_it_begins_and_when_it_ends(admin, database):
    await surges.policy(admin, watch=["channel"])
    await surges.remember(database, hourly={surges.channel(): 40})
    await in_force(database, BUSY, CALM | {"when": {"surge.change": "ended", "volume.surge": False}})
    await happen(database, opened("tkt_1"))
    await surges.say(database, 100)
    await surges.look(database)
    await ring(database)
    [began] = await decided(database)
    assert (began.decision.rule, began.decision.tags) == ("busy", ("busy",))
    for _ in range(2):
        await surges.calm_down(database)
        await surges.look(database)
    await ring(database)
    assert [one.decision.rule for one in await decided(database)] == ["busy", "calm"]


async def test_several_routers_ask_about_many_tickets_each_once(admin, database):
    await in_force(database, BUSY)
    many = AT_ONCE * 2 + 20
    await past.own(
        database,
        "INSERT INTO router.ticket (id, workspace_id, is_open, team_id, priority, tags, version, state, subjects) "
        "SELECT 'tkt_' || lpad(n::text, 4, '0'), $1, true, 'care', 'normal', '[]', 1, 'open', $2 "
        "FROM generate_series(1, $3) n RETURNING 1",
        W,
        ["channel:chn_w1"],
        many,
    )
    await turns(database, "channel:chn_w1")
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(ring(database))
    found = [one.ticket_id for one in await decided(database)]
    assert (len(found), len(set(found))) == (many, many)
    assert await past.own(database, "SELECT FROM router.timer WHERE kind = $1", rounds.KIND) == []


async def test_what_is_over_is_not_asked_about_as_if_it_went_on(admin, database):
    await in_force(database, BUSY, CALM)
    await happen(database, opened("tkt_1"))
    await turns(database, "channel:chn_w1")
    await turns(database, "channel:chn_w1", "ended")
    assert await asked(database) == [("tkt_1", "calm")]


async def test_a_ticket_that_had_moved_on_is_asked_again_about_the_surge(admin, database):
    await in_force(database, BUSY)
    await happen(database, opened("tkt_1"))
    await turns(database, "channel:chn_w1")
    await ring(database)
    await happen(database, told(TicketUpdated, 2, workspace=W, ticket={"tags": ("other",)}, changes=("tags",)))
    assert [one.ticket_version for one in await decided(database)] == [1, 2]
    await happen(database, await applied(database, tags=("other", "busy")))
    assert len(await decided(database)) == 2


async def test_what_such_a_rule_does_asks_others_in_the_same_chain_and_never_itself(admin, database):
    changed = {"name": "changed", "on": "ticket.changed", "when": {"ticket.tags": "busy"}, "then": {"priority": "high"}}
    await in_force(database, BUSY, changed)
    await happen(database, opened("tkt_1"))
    await turns(database, "channel:chn_w1")
    await ring(database)
    [first] = await decided(database)
    done = await applied(database, tags=("busy",))
    await happen(database, msgspec.structs.replace(done, chain=first.chain))
    second = (await decided(database))[1]
    assert (second.decision.rule, second.chain) == ("changed", Chain(hops=2, rules=("busy", "changed")))


async def test_a_version_without_such_rules_is_asked_nothing(admin, database):
    await in_force(database, GONE)
    await happen(database, opened("tkt_1"))
    await turns(database, "workspace")
    assert await asked(database) == []
    assert await past.own(database, "SELECT FROM router.timer WHERE kind = $1", rounds.KIND) == []


async def test_whoever_goes_off_duty_leaves_tickets_that_rules_may_move(admin, database):
    await in_force(database, GONE, CLOSED)
    await happen(
        database,
        opened("tkt_1", team="community", owner="agt_1"),
        opened("tkt_2", team="community", owner="agt_2"),
        opened("tkt_3", team="community"),
        opened("tkt_4", team="product", owner="agt_1"),
    )
    await shifts(database, duty(1, went=("agt_1",), team="community"), again=True)
    assert await asked(database) == [("tkt_1", "gone")]
    await shifts(database, duty(0, went=("agt_2",), team="community"))
    then = (await asked(database))[1:]
    assert then == [("tkt_1", "closed"), ("tkt_2", "gone"), ("tkt_3", "closed")]


async def test_an_event_that_comes_again_later_asks_nobody_again(admin, database):
    await in_force(database, GONE)
    await happen(database, opened("tkt_1", owner="agt_1", team="community"))
    left = duty(1, went=("agt_1",), team="community")
    await shifts(database, left)
    await ring(database)
    await happen(database, opened("tkt_2", owner="agt_1", team="community"))
    await shifts(database, left)
    assert await asked(database) == [("tkt_1", "gone")]


async def test_who_is_away_by_his_own_word_is_told_in_all_his_teams(admin, database):
    await in_force(database, GONE)
    await happen(database, opened("tkt_1", owner="agt_1", team="community"), opened("tkt_2", owner="agt_1"))
    away = AvailabilityChanged(
        workspace_id=W, agent="agt_1", actor=SYSTEM, at=AT, availability="away", before="available"
    )
    await shifts(database, away)
    assert [one[0] for one in await asked(database)] == ["tkt_1", "tkt_2"]


async def test_a_ticket_that_was_handed_over_meanwhile_is_not_moved_again(admin, database):
    await in_force(database, GONE)
    await happen(database, opened("tkt_1", owner="agt_1", team="community"))
    await shifts(database, duty(1, went=("agt_1",), team="community"))
    await ring(database)
    handed = told(TicketUpdated, 2, workspace=W, ticket={"team": "community", "owner": "agt_2"}, changes=("owner",))
    await happen(database, handed)
    assert len(await decided(database)) == 1


async def test_a_round_waits_for_a_ticket_that_is_followed_at_this_moment(admin, database):
    await in_force(database, BUSY)
    await happen(database, opened("tkt_1"), opened("tkt_2"))
    await turns(database, "channel:chn_w1")
    async with database.transaction(Batch(frozenset({W})), schema="router") as tx:
        update = told(TicketUpdated, 2, workspace=W, ticket={"id": "tkt_1", "tags": ("new",)}, changes=("tags",))
        await Triggers().on_tickets(tx, [event(update)])
        asking = asyncio.create_task(ring(database))  # noqa: TID251 - it waits until this transaction is over
        await asyncio.sleep(0)
    await asking
    assert sorted((one.ticket_id, one.ticket_version) for one in await decided(database)) == [
        ("tkt_1", 2),
        ("tkt_2", 1),
    ]


async def test_a_rule_about_surges_and_shifts_is_tried_on_any_ticket(admin, database):
    version = await past.keep(database, BUSY, GONE)
    tried = {"on": "surge.changed", "ticket": {"team": "care"}, "surge_change": "began", "surge_subject": "tag:x"}
    answer = (await admin.post(f"/v1/rulesets/{version}/test", json=tried)).json()
    assert (answer["rule"], answer["facts"]["surge.subject"]) == ("busy", "tag:x")
    tried = {"on": "shift.changed", "ticket": {"team": "care", "owner": "agt_1"}, "shift_change": ["owner-off"]}
    answer = (await admin.post(f"/v1/rulesets/{version}/test", json=tried)).json()
    assert (answer["rule"], answer["facts"]["shift.change"]) == ("gone", ["owner-off"])


async def test_what_was_asked_is_explained(admin, database):
    await in_force(database, BUSY)
    await happen(database, opened("tkt_1"))
    await turns(database, "channel:chn_w1")
    await ring(database)
    [one] = (await admin.get("/v1/decisions", params={"ticket_id": "tkt_1"})).json()["data"]
    assert (one["trigger"], one["rule"], one["facts"]["surge.change"]) == ("surge.changed", "busy", "began")
