"""The right to answer: one holder, ever-growing fences, and only the database's clock decides when it ends."""

from datetime import timedelta

import pytest

from services.tickets.domain.lease import FencedOff, LeaseHeld
from services.tickets.handlers import administration
from shared.clock import SystemClock
from shared.db.scope import Workspace
from shared.errors import Forbidden
from tests.support.answers import HOME, Answers, agent, bot
from tests.support.both import in_both_workspaces
from tests.support.clock import ManualClock
from tests.support.floor import AT, Floor, message, open_floor, routed
from tests.support.postgres import open_database

ANN = agent("agt_ann")
BEN = agent("agt_ben")
CAL = agent("agt_cal")
LEA = agent("agt_lea", role="lead")
BOT = bot("echo")


@pytest.fixture
async def answers(floor: Floor) -> Answers:
    return await Answers(floor).open_both()


async def test_the_holder_is_named_to_whoever_comes_second(answers: Answers) -> None:
    mine = await answers.lease(ANN)
    assert 29_000 < mine["expires_in_ms"] <= 30_000
    refusal = await answers.lease(BEN)
    assert isinstance(refusal, LeaseHeld)
    assert (refusal.status, refusal.fields["holder"]["id"]) == (423, "agt_ann")
    assert refusal.fields["expires_at"] == mine["expires_at"].isoformat()
    assert await answers.told() == ["lease.acquired"]


async def test_ones_own_again_keeps_the_fence_and_tells_nobody(answers: Answers) -> None:
    first = await answers.lease(ANN, session="a")
    again = await answers.lease(ANN, session="a")
    assert again["fence"] == first["fence"]
    assert await answers.told() == ["lease.acquired"]


async def test_another_screen_of_the_holder_gets_a_greater_fence(answers: Answers) -> None:
    first = await answers.lease(ANN, session="a")
    second = await answers.lease(ANN, session="b")
    assert second["fence"] > first["fence"]
    assert isinstance(await answers.beat(ANN, first["fence"]), FencedOff)
    assert await answers.told() == ["lease.acquired", "lease.acquired"]


async def test_a_heartbeat_keeps_the_fence_and_neither_locks_nor_tells(answers: Answers) -> None:
    mine = await answers.lease(ANN)
    await answers.age(20)
    await answers.mark()
    beat = await answers.beat(ANN, mine["fence"])
    assert beat["fence"] == mine["fence"]
    assert beat["expires_in_ms"] > 29_000
    assert await answers.told() == []


async def test_a_heartbeat_passes_while_somebody_else_has_the_tickets_locked(answers: Answers) -> None:
    mine = await answers.lease(ANN)

    async def while_locked(tx: object) -> object:
        await tx.fetch("SELECT FROM tickets.customer FOR UPDATE")  # type: ignore[attr-defined]
        await tx.fetch("SELECT FROM tickets.ticket FOR UPDATE")  # type: ignore[attr-defined]
        return await answers.beat(ANN, mine["fence"])

    assert (await answers.act(ANN, while_locked))["fence"] == mine["fence"]


@in_both_workspaces
async def test_a_heartbeat_that_comes_too_late_is_fenced_off(answers: Answers) -> None:
    mine = await answers.lease(ANN)
    await answers.age(31)
    assert isinstance(await answers.beat(ANN, mine["fence"]), FencedOff)
    theirs = await answers.lease(BEN)
    assert theirs["fence"] > mine["fence"]
    assert isinstance(await answers.beat(ANN, mine["fence"]), FencedOff)


@in_both_workspaces
async def test_the_next_holder_records_that_the_lease_had_expired(answers: Answers) -> None:
    await answers.lease(ANN)
    await answers.age(31)
    await answers.mark()
    await answers.lease(BEN)
    released, acquired = await answers.heard()
    assert (released.type, released.data.reason, released.data.lease.holder.id) == (
        "lease.released.v1",
        "expired",
        "agt_ann",
    )
    assert acquired.data.previous_expired


async def test_a_holder_who_does_nothing_loses_the_lease_softly_despite_heartbeats(answers: Answers) -> None:
    mine = await answers.lease(ANN)
    for _ in range(5):
        await answers.age(20)
        assert not isinstance(await answers.beat(ANN, mine["fence"]), FencedOff)
    beat = await answers.beat(ANN, mine["fence"])
    assert beat["expires_in_ms"] <= 20_000
    await answers.age(21)
    assert isinstance(await answers.beat(ANN, mine["fence"]), FencedOff)
    await answers.mark()
    await answers.lease(BEN)
    assert (await answers.heard())[0].data.reason == "idle"


async def test_activity_keeps_the_lease_but_not_beyond_its_longest_life(answers: Answers) -> None:
    mine = await answers.lease(ANN)
    for _ in range(44):
        await answers.age(20)
        assert (await answers.beat(ANN, mine["fence"], active=True))["fence"] == mine["fence"]
    assert (await answers.beat(ANN, mine["fence"], active=True))["expires_in_ms"] <= 20_000
    await answers.age(21)
    assert isinstance(await answers.beat(ANN, mine["fence"], active=True), FencedOff)


