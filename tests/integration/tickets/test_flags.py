"""What rules have to tell is told with the ticket, in its order, and once."""

from shared.events.routing import Flag
from shared.events.tickets import TicketFlagged
from tests.support.floor import Floor, message, routed, triggered

LOOK = Flag(rule="vip", text="A VIP writes", team="care", agents=("agt_1",))
CALL = Flag(rule="crm", endpoint="end_1")


async def flagged(floor: Floor) -> list[TicketFlagged]:
    return [event.data for event in await floor.events() if isinstance(event.data, TicketFlagged)]


async def test_a_message_that_rules_tell_of_is_told_of_behind_what_it_did(floor: Floor) -> None:
    arrived = routed(message(), flags=(LOOK, CALL))
    for _ in range(2):
        await floor.deliver(arrived)
    assert (await floor.told())[:3] == ["ticket.created.v1", "ticket.flagged.v1", "ticket.flagged.v1"]
    first, second = await flagged(floor)
    assert (first.flag, second.flag) == (LOOK, CALL)
    assert (first.cause, first.actor.kind, first.ticket.team) == (arrived.id, "system", "care")
    entries = await floor.rows("SELECT moves, data FROM tickets.entry WHERE kind = 'flagged' ORDER BY seq")
    assert [entry["moves"] for entry in entries] == [False, False]
    assert entries[0]["data"] == {"rule": "vip", "text": "A VIP writes", "team": "care", "agents": ["agt_1"]}


async def test_what_comes_to_a_ticket_that_is_there_is_told_of_too(floor: Floor) -> None:
    await floor.deliver(routed(message()))
    await floor.deliver(routed(message("m2"), flags=(LOOK,)), routed(message("m3"), flags=(CALL,)))
    assert [one.flag for one in await flagged(floor)] == [LOOK, CALL]


async def test_what_was_taken_back_before_it_came_is_told_to_nobody(floor: Floor) -> None:
    await floor.deliver(routed(message(), verb="deleted"))
    await floor.deliver(routed(message(), flags=(LOOK,)))
    assert await flagged(floor) == []


async def test_a_decision_that_only_tells_makes_a_version_and_is_told_once(floor: Floor) -> None:
    await floor.deliver(routed(message()))
    ticket = await floor.ticket()
    decision = triggered(ticket, flags=(LOOK,))
    await floor.deliver(decision)
    await floor.deliver(decision, decision)
    [told] = await flagged(floor)
    assert (told.flag, told.cause, told.ticket.version) == (LOOK, decision.id, ticket["version"] + 1)
    assert told.chain is not None
    assert (await floor.told()).count("ticket.updated.v1") == 0


async def test_a_decision_about_a_version_that_has_passed_tells_nobody(floor: Floor) -> None:
    await floor.deliver(routed(message()))
    ticket = await floor.ticket()
    await floor.deliver(routed(message("m2")))
    await floor.deliver(triggered(ticket, flags=(LOOK,)))
    assert await flagged(floor) == []
