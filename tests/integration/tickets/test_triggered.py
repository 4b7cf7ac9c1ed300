"""What decisions of triggers do to tickets: only to the version that they saw, and with a trace of what led there."""

from datetime import timedelta

from services.tickets.handlers import owning, states
from shared.events.routing import Chain, Reroute
from shared.events.tickets import AssignmentEvent
from tests.support.floor import Floor, agent, message, routed, triggered


async def test_a_decision_adds_tags_and_raises_the_priority_of_the_version_that_it_saw(floor: Floor) -> None:
    await floor.deliver(routed(message(), tags=("old",)))
    await floor.deliver(triggered(await floor.ticket(), tags=("old", "new"), priority="high"))
    ticket = await floor.ticket()
    assert (ticket["tags"], ticket["rank"]) == (["old", "new"], 1)
    updated = (await floor.events())[-1].data
    assert (updated.changes, updated.reason, updated.chain) == (
        ("priority", "tags"),
        "rule",
        Chain(hops=1, rules=("rule",)),
    )


async def test_a_decision_about_a_version_that_has_passed_is_dropped(floor: Floor) -> None:
    await floor.deliver(routed(message()))
    ticket = await floor.ticket()
    await floor.deliver(routed(message("m2")))
    await floor.deliver(triggered(ticket, tags=("late",)))
    assert (await floor.ticket())["tags"] == []


async def test_a_decision_that_comes_twice_is_applied_once(floor: Floor) -> None:
    await floor.deliver(routed(message()))
    decision = triggered(await floor.ticket(), tags=("new",))
    await floor.deliver(decision)
    before = await floor.ticket()
    await floor.deliver(decision, decision)
    assert await floor.ticket() == before


async def test_a_low_priority_stays_low_where_no_rule_names_one(floor: Floor) -> None:
    await floor.deliver(routed(message(), priority="low"))
    await floor.deliver(triggered(await floor.ticket(), tags=("new",)))
    assert (await floor.ticket())["rank"] == 3
    await floor.check_books()


async def test_a_reroute_moves_an_open_ticket_to_another_team_and_says_why(floor: Floor) -> None:
    ann, eve = await floor.add_agent("ann"), await floor.add_agent("eve", team="product")
    await floor.deliver(routed(message()))
    ticket = await floor.ticket()
    assert ticket["owner_id"] == ann
    await floor.deliver(triggered(ticket, reroute=Reroute(team="product"), tags=("moved",)))
    ticket = await floor.ticket()
    assert (ticket["team_id"], ticket["owner_id"], ticket["tags"]) == ("product", eve, ["moved"])
    entries = await floor.rows("SELECT kind, data FROM tickets.entry ORDER BY seq DESC LIMIT 3")
    assert [entry["kind"] for entry in entries] == ["assigned", "released", "triggered"]
    assert entries[2]["data"] == {"rule": "rule", "trigger": "ticket.changed", "team": "product"}
    steps = [event.data for event in await floor.events() if isinstance(event.data, AssignmentEvent)]
    told = [(step.reason, step.chain is not None) for step in steps[-3:]]
    assert told == [("rerouted", True), ("rule", True), ("rule", True)]
    await floor.check_books()


async def test_a_reroute_prefers_the_agent_that_it_names(floor: Floor) -> None:
    await floor.add_agent("eve", team="product")
    zoe = await floor.add_agent("zoe", team="product")
    await floor.deliver(routed(message()))
    await floor.deliver(triggered(await floor.ticket(), reroute=Reroute(team="product", agent=zoe)))
    assert (await floor.ticket())["owner_id"] == zoe
    await floor.check_books()


