"""Rules that listen to tickets ask for the customer and for duty, too, and are told where they ask only."""

from datetime import timedelta

import pytest

from services.router.handlers.triggering import Triggers
from services.router.store import silences
from shared.clock import SystemClock
from shared.db.scope import Workspace
from shared.db.timers import Timers
from shared.events.tickets import TicketUpdated
from shared.platform.store import agents, schedules, teams
from tests.support import past
from tests.support.messages import message
from tests.support.ticket_events import account, created, customer, told
from tests.support.triggers import W, happen, in_force, routed

VIP = {"name": "vip", "on": "customer.replied", "when": {"customer.tags": "vip"}, "then": {"tags": ["of-vip"]}}
PLAN = {
    "name": "plan",
    "on": "customer.replied",
    "when": {"customer.attributes.plan": "gold"},
    "then": {"priority": "high"},
}
NIGHT = {
    "name": "night",
    "on": "customer.replied",
    "when": {"shift": {"none": "care"}},
    "then": {"tags": ["night"]},
}


@pytest.fixture
async def admin(database):
    async with past.admin(database) as opened:
        yield opened


async def ann_works(database, *, on_duty):
    async with database.transaction(Workspace(W)) as tx:
        await agents.create(tx, W, agent_id="agt_ann", name="Ann")
        await teams.add_member(tx, W, "care", "agt_ann")
        await schedules.set_duty(tx, W, "care", ["agt_ann"] if on_duty else [], stand_in=None)


def reply(version):
    said = message(f"m{version}", workspace=W, text="and now?", author="ann")
    return told(TicketUpdated, version, workspace=W, message=said, changes=("messages",))


def known(version, **fields):
    return customer(version, workspace=W, accounts=(account("ann"),), **fields)


async def test_a_reply_is_decided_about_by_what_is_known_of_its_customer_and_by_duty(admin, database):
    await in_force(database, VIP, PLAN, NIGHT)
    await ann_works(database, on_duty=False)
    await happen(database, created("ann", workspace=W), known(2, tags=("vip",), attributes={"plan": "gold"}), reply(2))
    [first] = await routed(database)
    assert (first.decision.tags, first.decision.priority) == (("of-vip", "night"), "high")
    listed = (await admin.get("/v1/decisions", params={"ticket_id": "tkt_1"})).json()["data"]
    assert (listed[0]["facts"]["customer.tags"], listed[0]["facts"].get("shift")) == (["vip"], None)


async def test_somebody_on_duty_and_a_customer_of_whom_nothing_is_known_hold_for_none_of_it(admin, database):
    await in_force(database, VIP, PLAN, NIGHT)
    await ann_works(database, on_duty=True)
    await happen(database, created("ann", workspace=W), reply(2))
    assert await routed(database) == []


async def test_nothing_is_read_that_no_rule_about_tickets_asks_for(admin, database):
    await in_force(database, NIGHT | {"when": {"text": "and now?"}})
    await past.own(database, "DROP TABLE router.customer, router.customer_account")
    await happen(database, created("ann", workspace=W), reply(2))
    assert [one.decision.tags for one in await routed(database)] == [("night",)]


async def test_a_silence_is_asked_about_by_duty_and_customer(admin, database):
    rule = {
        "name": "nobody there",
        "on": "timer",
        "after_minutes": 60,
        "when": {"shift": {"none": "care"}, "customer.tags": "vip"},
        "then": {"priority": "urgent"},
    }
    await in_force(database, rule)
    await ann_works(database, on_duty=False)
    at = SystemClock().now() - timedelta(minutes=90)
    said = message("m1", workspace=W, author="ann", occurred_at=at)
    opened = told(type(created()), 1, workspace=W, at=at, message=said)
    await happen(database, opened, known(2, tags=("vip",)))
    await Timers(database, "router", {silences.KIND: Triggers().on_silence}).step()
    assert [one.decision.priority for one in await routed(database)] == ["urgent"]
