"""Nobody has answered for so long: asked once per silence and rule, by Postgres' time, whoever looks and how often."""

import asyncio
from datetime import timedelta

import pytest

from services.router.handlers.triggering import Triggers
from services.router.store import silences
from shared.clock import SystemClock
from shared.db.scope import Batch
from shared.db.timers import Timers
from shared.events.tickets import AnswerDetected, TicketReopened, TicketUpdated
from tests.support import past
from tests.support.messages import message
from tests.support.ticket_events import created, event, told
from tests.support.triggers import W, applied, happen, in_force, routed

TWO_HOURS = {
    "name": "two hours",
    "on": "timer",
    "after_minutes": 120,
    "when": {"ticket.state": "open"},
    "then": {"priority": "high"},
}
A_DAY = TWO_HOURS | {"name": "a day", "after_minutes": 24 * 60, "then": {"reroute": {"team": "care"}}}


@pytest.fixture
async def admin(database):
    async with past.admin(database) as opened:
        yield opened


def ago(**span):
    return SystemClock().now() - timedelta(**span)


def waits(at, *, ticket="tkt_1", version=1, **fields):
    said = message(f"m-{ticket}-{version}", workspace=W, author=ticket, occurred_at=at, **fields)
    kind = type(created()) if version == 1 else TicketUpdated
    return told(
        kind,
        version,
        workspace=W,
        at=at,
        message=said,
        ticket={"id": ticket},
        **({} if version == 1 else {"changes": ("messages",)}),
    )


def answered(at, version, *, ticket="tkt_1"):
    return told(
        AnswerDetected,
        version,
        workspace=W,
        at=at,
        ticket={"id": ticket},
        message_id="msg_1",
        conversation_id="cnv_1",
        turns=(),
    )


async def ring(database, triggers=None):
    """What every router does all the time; tells what was asked."""
    timers = Timers(database, "router", {silences.KIND: (triggers or Triggers()).on_silence})
    while await timers.step():
        pass
    return [(one.ticket_id, one.decision.rule) for one in await routed(database)]


async def test_a_silence_that_is_long_enough_asks_once(admin, database):
    version = await in_force(database, TWO_HOURS)
    await happen(database, waits(ago(hours=3)), waits(ago(minutes=5), ticket="tkt_2"))
    for _ in range(2):
        assert await ring(database) == [("tkt_1", "two hours")]
    [told_] = await routed(database)
    assert (told_.trigger, told_.ticket_version, told_.decision.priority) == ("timer", 1, "high")
    [decision] = (await admin.get("/v1/decisions?ticket_id=tkt_1")).json()["data"]
    assert (decision["rule"], decision["after_minutes"], decision["ruleset_version"]) == ("two hours", 120, version)
    assert (
        len(await past.own(database, "SELECT 1 FROM router.timer WHERE due_at > now() + interval '110 minutes'")) == 1
    )


async def test_an_answer_ends_a_silence_and_the_next_message_begins_another(admin, database):
    await in_force(database, TWO_HOURS)
    await happen(database, waits(ago(hours=9)), answered(ago(hours=8), 2))
    assert await ring(database) == []
    await happen(database, waits(ago(hours=7), version=3), waits(ago(minutes=1), version=4))
    assert len(await ring(database)) == 1
    await happen(database, answered(ago(hours=6), 5), waits(ago(hours=5), version=6))
    assert len(await ring(database)) == 2


async def test_a_message_between_two_looks_does_not_begin_the_silence_anew(admin, database):
    await in_force(database, TWO_HOURS)
    await happen(database, waits(ago(hours=3)))
    assert len(await ring(database)) == 1
    await happen(database, await applied(database, priority="high"), waits(ago(hours=3), version=3))
    assert len(await ring(database)) == 1


async def test_each_rule_is_asked_when_its_time_has_come_and_what_is_late_in_one_decision(admin, database):
    await in_force(database, TWO_HOURS, A_DAY)
    await happen(database, waits(ago(hours=3)))
    assert await ring(database) == [("tkt_1", "two hours")]
    await past.own(database, "UPDATE router.ticket SET silent_since = silent_since - interval '1 day'")
    await past.own(database, "UPDATE router.timer SET due_at = now()")
    assert await ring(database) == [("tkt_1", "two hours"), ("tkt_1", "a day")]
    await happen(database, waits(ago(days=2), ticket="tkt_2"))
    assert len(await ring(database)) == 3
    last = (await routed(database))[-1]
    assert (last.decision.priority, last.reroute.team) == ("high", "care")
    assert last.chain.rules == ("two hours", "a day")


async def test_closed_tickets_reactions_and_what_was_understood_afterwards_are_not_waited_for(admin, database):
    await in_force(database, TWO_HOURS)
    gone = told(TicketUpdated, 2, workspace=W, ticket={"state": "resolved"})
    await happen(
        database,
        waits(ago(hours=3)),
        gone,
        waits(ago(hours=3), ticket="tkt_2", kind="reaction"),
        waits(ago(hours=3), ticket="tkt_3", replayed=True),
    )
    assert await ring(database) == []
    back = told(TicketReopened, 3, workspace=W, at=ago(hours=3), message=message(workspace=W, occurred_at=ago(hours=3)))
    await happen(database, back)
    assert len(await ring(database)) == 1


async def test_who_has_waited_since_before_a_version_came_into_force_is_asked_about(admin, database):
    await happen(database, waits(ago(hours=3)))
    await in_force(database, TWO_HOURS)
    assert len(await ring(database)) == 1


async def test_a_version_without_timers_asks_about_nobody(admin, database):
    await in_force(database, TWO_HOURS)
    await happen(database, waits(ago(hours=3)))
    await in_force(database, TWO_HOURS | {"enabled": False})
    assert await ring(database) == []


async def test_many_silences_are_asked_about_together_by_several_routers_each_once(admin, database):
    await in_force(database, TWO_HOURS)
    await happen(database, *[waits(ago(hours=3), ticket=f"tkt_{number}") for number in range(250)])
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(ring(database))
    asked = [ticket for ticket, _ in await ring(database)]
    assert (len(asked), len(set(asked))) == (250, 250)


async def test_a_ticket_that_changes_at_this_moment_is_looked_at_afterwards(admin, database):
    await in_force(database, TWO_HOURS)
    await happen(database, waits(ago(hours=3)))
    async with database.transaction(Batch(frozenset({W})), schema="router") as tx:
        await Triggers().on_tickets(tx, [event(answered(ago(minutes=1), 2))])
        assert await Timers(database, "router", {silences.KIND: Triggers().on_silence}).step() == 1
    assert await ring(database) == []


async def test_what_breaks_off_asks_again(admin, database):
    await in_force(database, TWO_HOURS)
    await happen(database, waits(ago(hours=3)))

    async def broken(tx, timer):
        await Triggers().on_silence(tx, timer)
        raise ZeroDivisionError

    await Timers(database, "router", {silences.KIND: broken}).step()
    assert await routed(database) == []
    await past.own(database, "UPDATE router.timer SET claimed_until = NULL")
    assert len(await ring(database)) == 1


async def test_a_timer_is_tried_on_a_ticket_that_never_was(admin, database):
    version = await in_force(database, TWO_HOURS, A_DAY)
    asked = {"on": "timer", "after_minutes": 1440, "ticket": {"team": "community"}}
    tried = (await admin.post(f"/v1/rulesets/{version}/test", json=asked)).json()
    assert (tried["rule"], tried["action"]["reroute"]) == ("a day", {"team": "care"})
