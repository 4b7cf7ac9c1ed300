"""Rules ask what a team knows of a customer: from the router's own picture, right whatever comes twice, late or apart."""

import itertools

import pytest

from services.router.handlers.deciding import Router
from services.router.handlers.following import on_tickets
from shared.db.scope import Batch
from tests.support import past
from tests.support.messages import message, received
from tests.support.ticket_events import account, created, customer, event

W, V = "w1", "w2"
GOLD = {"name": "gold", "when": {"customer.attributes.plan": "gold"}, "then": {"team": "care"}}
VIP = {"name": "vip", "when": {"customer.tags": "vip"}, "then": {"priority": "high"}}
ANN, BOB = account("ann"), account("bob")


@pytest.fixture
async def admin(database):
    async with past.admin(database) as opened:
        yield opened


async def in_force(database, *rules, workspace=W):
    await past.activate(database, await past.keep(database, *rules, workspace=workspace), workspace=workspace)


async def happen(database, *payloads, workspace=W):
    async with database.transaction(Batch(frozenset({workspace})), schema="router") as tx:
        await on_tickets(tx, [event(one) for one in payloads])


def known(version, *accounts, id_="cus_1", workspace=W, plan="gold", tags=("vip",), **fields):
    attributes = {"plan": plan} if plan else {}
    return customer(version, workspace=workspace, id=id_, attributes=attributes, tags=tags, accounts=accounts, **fields)


async def decided(database, number, *authors, workspace=W):
    """The rules that held for a message of each author, and what was kept of the customer."""
    messages = [message(f"{number}-{author}", workspace=workspace, author=author) for author in authors]
    await past.decide(database, messages, workspace=workspace)
    rows = await past.own(
        database,
        "SELECT message_id, evidence, facts FROM router.decision WHERE message_id = ANY($1::text[])",
        [one.id for one in messages],
    )
    found = {row["message_id"]: (row["evidence"], row["facts"].get("customer")) for row in rows}
    return [found[one.id] for one in messages]


async def test_what_is_known_of_a_customer_is_found_by_each_account(admin, database):
    await in_force(database, GOLD, VIP)
    await happen(database, known(2, ANN, BOB))
    everything = (["gold", "vip"], {"attributes": {"plan": "gold"}, "tags": ["vip"]})
    assert await decided(database, 1, "ann", "bob", "eve") == [everything, everything, ([], {})]
    await happen(database, known(3, ANN, BOB, plan=None, tags=()))
    assert await decided(database, 2, "ann") == [([], {})]


async def test_events_that_come_late_or_again_change_nothing(admin, database):
    await in_force(database, GOLD, VIP)
    first, second = known(2, ANN), known(3, ANN, plan="free", tags=())
    await happen(database, first, second)
    for batch in ([first], [second], [second, first], [first, second]):
        await happen(database, *batch)
    assert await decided(database, 1, "ann") == [([], {"attributes": {"plan": "free"}})]


async def test_linked_and_parted_accounts_end_where_they_belong_in_whatever_order_customers_are_told(admin, database):
    await in_force(database, GOLD, VIP)
    orders = list(itertools.permutations(range(4)))
    for number, order in enumerate(orders):
        one, other = account(f"ann-{number}"), account(f"bob-{number}")
        source, target = {"id_": f"cus_{number}"}, {"id_": f"cus_{number}_2", "plan": "free", "tags": ()}
        linked = [known(3, merged_into=f"cus_{number}_2", **source), known(3, one, other, **target)]
        parted = [known(4, one, **source), known(4, other, **target)]
        steps = [*linked, *parted]
        for batch in ([known(2, one, **source), known(2, other, **target)], *([steps[place]] for place in order)):
            await happen(database, *batch)
    names = [f"{name}-{number}" for number in range(len(orders)) for name in ("ann", "bob")]
    found = [held for held, _ in await decided(database, 1, *names)]
    assert found == [["gold", "vip"], []] * len(orders)


async def test_who_was_linked_into_another_is_known_as_that_one(admin, database):
    await in_force(database, GOLD, VIP)
    await happen(database, known(2, ANN, plan="free", tags=()))
    await happen(database, known(2, ANN, BOB, id_="cus_2"), known(3, plan="free", tags=(), merged_into="cus_2"))
    assert [held for held, _ in await decided(database, 1, "ann", "bob")] == [["gold", "vip"]] * 2


async def test_a_customer_of_one_workspace_is_not_known_in_another(admin, database):
    async with past.admin(database, V):
        await in_force(database, GOLD, workspace=V)
        await happen(database, known(2, ANN))
        assert await decided(database, 1, "ann", workspace=V) == [([], {})]


async def test_nothing_is_read_that_no_rule_asks_for(admin, database):
    await past.own(database, "DROP TABLE router.customer, router.customer_account")
    await happen(database, created("ann", workspace=W))
    assert await decided(database, 1, "ann") == [([], None)]


async def test_many_messages_take_as_many_statements_as_few(admin, database):
    await in_force(database, GOLD, VIP)
    router, counts = Router(), []
    for batch in (["first"], ["one", "two"], [f"many {number}" for number in range(200)]):
        asked = []
        events = [received(message(one, workspace=W, author=one)) for one in batch]
        async with database.transaction(Batch(frozenset({W})), schema="router") as tx:
            tx._connection.add_query_logger(asked.append)
            await router.on_messages(tx, events)
            await tx.flush()
            tx._connection.remove_query_logger(asked.append)
        counts.append(len(asked))
    assert counts[1] == counts[2] < 5


async def test_a_decision_is_explained_and_tried_again_with_what_was_known_then(admin, database):
    await decided(database, 0, "ann")
    await in_force(database, GOLD)
    await happen(database, known(2, ANN))
    await decided(database, 1, "ann")
    await happen(database, known(3, ANN, plan="free", tags=()))
    one = message("1-ann", workspace=W, author="ann")
    told = (await admin.get(f"/v1/decisions/{one.id}")).json()["decision"]
    assert (told["rule"], told["facts"]["customer.attributes.plan"]) == ("gold", "gold")
    assert told["facts"]["customer.tags"] == ["vip"]
    other = await past.keep(database, VIP)
    made_up = {"network": "x", "customer": {"attributes": {"plan": True}, "tags": ["vip"]}}
    asked = [{"message_id": one.id}, made_up, {"network": "x"}]
    answers = [(await admin.post(f"/v1/rulesets/{other}/test", json=body)).json() for body in asked]
    assert [[rule["rule"] for rule in answer["matched"]] for answer in answers] == [["vip"], ["vip"], []]
    report = (await admin.post(f"/v1/rulesets/{other}/backtest", json={"days": 1})).text.splitlines()[-1]
    assert '"unknown":{"customer.tags":1}' in report