async def test_within_its_team_a_ticket_moves_to_the_one_who_is_named_or_not_at_all(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    await floor.deliver(routed(message()))
    bob = await floor.add_agent("bob", availability="away")
    await floor.deliver(triggered(await floor.ticket(), reroute=Reroute(agent=bob)))
    assert (await floor.ticket())["owner_id"] == ann
    cid = await floor.add_agent("cid")
    await floor.deliver(triggered(await floor.ticket(), reroute=Reroute(agent=cid)))
    assert (await floor.ticket())["owner_id"] == cid
    before = await floor.ticket()
    await floor.deliver(triggered(before, reroute=Reroute(team="care", agent=cid)))
    assert await floor.ticket() == before
    await floor.check_books()


async def test_a_team_that_is_gone_moves_nothing_and_the_rest_of_the_decision_holds(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    await floor.deliver(routed(message()))
    await floor.deliver(triggered(await floor.ticket(), reroute=Reroute(team="nowhere"), tags=("new",)))
    ticket = await floor.ticket()
    assert (ticket["team_id"], ticket["owner_id"], ticket["tags"]) == ("care", ann, ["new"])


async def test_what_is_resolved_does_not_move(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    await floor.deliver(routed(message()))
    ticket = await floor.ticket()
    await floor.act(lambda tx: states.resolve(tx, floor.desk, agent(ann), ticket["id"], version=ticket["version"]))
    await floor.deliver(triggered(await floor.ticket(), reroute=Reroute(team="product")))
    assert (await floor.ticket())["team_id"] == "care"


async def test_a_decision_that_comes_after_somebody_took_the_ticket_does_not_take_it_away(floor: Floor) -> None:
    await floor.deliver(routed(message()))
    ticket = await floor.ticket()
    ann = await floor.add_agent("ann")
    await floor.act(
        lambda tx: owning.claim(tx, floor.desk, agent(ann), ticket["id"], agent=ann, version=ticket["version"])
    )
    await floor.deliver(triggered(ticket, reroute=Reroute(team="product")))
    ticket = await floor.ticket()
    assert (ticket["team_id"], ticket["owner_id"]) == ("care", ann)


async def test_many_tickets_move_at_once_and_who_lost_them_is_given_what_waits(floor: Floor) -> None:
    ann, eve = await floor.add_agent("ann", capacity=2), await floor.add_agent("eve", team="product", capacity=1)
    await floor.deliver(*[routed(message(f"m{author}", author=author)) for author in ("a", "b", "c")])
    held = await floor.rows("SELECT * FROM tickets.ticket WHERE owner_id = $1 ORDER BY id", ann)
    assert len(held) == 2
    await floor.deliver(*[triggered(one, reroute=Reroute(team="product")) for one in held])
    owners = await floor.rows("SELECT owner_id FROM tickets.ticket WHERE team_id = 'product' ORDER BY id")
    assert sorted(str(row["owner_id"]) for row in owners) == ["None", eve]
    due = await floor.rows("SELECT subject FROM tickets.timer WHERE kind = 'drain' AND due_at <= now()")
    assert due == [{"subject": ann}]
    await floor.check_books()


async def test_a_ticket_waits_for_so_long_or_until_its_customer_writes(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    await floor.deliver(routed(message()))
    await floor.deliver(triggered(await floor.ticket(), snooze_minutes=60))
    ticket = await floor.ticket()
    assert (ticket["state"], ticket["owner_id"]) == ("snoozed", ann)
    [timer] = await floor.rows("SELECT subject, due_at - now() AS left FROM tickets.timer WHERE kind = 'snooze'")
    assert timer["subject"] == ticket["id"]
    assert timedelta(minutes=59) < timer["left"] <= timedelta(minutes=60)
    updated = (await floor.events())[-1].data
    assert (updated.ticket.state, updated.reason) == ("snoozed", "rule")
    await floor.deliver(triggered(ticket, snooze_minutes=600))
    assert (await floor.ticket())["snoozed_until"] == ticket["snoozed_until"]
    await floor.deliver(routed(message("m2")))
    assert (await floor.ticket())["state"] == "open"


async def test_what_moves_and_waits_does_both(floor: Floor) -> None:
    await floor.add_agent("ann")
    eve = await floor.add_agent("eve", team="product")
    await floor.deliver(routed(message()))
    await floor.deliver(triggered(await floor.ticket(), reroute=Reroute(team="product"), snooze_minutes=5))
    ticket = await floor.ticket()
    assert (ticket["state"], ticket["team_id"], ticket["owner_id"]) == ("snoozed", "product", eve)
    await floor.check_books()


async def test_a_silence_that_an_answer_has_ended_meanwhile_changes_nothing(floor: Floor) -> None:
    await floor.deliver(routed(message()))
    ticket = await floor.ticket()
    await floor.act(lambda tx: tx.execute("UPDATE tickets.ticket SET waiting_since = NULL"))
    await floor.deliver(triggered(ticket, trigger="timer", tags=("silent",)))
    assert (await floor.ticket())["tags"] == []