async def test_a_workspace_sets_its_own_durations(answers: Answers) -> None:
    await answers.choose(lease_ttl=120)
    mine = await answers.lease(ANN)
    assert mine["expires_in_ms"] <= 120
    await answers.age(0.13)
    assert (await answers.lease(BEN))["fence"] > mine["fence"]


async def test_releasing_frees_at_once_and_twice_is_harmless(answers: Answers) -> None:
    mine = await answers.lease(ANN)
    await answers.release(ANN, fence=mine["fence"])
    await answers.release(ANN, fence=mine["fence"])
    assert await answers.told() == ["lease.acquired", "lease.released"]
    assert (await answers.lease(BEN))["fence"] > mine["fence"]
    assert isinstance(await answers.release(ANN, fence=mine["fence"]), FencedOff)


async def test_an_old_screen_does_not_release_what_the_new_one_holds(answers: Answers) -> None:
    old = await answers.lease(ANN, session="a")
    await answers.lease(ANN, session="b")
    assert isinstance(await answers.release(ANN, fence=old["fence"]), FencedOff)
    assert isinstance(await answers.lease(BEN), LeaseHeld)


async def test_an_idle_holder_is_taken_over_without_asking(answers: Answers) -> None:
    mine = await answers.lease(ANN)
    for _ in range(4):
        await answers.age(16)
        await answers.beat(ANN, mine["fence"])
    taken = await answers.take_over(BEN)
    assert taken["fence"] > mine["fence"]
    revoked, acquired = (await answers.heard())[-2:]
    assert (revoked.data.reason, revoked.data.lease.fence, revoked.data.by.id) == ("takeover", mine["fence"], "agt_ben")
    assert acquired.data.lease.fence == taken["fence"]


async def test_an_active_holder_is_asked_and_has_time(answers: Answers) -> None:
    mine = await answers.lease(ANN)
    await answers.mark()
    asked = await answers.take_over(BEN)
    assert (asked["fence"], asked["wanted_by"].id) == (None, "agt_ben")
    assert await answers.told() == ["ticket.updated"]
    assert (await answers.heard())[0].data.reason == "takeover-requested"
    seen = await answers.beat(ANN, mine["fence"], active=True)
    assert seen["wanted_by"].id == "agt_ben"
    again = await answers.take_over(BEN)
    assert again["wanted_until"] == asked["wanted_until"]
    assert isinstance(await answers.take_over(CAL), LeaseHeld)
    await answers.age(10)
    await answers.beat(ANN, mine["fence"], active=True)
    assert (await answers.take_over(BEN))["fence"] is None
    await answers.age(6)
    assert (await answers.take_over(BEN))["fence"] > mine["fence"]
    assert isinstance(await answers.beat(ANN, mine["fence"]), FencedOff)


async def test_whoever_asked_and_did_not_come_keeps_nobody_else_from_asking(answers: Answers) -> None:
    mine = await answers.lease(ANN)
    await answers.take_over(BEN)
    await answers.age(20)
    await answers.beat(ANN, mine["fence"], active=True)
    await answers.age(15)
    asked = await answers.take_over(CAL)
    assert (asked["fence"], asked["wanted_by"].id) == (None, "agt_cal")


async def test_a_holder_does_not_shake_off_a_request_with_another_screen(answers: Answers) -> None:
    await answers.lease(ANN, session="a")
    await answers.take_over(BEN)
    await answers.lease(ANN, session="b")
    await answers.age(16)
    assert (await answers.take_over(BEN))["fence"] is not None


async def test_only_supervisors_force(answers: Answers) -> None:
    mine = await answers.lease(ANN)
    assert isinstance(await answers.take_over(BEN, mode="force"), Forbidden)
    assert (await answers.take_over(LEA, mode="force"))["fence"] > mine["fence"]


async def test_humans_preempt_bots_and_bots_only_wait(answers: Answers) -> None:
    await answers.lease(BOT)
    mine = await answers.lease(ANN)
    assert mine["holder"].id == "agt_ann"
    assert [event.data.reason for event in await answers.heard() if event.type == "lease.revoked.v1"] == ["preempted"]
    assert isinstance(await answers.take_over(BOT), LeaseHeld)
    await answers.age(29)
    assert isinstance(await answers.take_over(BOT), LeaseHeld)
    await answers.age(2)
    assert (await answers.lease(BOT))["holder"].id == "agt_echo"


async def test_a_lease_is_told_to_every_ticket_that_it_covers(answers: Answers) -> None:
    queued = await answers.write(ANN)
    await answers.floor.rows("UPDATE tickets.ticket SET state = 'resolved', resolved_at = now() - interval '1 year'")
    await answers.says("m2", text="Something new", conversation_id="cnv_new")
    [newer] = await answers.floor.rows("SELECT id FROM tickets.ticket WHERE id <> $1", answers.ticket_id)
    await answers.mark()
    await answers.take_over(LEA, mode="force")
    heard = [(event.key, event.type) for event in await answers.heard()]
    for ticket_id in (answers.ticket_id, newer["id"]):
        assert (ticket_id, "lease.revoked.v1") in heard
        assert (ticket_id, "lease.acquired.v1") in heard
    await answers.held(queued["id"], "takeover")
    await answers.mark()
    await answers.take_over(agent("agt_max", role="manager"), mode="force", ticket=newer["id"])
    assert {event.key for event in await answers.heard()} == {newer["id"]}


