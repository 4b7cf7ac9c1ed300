"""Offers, queues and hand-overs, one step at a time."""

from datetime import timedelta

from services.tickets.domain.refusals import AgentAbsent, AtCapacity, NotOffered, OfferPending
from services.tickets.handlers import owning, staffing, states
from services.tickets.handlers.owning import Target
from services.tickets.handlers.ticks import handlers, lock
from shared.db.scope import Workspace
from shared.db.timers import Timers
from shared.errors import Forbidden, NotFound
from shared.events.tickets import Home
from tests.support.floor import HOME, OTHER, Floor, agent, message, routed


async def test_a_team_that_wants_acceptance_offers_first_and_the_agent_owns_on_acceptance(floor: Floor) -> None:
    await floor.add_team("vip", seconds=60)
    ann = await floor.add_agent("ann", team="vip", capacity=1)
    await floor.deliver(routed(message("m1"), team="vip"), routed(message("m2", author="c2"), team="vip"))
    first, second = await floor.rows("SELECT * FROM tickets.ticket ORDER BY id")
    assert (first["owner_id"], first["offer_id"] is not None, second["offer_id"]) == (None, True, None)
    assert [row["load"] for row in await floor.rows("SELECT load FROM tickets.agent_load")] == [1]
    taken = await floor.act(
        lambda tx: owning.accept(tx, floor.desk, agent(ann), first["id"], agent=ann, version=first["version"])
    )
    assert (taken.owner, taken.offer) == (ann, None)
    told = await floor.told()
    assert told.index("assignment.offered.v1") < told.index("assignment.accepted.v1")
    await floor.check_books()


async def test_a_declined_offer_goes_to_the_next_and_then_to_the_queue_but_not_back(floor: Floor) -> None:
    await floor.add_team("vip", seconds=60)
    ann, bea = await floor.add_agent("ann", team="vip"), await floor.add_agent("bea", team="vip")
    await floor.deliver(routed(message(), team="vip"))
    [step] = await _steps(floor)
    first, other = (ann, bea) if step["agent_id"] == ann else (bea, ann)
    await _decline(floor, first)
    assert [row["agent_id"] for row in await _steps(floor)] == [first, other]
    await _decline(floor, other)
    steps = await _steps(floor)
    assert [(row["agent_id"], row["state"]) for row in steps] == [
        (first, "declined"),
        (other, "declined"),
        (None, "queued"),
    ]
    assert {entry.split("/")[2] for entry in steps[2]["candidates"]} == {"declined"}
    await floor.check_books()


async def test_an_offer_that_nobody_answers_expires_by_the_databases_clock(floor: Floor) -> None:
    await floor.add_team("vip", seconds=60)
    ann = await floor.add_agent("ann", team="vip")
    await floor.deliver(routed(message(), team="vip"))
    assert await _tick(floor) == 0
    bea = await floor.add_agent("bea", team="vip")
    await floor.rows("UPDATE tickets.assignment SET expires_at = now() - interval '1 second'")
    await floor.rows("UPDATE tickets.timer SET due_at = now() - interval '1 second'")
    assert await _tick(floor) == 1
    assert [(row["agent_id"], row["state"]) for row in await _steps(floor)] == [(ann, "expired"), (bea, "offered")]
    assert "assignment.expired.v1" in await floor.told()
    await floor.check_books()


async def test_an_offer_that_was_accepted_does_not_expire(floor: Floor) -> None:
    await floor.add_team("vip", seconds=60)
    ann = await floor.add_agent("ann", team="vip")
    await floor.deliver(routed(message(), team="vip"))
    ticket = await floor.ticket()
    await floor.act(
        lambda tx: owning.accept(tx, floor.desk, agent(ann), ticket["id"], agent=ann, version=ticket["version"])
    )
    await floor.rows("UPDATE tickets.timer SET due_at = now() - interval '1 second'")
    await _tick(floor)
    assert (await floor.ticket())["owner_id"] == ann


async def test_only_whom_it_was_offered_to_may_answer(floor: Floor) -> None:
    await floor.add_team("vip", seconds=60)
    await floor.add_agent("ann", team="vip")
    eve = await floor.add_agent("eve", team=None)
    await floor.deliver(routed(message(), team="vip"))
    ticket = await floor.ticket()

    async def attempt(act):
        return await floor.attempt(
            lambda tx: act(tx, floor.desk, agent(eve), ticket["id"], agent=eve, version=ticket["version"])
        )

    assert isinstance(await attempt(owning.accept), OfferPending)
    assert isinstance(await attempt(owning.claim), OfferPending)
    await floor.deliver(routed(message("m2", author="c2")))
    [plain] = await floor.rows("SELECT id, version FROM tickets.ticket WHERE team_id = 'care'")
    refusal = await floor.attempt(
        lambda tx: owning.accept(tx, floor.desk, agent(eve), plain["id"], agent=eve, version=plain["version"])
    )
    assert isinstance(refusal, NotOffered)


