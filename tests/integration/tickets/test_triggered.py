"""What decisions of triggers do to tickets: only to the version that they saw, and with a trace of what led there."""

from shared.events.routing import Chain
from tests.support.floor import Floor, message, routed, triggered


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