async def test_a_workspace_may_lease_each_ticket_by_itself(answers: Answers) -> None:
    await answers.choose(lease_scope="ticket")
    await answers.floor.rows("UPDATE tickets.ticket SET state = 'resolved', resolved_at = now() - interval '1 year'")
    await answers.says("m2", conversation_id="cnv_new")
    [newer] = await answers.floor.rows("SELECT id FROM tickets.ticket WHERE id <> $1", answers.ticket_id)
    first, second = await answers.lease(ANN), await answers.lease(BEN, ticket=newer["id"])
    assert second["fence"] > first["fence"]
    assert (await answers.beat(ANN, first["fence"]))["fence"] == first["fence"]


async def test_one_lease_covers_all_of_a_persons_conversations(answers: Answers) -> None:
    await answers.says("m2", conversation_id="cnv_new")
    await answers.lease(ANN)
    in_the_other = message("m2", channel=f"chn_{HOME}").id
    assert isinstance(await answers.write(BEN, in_reply_to=in_the_other), LeaseHeld)


async def test_another_customers_ticket_has_its_own_lease(answers: Answers) -> None:
    await answers.floor.deliver(
        routed(message("n1", channel=f"chn_{HOME}", author="c2", network="api", occurred_at=AT))
    )
    [other] = await answers.floor.rows("SELECT id FROM tickets.ticket WHERE id <> $1", answers.ticket_id)
    await answers.lease(ANN)
    assert (await answers.lease(BEN, ticket=other["id"]))["holder"].id == "agt_ben"


async def rescope(answers: Answers, scope: str) -> None:
    """An admin changes what leases cover."""
    async with answers.floor.database.transaction(Workspace(HOME), schema="tickets") as tx:
        found = await administration.workspace(tx, HOME)
        changes = {"version": found.version, "name": None, "settings": {"lease_scope": scope}}
        await administration.amend(tx, answers.floor.database.ids, agent("agt_adm", role="admin"), **changes)


@pytest.mark.parametrize(("before", "after"), [("customer", "ticket"), ("ticket", "customer")])
async def test_another_scope_ends_the_leases_of_the_old_one(answers: Answers, before: str, after: str) -> None:
    await answers.choose(lease_scope=before)
    first = await answers.lease(ANN)
    await answers.mark()
    await rescope(answers, after)
    assert isinstance(await answers.beat(ANN, first["fence"]), FencedOff)
    [revoked] = [event.data for event in await answers.heard() if event.type == "lease.revoked.v1"]
    assert (revoked.reason, revoked.actor.id, revoked.lease.fence) == ("scope-changed", "agt_adm", first["fence"])
    [line] = await answers.floor.rows("SELECT actor, data FROM tickets.entry WHERE kind = 'lease-revoked'")
    assert (line["actor"]["id"], line["data"]["reason"]) == ("agt_adm", "scope-changed")
    assert (await answers.lease(BEN))["fence"] > first["fence"]


async def test_a_setting_that_stays_ends_no_lease(answers: Answers) -> None:
    held = await answers.lease(ANN)
    await rescope(answers, "customer")
    assert (await answers.beat(ANN, held["fence"]))["fence"] == held["fence"]


@pytest.mark.parametrize(("before", "after"), [("customer", "ticket"), ("ticket", "customer")])
async def test_a_lease_that_was_taken_while_the_scope_changed_still_keeps_others_out(
    answers: Answers, before: str, after: str
) -> None:
    await answers.choose(lease_scope=before)
    await answers.lease(ANN)
    # As if its taker had read the settings before, and committed after the change.
    await answers.choose(lease_scope=after)
    assert isinstance(await answers.lease(BEN), LeaseHeld)
    assert isinstance(await answers.write(BEN), LeaseHeld)


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_process_whose_clock_is_wrong_neither_shortens_nor_lengthens_a_lease(dsn: str, minutes: int) -> None:
    clock = ManualClock(SystemClock().now() + timedelta(minutes=minutes))
    async with open_database(dsn) as right, open_database(dsn, clock=clock) as wrong, open_floor(right) as floor:
        answers = await Answers(floor).open()
        elsewhere = Answers(Floor(wrong, floor.desk), ticket_id=answers.ticket_id)
        mine = await elsewhere.lease(ANN)
        assert 29_000 < mine["expires_in_ms"] <= 30_000
        assert isinstance(await answers.lease(BEN), LeaseHeld)
        await answers.age(31)
        assert (await elsewhere.lease(BEN))["fence"] > mine["fence"]
        assert isinstance(await answers.lease(ANN), LeaseHeld)