async def test_what_one_gives_back_goes_to_somebody_else_and_the_room_takes_from_the_queue(floor: Floor) -> None:
    ann = await floor.add_agent("ann", capacity=1)
    await floor.deliver(routed(message("m1")), routed(message("m2", author="c2")))
    mine = await _owned(floor, ann)
    await floor.act(lambda tx: owning.release(tx, floor.desk, agent(ann), mine["id"], version=mine["version"]))
    owners = await floor.rows("SELECT id, owner_id FROM tickets.ticket")
    assert {row["owner_id"] for row in owners if row["id"] == mine["id"]} == {None}
    assert {row["owner_id"] for row in owners if row["id"] != mine["id"]} == {ann}
    await floor.check_books()


async def test_resolving_gives_the_room_to_the_oldest_of_the_most_urgent_that_wait(floor: Floor) -> None:
    ann = await floor.add_agent("ann", capacity=1)
    await floor.deliver(
        routed(message("m1", author="c1")),
        routed(message("m2", author="c2"), priority="low"),
        routed(message("m3", author="c3"), priority="high"),
        routed(message("m4", author="c4"), priority="high"),
    )
    mine = await _owned(floor, ann)
    await floor.act(lambda tx: states.resolve(tx, floor.desk, agent(ann), mine["id"], version=mine["version"]))
    taken = await _owned(floor, ann)
    [oldest] = await floor.rows("SELECT id FROM tickets.ticket WHERE rank = 1 ORDER BY id LIMIT 1")
    assert taken["id"] == oldest["id"]
    await floor.check_books()


async def test_becoming_available_takes_from_the_queue_up_to_the_capacity(floor: Floor) -> None:
    ann = await floor.add_agent("ann", availability="offline", capacity=2)
    await floor.deliver(*[routed(message(f"m{n}", author=f"c{n}")) for n in range(3)])
    await floor.act(
        lambda tx: staffing.amend(tx, floor.desk, agent(ann), ann, version=None, fields={"availability": "available"})
    )
    assert len(await floor.rows("SELECT 1 FROM tickets.ticket WHERE owner_id = $1", ann)) == 2
    await floor.check_books()


async def test_a_new_member_takes_from_the_teams_queue(floor: Floor) -> None:
    ann = await floor.add_agent("ann", team=None)
    await floor.deliver(routed(message()))
    await floor.act(lambda tx: staffing.join(tx, floor.desk, agent(ann, role="manager"), "care", ann))
    assert (await floor.ticket())["owner_id"] == ann
    await floor.check_books()


