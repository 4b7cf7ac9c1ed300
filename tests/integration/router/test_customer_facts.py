"""Rules ask who wrote before and which ticket is open: from the router's own picture, right whatever comes twice."""

import asyncio
from datetime import timedelta

import pytest

from services.router.handlers.deciding import Router
from services.router.handlers.following import Forgetting, on_tickets
from shared.db.scope import Batch
from shared.events.tickets import ReplySettled, TicketMerged, TicketReopened, TicketUpdated
from tests.support import past
from tests.support.messages import message, received
from tests.support.ticket_events import AT, account, created, event, told

W, V = "w1", "w2"
NEW = {"name": "new", "when": {"author.first": True}, "then": {"tags": ["new"]}}
OPEN = {"name": "open", "when": {"ticket.open": True}, "then": {"team": "care"}}


@pytest.fixture
async def admin(database):
    async with past.admin(database) as opened:
        yield opened


async def in_force(database, *rules, workspace=W):
    await past.activate(database, await past.keep(database, *rules, workspace=workspace), workspace=workspace)


async def happen(database, *payloads, workspace=W):
    async with database.transaction(Batch(frozenset({workspace})), schema="router") as tx:
        await on_tickets(tx, [event(one) for one in payloads])


def said(number, author="c1", *, workspace=W, **changes):
    return message(f"m{number}", workspace=workspace, author=author, **changes)


async def matched(database, workspace=W):
    rows = await past.own(
        database, "SELECT evidence FROM router.decision WHERE workspace_id = $1 ORDER BY message_id", workspace
    )
    return [row["evidence"] for row in rows]


async def decided(database, *messages, workspace=W, by=None):
    """The rules that held, message by message."""
    await past.decide(database, messages, workspace=workspace, by=by)
    rows = await past.own(
        database,
        "SELECT message_id, evidence FROM router.decision WHERE message_id = ANY($1::text[])",
        [one.id for one in messages],
    )
    held = {row["message_id"]: row["evidence"] for row in rows}
    return [held[one.id] for one in messages]


async def test_only_the_first_message_of_an_author_is_a_first_one_also_within_a_batch(admin, database):
    await in_force(database, NEW)
    assert await decided(database, said(1, "ann"), said(2, "bob"), said(3, "ann")) == [["new"], ["new"], []]
    assert await decided(database, said(4, "bob"), said(5, "eve")) == [[], ["new"]]


async def test_who_wrote_before_anybody_asked_is_known(admin, database):
    await past.decide(database, [said(1, "ann")])
    await in_force(database, NEW)
    assert await decided(database, said(2, "ann")) == [[]]


async def test_a_first_message_that_comes_again_stays_the_first_one(admin, database):
    await in_force(database, NEW)
    for _ in range(2):
        assert await decided(database, said(1, "ann")) == [["new"]]


async def test_a_batch_that_is_rolled_back_has_greeted_nobody(admin, database):
    await in_force(database, NEW)

    async def break_off() -> None:
        async with database.transaction(Batch(frozenset({W})), schema="router") as tx:
            await Router().on_messages(tx, [received(said(1, "ann"))])
            await tx.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await break_off()
    assert await decided(database, said(2, "ann")) == [["new"]]


async def test_two_processes_that_meet_one_author_at_once_greet_him_once(admin, database):
    await in_force(database, NEW)
    batches = [[said(number, author) for author in ("ann", "bob")] for number in ("a", "b")]
    batches[1].reverse()
    for place, batch in enumerate(batches):
        batches[place] = [
            message(
                f"{place}-{number}", workspace=W, author=one.author.external_id, conversation_id=f"cnv_{place}_{number}"
            )
            for number, one in enumerate(batch)
        ]
    async with asyncio.TaskGroup() as group:
        for batch in batches:
            group.create_task(past.decide(database, batch))
    assert sorted(await matched(database)) == [[], [], ["new"], ["new"]]


