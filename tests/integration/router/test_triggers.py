"""Rules decide about tickets that are there already, once per occasion, and never go round in circles."""

import asyncio

import msgspec
import pytest

from services.router.domain.triggers import MAX_TRIES
from services.router.handlers.triggering import Triggers
from shared.db.scope import Batch
from shared.events.routing import Chain, Moderation
from shared.events.tickets import TicketUpdated
from tests.support import past
from tests.support.messages import message
from tests.support.ticket_events import created, event, told
from tests.support.triggers import W, applied, happen, in_force, routed

ANGRY = {
    "name": "angry again",
    "on": "customer.replied",
    "when": {"text": "still waiting"},
    "then": {"priority": "urgent", "tags": ["waiting"]},
}
MOVED = {
    "name": "moved",
    "on": "ticket.changed",
    "when": {"ticket.team": {"changed": True}},
    "then": {"tags": ["moved"]},
}


@pytest.fixture
async def admin(database):
    async with past.admin(database) as opened:
        yield opened


def reply(version, text, **fields):
    said = message(f"m{version}", workspace=W, text=text)
    return told(TicketUpdated, version, workspace=W, message=said, changes=("messages",), **fields)


def moved(version, **fields):
    return told(TicketUpdated, version, workspace=W, ticket={"team": "care"}, changes=("team",), **fields)


async def test_a_reply_is_decided_about_with_the_version_that_the_rules_saw(admin, database):
    version = await in_force(database, ANGRY)
    await happen(database, created(workspace=W), reply(2, "Still waiting!"), reply(3, "Thanks"))
    [told_] = await routed(database)
    assert (told_.ticket_id, told_.ticket_version, told_.trigger) == ("tkt_1", 3, "customer.replied")
    decision = told_.decision
    assert (decision.rule, decision.priority, decision.tags) == ("angry again", "urgent", ("waiting",))
    assert (decision.ruleset_version, decision.team) == (version, None)
    assert told_.chain == Chain(hops=1, rules=("angry again",))


async def test_rules_about_messages_say_nothing_about_tickets(admin, database):
    await in_force(database, ANGRY | {"on": "message.received"})
    await happen(database, created(workspace=W), reply(2, "Still waiting!"))
    assert await routed(database) == []


async def test_an_event_that_comes_again_asks_nobody_again(admin, database):
    await in_force(database, ANGRY)
    for _ in range(2):
        await happen(database, created(workspace=W), reply(2, "Still waiting!"))
        await happen(database, reply(2, "Still waiting!"))
    assert len(await routed(database)) == 1


async def test_two_routers_that_meet_one_event_decide_once(admin, database):
    await in_force(database, ANGRY)
    await happen(database, created(workspace=W))
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(happen(database, reply(2, "Still waiting!")))
    assert len(await routed(database)) == 1


async def test_several_things_that_happen_to_a_ticket_at_once_are_answered_in_one(admin, database):
    await in_force(database, ANGRY, MOVED)
    await happen(database, created(workspace=W), reply(2, "Still waiting!"), moved(3))
    [told_] = await routed(database)
    assert (told_.ticket_version, told_.decision.priority) == (3, "urgent")
    assert told_.decision.tags == ("waiting", "moved")
    rows = await past.own(database, "SELECT trigger, ticket_version FROM router.ticket_decision ORDER BY trigger")
    assert [tuple(row) for row in rows] == [("customer.replied", 3), ("ticket.changed", 3)]


async def test_what_a_decision_changed_does_not_ask_its_rule_again_and_the_trace_says_so(admin, database):
    await in_force(database, MOVED)
    await happen(database, created(workspace=W))
    await happen(database, moved(2, chain=Chain(hops=1, rules=("moved",))))
    assert await routed(database) == []
    answer = await admin.get("/v1/decisions", params={"ticket_id": "tkt_1"})
    [decision] = answer.json()["data"]
    assert (decision["held"], decision["skipped"], decision["matched"]) == ("loop", ["moved"], [])
    assert decision["chain"] == {"hops": 1, "rules": ["moved"]}
    assert decision["facts"]["ticket.changed"] == ["team"]


async def test_a_decision_about_a_ticket_explains_itself(admin, database):
    version = await in_force(database, ANGRY)
    await happen(database, created(workspace=W), reply(2, "I am STILL waiting"))
    [decision] = (await admin.get("/v1/decisions?ticket_id=tkt_1")).json()["data"]
    assert (decision["rule"], decision["ruleset_version"], decision["ticket_version"]) == ("angry again", version, 2)
    [evidence] = decision["evidence"][0]["evidence"]
    assert (evidence["found"], evidence["start"]) == ("STILL waiting", 5)
    assert (await admin.get("/v1/decisions?ticket_id=tkt_2")).json()["data"] == []


async def test_a_trigger_is_counted_with_its_rule(admin, database):
    version = await in_force(database, ANGRY)
    await happen(database, created(workspace=W), reply(2, "Still waiting!"))
    [rule, _] = (await admin.get(f"/v1/rulesets/{version}/rules")).json()["data"]
    assert (rule["rule"], rule["decided"]) == ("angry again", 1)