async def test_the_tickets_of_whoever_is_disabled_go_to_others(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    await floor.deliver(*[routed(message(f"m{n}", author=f"c{n}")) for n in range(3)])
    bea = await floor.add_agent("bea")
    boss = agent("agt_boss", role="admin")
    await floor.act(lambda tx: staffing.amend(tx, floor.desk, boss, ann, version=1, fields={"disabled": True}))
    await floor.rows("UPDATE tickets.timer SET due_at = now() - interval '1 second'")
    await _tick(floor)
    assert {row["owner_id"] for row in await floor.rows("SELECT owner_id FROM tickets.ticket")} == {bea}
    await floor.check_books()


async def test_a_transfer_goes_to_the_named_agent_with_its_reason(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    await floor.deliver(routed(message()))
    bea = await floor.add_agent("bea", team="product")
    ticket = await floor.ticket()
    target = Target(reason="a product question", team="product", agent=bea)
    moved = await floor.act(
        lambda tx: owning.transfer(tx, floor.desk, agent(ann), ticket["id"], version=ticket["version"], target=target)
    )
    assert (moved.team, moved.owner) == ("product", bea)
    left = [event.data.came_from for event in await floor.events() if event.data.came_from]
    care, product = Home(team="care"), Home(team="product")
    assert left == [care, Home(team="care", owner=ann), care, product]
    [line] = await floor.rows("SELECT actor, data FROM tickets.entry WHERE kind = 'transferred'")
    assert (line["actor"]["id"], line["data"]["reason"]) == (ann, "a product question")
    await floor.check_books()


async def test_a_transfer_does_not_overfill_anybody_unless_a_supervisor_says_so(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    await floor.deliver(routed(message()))
    full = await floor.add_agent("full", team=None, capacity=0)
    away = await floor.add_agent("away", team=None, availability="away")
    ticket = await floor.ticket()

    async def transfer(to: str, *, role: str = "agent", override: bool = False):
        target = Target(reason="r", agent=to, override=override)
        return await floor.attempt(
            lambda tx: owning.transfer(
                tx, floor.desk, agent(ann, role=role), ticket["id"], version=ticket["version"], target=target
            )
        )

    assert isinstance(await transfer(full), AtCapacity)
    assert isinstance(await transfer(away), AgentAbsent)
    assert isinstance(await transfer(full, override=True), Forbidden)
    assert isinstance(await transfer("agt_nobody"), NotFound)
    assert (await transfer(full, role="lead", override=True)).owner == full
    assert await floor.rows("SELECT load FROM tickets.agent_load WHERE agent_id = $1", full) == [{"load": 1}]
    await floor.check_books()


async def test_a_ticket_that_waits_for_too_long_escalates_and_is_told(floor: Floor) -> None:
    await floor.deliver(routed(message()))
    await floor.rows("UPDATE tickets.timer SET due_at = now() - interval '1 second'")
    await _tick(floor)
    assert (await floor.ticket())["rank"] == 1
    event = (await floor.events())[-1]
    assert (event.type, event.data.reason) == ("ticket.updated.v1", "waiting-too-long")
    [timer] = await floor.rows("SELECT due_at > now() AS ahead FROM tickets.timer WHERE kind = 'queue-wait'")
    assert timer["ahead"]


async def test_a_ticket_that_waited_is_given_to_whoever_has_room_rather_than_escalated(floor: Floor) -> None:
    await floor.deliver(routed(message()))
    ann = await floor.add_agent("ann")
    await floor.rows("UPDATE tickets.timer SET due_at = now() - interval '1 second'")
    await _tick(floor)
    ticket = await floor.ticket()
    assert (ticket["owner_id"], ticket["rank"]) == (ann, 2)
    await floor.check_books()


async def test_a_snoozed_ticket_wakes_when_its_time_has_come(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    await floor.deliver(routed(message()))
    ticket = await floor.ticket()
    until = floor.database.clock.now() + timedelta(hours=1)
    await floor.act(
        lambda tx: states.snooze(tx, floor.desk, agent(ann), ticket["id"], version=ticket["version"], until=until)
    )
    await floor.rows("UPDATE tickets.timer SET due_at = now() - interval '1 second'")
    await _tick(floor)
    assert (await floor.ticket())["state"] == "snoozed"
    await floor.rows("UPDATE tickets.ticket SET snoozed_until = now() - interval '1 second'")
    await floor.rows(
        "INSERT INTO tickets.timer (id, workspace_id, kind, subject, due_at) VALUES ('t', $1, 'snooze', $2, now())",
        HOME,
        ticket["id"],
    )
    await _tick(floor)
    assert (await floor.ticket())["state"] == "open"
    await floor.check_books()


async def test_reopening_by_hand_is_refused_while_the_customer_has_another_open_ticket(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    await floor.deliver(routed(message("m1")))
    first = await floor.ticket()
    await floor.act(lambda tx: states.resolve(tx, floor.desk, agent(ann), first["id"], version=first["version"]))
    reopened = await floor.act(
        lambda tx: states.reopen(tx, floor.desk, agent(ann), first["id"], version=first["version"] + 1)
    )
    assert (reopened.state, reopened.owner) == ("open", ann)
    await floor.act(lambda tx: states.resolve(tx, floor.desk, agent(ann), first["id"], version=reopened.version))
    await floor.rows("UPDATE tickets.ticket SET resolved_at = now() - interval '100 days'")
    await floor.deliver(routed(message("m2")))
    refusal = await floor.attempt(
        lambda tx: states.reopen(tx, floor.desk, agent(ann), first["id"], version=reopened.version + 1)
    )
    [second] = await floor.rows("SELECT id FROM tickets.ticket WHERE state = 'open'")
    assert refusal.fields["ticket"] == second["id"]
    await floor.check_books()


async def test_timers_of_one_workspace_leave_the_other_alone(floor: Floor) -> None:
    await floor.deliver(routed(message("m1")), routed(message("m2", workspace=OTHER, channel="chn_other")))
    await floor.rows("UPDATE tickets.timer SET due_at = now() - interval '1 second'")
    await _tick(floor)
    assert (await floor.ticket())["rank"] == 1
    assert (await floor.ticket(workspace=OTHER))["rank"] == 2


async def test_whoever_joins_while_the_queue_is_locked_takes_from_it_a_moment_later(floor: Floor) -> None:
    await floor.deliver(routed(message()))
    ann = await floor.add_agent("ann", team=None)
    boss = agent(ann, role="manager")
    async with floor.database.transaction(Workspace(HOME)) as holding:
        await holding.execute("SELECT 1 FROM tickets.ticket FOR UPDATE")
        await floor.act(lambda tx: staffing.join(tx, floor.desk, boss, "care", ann))
    await floor.rows("UPDATE tickets.timer SET due_at = now() WHERE kind = 'drain'")
    await _tick(floor)
    assert (await floor.ticket())["owner_id"] == ann


async def _tick(floor: Floor) -> int:
    return await Timers(floor.database, "tickets", handlers(floor.desk), lock=lock).step()


async def _steps(floor: Floor) -> list:
    return await floor.rows("SELECT * FROM tickets.assignment ORDER BY id")


async def _owned(floor: Floor, who: str) -> dict:
    [row] = await floor.rows("SELECT id, version FROM tickets.ticket WHERE owner_id = $1 AND state = 'open'", who)
    return row


async def _decline(floor: Floor, who: str) -> None:
    ticket = await floor.ticket()
    await floor.act(
        lambda tx: owning.decline(
            tx, floor.desk, agent(who), ticket["id"], agent=who, version=ticket["version"], reason=None
        )
    )