async def test_an_author_of_one_workspace_is_new_in_another(admin, database):
    async with past.admin(database, V):
        for workspace in (W, V):
            await in_force(database, NEW, workspace=workspace)
            held = await decided(database, said(workspace, "ann", workspace=workspace), workspace=workspace)
            assert held == [["new"]]


async def test_an_open_ticket_is_found_by_its_author_until_it_closes(admin, database):
    await in_force(database, OPEN)
    await happen(database, created("ann", workspace=W))
    assert await decided(database, said(1, "ann"), said(2, "bob")) == [["open"], []]
    await happen(database, told(TicketUpdated, 2, workspace=W, ticket={"state": "resolved"}))
    assert await decided(database, said(3, "ann")) == [[]]
    await happen(database, told(TicketReopened, 3, workspace=W, message=said(0, "ann")))
    assert await decided(database, said(4, "ann")) == [["open"]]


async def test_what_rules_ask_about_a_ticket_is_what_its_events_said(admin, database):
    asked = {
        "ticket.owner": "agt_1",
        "ticket.team": "care",
        "ticket.priority": "high",
        "ticket.tags": {"all": ["late", "vip"]},
        "ticket.answered": {"between": [9, 11]},
    }
    await in_force(database, {"name": "his", "when": asked, "then": {"agent": "agt_1", "team": "care"}})
    view = {"owner": "agt_1", "team": "care", "priority": "high", "tags": ("late", "vip")}
    settled = told(ReplySettled, 2, workspace=W, ticket=view, reply_id="r", state="sent", at=AT)
    await happen(database, created("ann", workspace=W), settled)
    ten_later, much_later = (AT + timedelta(minutes=minutes) for minutes in (10, 60))
    held = await decided(database, said(1, "ann", received_at=ten_later), said(2, "ann", received_at=much_later))
    assert held == [["his"], []]


async def test_events_that_come_late_or_again_change_nothing(admin, database):
    await in_force(database, OPEN, {"name": "vip", "when": {"ticket.tags": "vip"}, "then": {"tags": ["vip"]}})
    first = created("ann", workspace=W)
    second = told(TicketUpdated, 2, workspace=W, ticket={"tags": ("vip",)}, accounts=(account("ann"), account("bob")))
    third = told(TicketUpdated, 3, workspace=W, ticket={"tags": ("vip",)}, accounts=(account("bob"),))
    await happen(database, first, second, third)
    for batch in ([first], [second], [first, second], [third], [first, second, third]):
        await happen(database, *batch)
    held = await decided(database, said(1, "ann"), said(2, "bob"))
    assert held == [[], ["open", "vip"]]
    await happen(database, told(TicketUpdated, 4, workspace=W, ticket={"state": "resolved"}))
    await happen(database, first, second, third)
    assert await decided(database, said(3, "bob")) == [[]]


async def test_linked_accounts_share_a_ticket_and_parted_ones_do_not(admin, database):
    await in_force(database, OPEN)
    await happen(database, created("ann", workspace=W))
    both = (account("ann"), account("ann-on-x", network="x", scope=""))
    await happen(database, told(TicketUpdated, 2, workspace=W, reason="linked", accounts=both))
    on_x = {"network": "x", "channel": "chn_x"}
    assert await decided(database, said(1, "ann"), said(2, "ann-on-x", **on_x)) == [["open"], ["open"]]
    await happen(database, told(TicketUpdated, 3, workspace=W, reason="unlinked", accounts=both[:1]))
    assert await decided(database, said(3, "ann"), said(4, "ann-on-x", **on_x)) == [["open"], []]


async def test_a_merged_ticket_hands_its_author_over_to_the_other_one(admin, database):
    await in_force(database, {"name": "care's", "when": {"ticket.team": "care"}, "then": {"team": "care"}})
    target = created("bob", workspace=W, ticket={"id": "tkt_0", "team": "care"})
    await happen(database, created("ann", workspace=W), target)
    both = (account("ann"), account("bob"))
    merged = told(TicketUpdated, 2, workspace=W, ticket={"id": "tkt_0", "team": "care"}, accounts=both)
    await happen(database, merged)
    await happen(database, told(TicketMerged, 2, workspace=W, ticket={"state": "merged"}, into="tkt_0"))
    assert await decided(database, said(1, "ann")) == [["care's"]]