async def test_a_version_is_tried_on_a_ticket_that_never_was(admin, database):
    version = await in_force(database, MOVED)
    ticket = {"team": "care"}
    asked = {"on": "ticket.changed", "changed": ["team"], "ticket": ticket}
    tried = (await admin.post(f"/v1/rulesets/{version}/test", json=asked)).json()
    assert (tried["rule"], tried["outcome"], tried["action"]["tags"]) == ("moved", "route", ["moved"])
    tried = (await admin.post(f"/v1/rulesets/{version}/test", json=asked | {"changed": ["owner"]})).json()
    assert (tried["rule"], tried["outcome"]) == (None, None)
    refused = await admin.post(f"/v1/rulesets/{version}/test", json={"on": "ticket.changed"})
    assert refused.status_code == 422


async def test_a_decision_that_is_rolled_back_is_made_again(admin, database):
    await in_force(database, ANGRY)
    await happen(database, created(workspace=W))

    async def break_off():
        async with database.transaction(Batch(frozenset({W})), schema="router") as tx:
            await Triggers().on_tickets(tx, [event(reply(2, "Still waiting!"))])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await break_off()
    await happen(database, reply(2, "Still waiting!"))
    assert len(await routed(database)) == 1


async def test_tickets_that_were_followed_before_states_were_do_not_seem_changed(admin, database):
    await in_force(database, MOVED | {"when": {"ticket.changed": "state"}})
    await happen(database, created(workspace=W))
    await past.own(database, "UPDATE router.ticket SET state = NULL")
    changed = told(TicketUpdated, 2, workspace=W, ticket={"tags": ("a",)})
    await happen(database, changed)
    assert await routed(database) == []
    await happen(
        database,
        msgspec.structs.replace(changed, ticket=msgspec.structs.replace(changed.ticket, version=3, state="pending")),
    )
    assert len(await routed(database)) == 1


def assigned(version, *, cause=None):
    return told(TicketUpdated, version, workspace=W, ticket={"owner": "agt_1"}, cause=cause)


async def test_a_decision_that_came_too_late_is_made_again_about_the_present_version(admin, database):
    await in_force(database, ANGRY)
    await happen(database, created(workspace=W), reply(2, "Still waiting!"))
    await happen(database, assigned(3))
    first, second = await routed(database)
    assert (first.ticket_version, second.ticket_version) == (2, 3)
    assert (second.trigger, second.decision.tags, second.chain) == (first.trigger, first.decision.tags, first.chain)
    await happen(database, await applied(database, priority="urgent", tags=("waiting",)))
    await happen(database, assigned(5))
    assert len(await routed(database)) == 2
    [latest, _] = (await admin.get("/v1/decisions?ticket_id=tkt_1")).json()["data"]
    assert latest["evidence"][0]["evidence"][0]["found"] == "Still waiting"


async def test_a_decision_that_was_applied_is_not_made_again_whatever_happens_later(admin, database):
    await in_force(database, ANGRY)
    await happen(database, created(workspace=W), reply(2, "Still waiting!"))
    await happen(database, await applied(database, priority="urgent", tags=("waiting",)), assigned(4), assigned(5))
    assert len(await routed(database)) == 1
    assert await past.own(database, "SELECT 1 FROM router.awaited") == []


async def test_what_the_rules_no_longer_want_is_not_decided_again(admin, database):
    await in_force(database, ANGRY | {"when": {"text": "still waiting", "ticket.owner": {"set": False}}})
    await happen(database, created(workspace=W), reply(2, "Still waiting!"))
    await happen(database, assigned(3))
    assert len(await routed(database)) == 1


async def test_a_decision_that_could_change_nothing_is_not_waited_for(admin, database):
    await in_force(database, ANGRY)
    already = {"priority": "urgent", "tags": ("waiting",)}
    await happen(database, created(workspace=W), reply(2, "Still waiting!", ticket=already))
    await happen(database, assigned(3))
    assert len(await routed(database)) == 1


async def test_a_ticket_that_never_stands_still_is_given_up(admin, database):
    await in_force(database, ANGRY)
    await happen(database, created(workspace=W), reply(2, "Still waiting!"))
    for version in range(3, MAX_TRIES + 10):
        await happen(database, assigned(version))
    assert len(await routed(database)) == MAX_TRIES + 1


async def test_an_edit_that_a_rule_hides_names_its_message_and_what_came_of_it_asks_no_rule(admin, database):
    hides = {"name": "rude", "when": {"text": "idiots"}, "then": {"hide": True}}
    listening = [{**hides, "name": on, "on": on} for on in ("message.edited", "customer.replied")]
    await in_force(database, *listening, MOVED)
    said = message("m2", workspace=W, text="idiots")

    def revised(version, reason):
        return told(TicketUpdated, version, workspace=W, message=said, changes=("messages",), reason=reason)

    await happen(database, created(workspace=W), revised(2, "edited"))
    # The network's own word of what was done, told as often as it likes.
    await happen(database, revised(3, "hidden"), revised(4, "deleted"), revised(5, "unhidden"))
    [decided] = await routed(database)
    assert decided.decision.moderation == (Moderation(operation="hide", rule="message.edited", message_id=said.id),)
