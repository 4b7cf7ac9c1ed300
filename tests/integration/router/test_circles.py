"""Router and tickets together: what rules do to tickets asks rules again, comes to an end, and is never lost."""

from dataclasses import dataclass, field

import pytest

from services.router.domain.triggers import MAX_HOPS
from services.router.handlers.triggering import Triggers
from services.router.store import rounds
from services.tickets.handlers import owning, states
from shared.db.appending import decode_headers
from shared.db.scope import Batch, Scan
from shared.db.timers import Timers
from shared.events import envelope
from shared.events.catalogue import ROUTING, TICKETS
from tests.support import past, shifts
from tests.support.floor import HOME, Floor, agent, message, open_floor, routed

TO_PRODUCT = {"name": "to product", "when": {"ticket.team": "care"}, "then": {"reroute": {"team": "product"}}}
TO_CARE = {"name": "to care", "when": {"ticket.team": "product"}, "then": {"reroute": {"team": "care"}}}
ANGRY = {"name": "angry", "on": "customer.replied", "when": {"text": "waiting"}, "then": {"tags": ["waiting"]}}


@dataclass
class Both:
    """Two consumers, one step at a time."""

    floor: Floor
    read: dict[str, int] = field(default_factory=dict)
    decided: list = field(default_factory=list)

    async def rules(self, *rules):
        version = await past.keep(self.floor.database, *rules, workspace=HOME)
        await past.activate(self.floor.database, version, workspace=HOME)

    async def decide(self):
        """The router reads what tickets has told; whether there was something."""
        events = await self._new(TICKETS)
        if events:
            async with self.floor.database.transaction(Batch(frozenset({HOME})), schema="router") as tx:
                await Triggers().on_tickets(tx, events)
        return bool(events)

    async def apply(self):
        """Tickets reads what the router has decided."""
        events = await self._new(ROUTING)
        self.decided += [event.data.decision.rule for event in events]
        if events:
            await self.floor.deliver(*events)
        return bool(events)

    async def settle(self):
        """Until nobody has anything more to say."""
        for _ in range(50):
            if not (await self.decide()) | (await self.apply()):
                return
        raise AssertionError("it never comes to an end")

    async def _new(self, topic):
        async with self.floor.database.transaction(Scan()) as tx:
            rows = await tx.fetch(
                "SELECT id, headers, value FROM log.event WHERE topic = $1 AND id > $2 ORDER BY id",
                topic,
                self.read.get(topic, 0),
            )
        if rows:
            self.read[topic] = rows[-1]["id"]
        return [envelope.decode(decode_headers(row["headers"]), row["value"]) for row in rows]


@pytest.fixture
async def both(database):
    async with open_floor(database) as floor:
        yield Both(floor)


async def test_rules_that_undo_each_other_come_to_an_end_and_begin_anew_with_people(both):
    ann = await both.floor.add_agent("ann")
    await both.rules(*({**rule, "on": "ticket.changed"} for rule in (TO_PRODUCT, TO_CARE)))
    await both.floor.deliver(routed(message()))
    await both.settle()
    assert both.decided == ["to product", "to care"]
    ticket = await both.floor.ticket()
    assert (ticket["team_id"], ticket["owner_id"]) == ("care", ann)
    await both.floor.act(
        lambda tx: states.tag(
            tx, both.floor.desk, agent(ann), ticket["id"], version=ticket["version"], add=["a"], remove=[]
        )
    )
    await both.settle()
    assert both.decided == ["to product", "to care"] * 2
    await both.floor.check_books()


async def test_a_long_chain_of_rules_ends_at_its_limit(both):
    steps = [
        {"name": f"step {number}", "on": "ticket.changed", "when": {"ticket.tags": f"t{number}"}}
        | {"then": {"tags": [f"t{number + 1}"]}}
        for number in range(MAX_HOPS + 3)
    ]
    await both.rules(*steps)
    await both.floor.deliver(routed(message()), routed(message("m2"), tags=("t0",)))
    await both.settle()
    assert both.decided == [f"step {number}" for number in range(MAX_HOPS)]
    assert (await both.floor.ticket())["tags"] == [f"t{number}" for number in range(MAX_HOPS + 1)]


async def test_what_people_do_meanwhile_loses_no_decision(both):
    await both.rules(ANGRY)
    await both.floor.deliver(routed(message()))
    await both.settle()
    await both.floor.deliver(routed(message("m2", text="Still waiting")))
    await both.decide()
    ticket, ann = await both.floor.ticket(), await both.floor.add_agent("ann")
    await both.floor.act(
        lambda tx: owning.claim(tx, both.floor.desk, agent(ann), ticket["id"], agent=ann, version=ticket["version"])
    )
    await both.settle()
    assert both.decided == ["angry", "angry"]
    after = await both.floor.ticket()
    assert (after["tags"], after["owner_id"]) == (["waiting"], ann)
    assert await past.own(both.floor.database, "SELECT 1 FROM router.awaited") == []


async def test_everything_once_more_changes_nothing(both):
    await both.floor.add_agent("ann")
    await both.rules(ANGRY, TO_PRODUCT | {"on": "ticket.changed"})
    await both.floor.deliver(routed(message()), routed(message("m2", text="Still waiting")))
    await both.settle()
    before, decided = await both.floor.ticket(), list(both.decided)
    both.read, both.decided = {}, []
    await both.settle()
    assert await both.floor.ticket() == before
    assert both.decided == decided


async def flags(both):
    return [event.data.flag.text for event in await both.floor.events() if event.type == "ticket.flagged.v1"]


async def test_what_a_rule_tells_is_told_once_whatever_people_do_meanwhile(both):
    await both.rules(ANGRY | {"then": {"notify": {"text": "Still waiting", "team": "care"}}})
    await both.floor.deliver(routed(message()))
    await both.settle()
    await both.floor.deliver(routed(message("m2", text="Still waiting")))
    await both.decide()
    ticket, ann = await both.floor.ticket(), await both.floor.add_agent("ann")
    await both.floor.act(
        lambda tx: owning.claim(tx, both.floor.desk, agent(ann), ticket["id"], agent=ann, version=ticket["version"])
    )
    await both.settle()
    assert (both.decided, await flags(both)) == (["angry", "angry"], ["Still waiting"])


async def test_a_rule_that_tells_of_every_change_does_not_hear_itself(both):
    every = {"name": "every", "on": "ticket.changed", "when": {"ticket.open": True}}
    await both.rules(every | {"then": {"notify": {"text": "Changed", "team": "care"}}})
    await both.floor.deliver(routed(message()))
    await both.settle()
    assert await flags(both) == []
    await both.floor.deliver(routed(message("m2"), tags=("new",)))
    await both.settle()
    assert await flags(both) == ["Changed"]


async def test_who_goes_off_duty_is_told_of_by_way_of_the_schedule(both):
    ann, bea = await both.floor.add_agent("ann"), await both.floor.add_agent("bea")
    await shifts.schedule(both.floor, on=[ann])
    left = {"name": "left", "on": "shift.changed", "when": {"shift.change": "owner-off"}}
    await both.rules(left | {"then": {"notify": {"text": "Its owner went home", "agents": [bea]}}})
    await both.floor.deliver(routed(message()))
    await both.settle()
    assert (await both.floor.ticket())["owner_id"] == ann
    await shifts.reschedule(both.floor, on=[bea])
    await shifts.hurry(both.floor)
    await both.settle()
    await Timers(both.floor.database, "router", {rounds.KIND: Triggers().on_round}).step()
    await both.settle()
    assert await flags(both) == ["Its owner went home"]