async def test_a_ticket_of_one_workspace_is_not_seen_in_another(admin, database):
    async with past.admin(database, V):
        await in_force(database, OPEN, workspace=V)
        await happen(database, created("ann", workspace=W))
        assert await decided(database, said(1, "ann", workspace=V), workspace=V) == [[]]


async def test_nothing_is_read_that_no_rule_asks_for(admin, database):
    await past.own(database, "DROP TABLE router.ticket, router.ticket_account")
    assert await decided(database, said(1, "ann")) == [[]]
    [kept] = await past.own(database, "SELECT facts FROM router.decision")
    assert kept["facts"].keys().isdisjoint({"first", "has_ticket", "ticket"})


async def test_many_messages_take_as_many_statements_as_few(admin, database):
    await in_force(database, NEW, OPEN, {"name": "vip", "when": {"ticket.tags": "vip"}, "then": {"tags": ["vip"]}})
    router, counts = Router(), []
    for batch in (["first"], ["one", "two"], [f"many {number}" for number in range(200)]):
        asked = []
        events = [received(said(one, author=one)) for one in batch]
        async with database.transaction(Batch(frozenset({W})), schema="router") as tx:
            tx._connection.add_query_logger(asked.append)
            await router.on_messages(tx, events)
            await tx.flush()
            tx._connection.remove_query_logger(asked.append)
        counts.append(len(asked))
    assert counts[1] == counts[2] < 6


async def test_a_candidate_is_shown_what_it_asks_for_and_the_decision_keeps_it(admin, database):
    version = await past.keep(database, NEW, OPEN)
    assert (await admin.post(f"/v1/rulesets/{version}/shadow")).status_code == 201
    await happen(database, created("ann", workspace=W, ticket={"team": "care", "tags": ("late",)}))
    await past.decide(database, [said(1, "ann"), said(2, "bob")])
    report = (await admin.get(f"/v1/rulesets/{version}/shadow")).json()
    assert {"aspect": "tag", "before": None, "after": "new", "messages": 2} in report["changes"]
    assert {"aspect": "team", "before": "community", "after": "care", "messages": 1} in report["changes"]
    kept = {"message_id": said(1, "ann").id}
    answer = (await admin.post(f"/v1/rulesets/{version}/test", json=kept)).json()
    facts = answer["facts"]
    assert (answer["rule"], facts["author.first"], facts["ticket.team"]) == ("open", True, "care")


async def test_a_message_that_never_came_is_tried_with_a_ticket_that_never_was(admin, database):
    version = await past.keep(
        database,
        NEW,
        OPEN,
        {"name": "long ago", "when": {"ticket.answered": {"gt": 60}}, "then": {"tags": ["long ago"]}},
    )
    made_up = {
        "network": "x",
        "author_first": True,
        "received_at": "2026-11-22T12:00:00Z",
        "ticket": {"team": "product", "answered_at": "2026-11-22T10:00:00Z"},
    }
    asked = [made_up, {"network": "x"}]
    answers = [(await admin.post(f"/v1/rulesets/{version}/test", json=body)).json() for body in asked]
    assert [[one["rule"] for one in answer["matched"]] for answer in answers] == [["new", "open", "long ago"], []]
    [missed] = [one["failed"][0] for one in answers[1]["missed"] if one["rule"] == "open"]
    assert missed["was"] is False


async def test_closed_tickets_are_forgotten_and_open_ones_are_not(admin, database):
    await in_force(database, OPEN)
    closed = created("bob", workspace=W, ticket={"id": "tkt_2", "state": "resolved"})
    await happen(database, created("ann", workspace=W), closed)
    await past.own(
        database, "UPDATE router.ticket SET closed_at = now() - interval '9 days' WHERE NOT is_open RETURNING 1"
    )
    assert await Forgetting(database, closed_for=timedelta(days=8)).purge() == 1
    assert await decided(database, said(1, "ann")) == [["open"]]
