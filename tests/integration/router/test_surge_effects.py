"""While it surges, decisions carry what the policy says and rules see it; before and after they do not."""

import json

import pytest

from services.router.handlers.deciding import Router
from shared.db.scope import Batch
from shared.events import envelope
from shared.events.catalogue import ROUTING
from shared.events.tickets import TicketUpdated
from tests.support import past, surges
from tests.support.messages import message, received
from tests.support.past import REFUNDS
from tests.support.ticket_events import created, told
from tests.support.triggers import happen, routed

ALARM = {"name": "alarm", "when": {"volume.surge": True}, "then": {"tags": ["all-hands"]}}
DURING = {"priority": "high", "team": "product", "tags": ["surge"]}


@pytest.fixture
async def admin(database):
    async with past.admin(database) as opened:
        yield opened


async def in_force(database, *rules):
    version = await past.keep(database, *rules)
    await past.activate(database, version)
    return version


async def surge(admin, database, **during):
    """The channel surges."""
    await surges.policy(admin, watch=["channel"], during=during)
    await surges.remember(database, hourly={surges.channel(): 4})
    await surges.say(database, 100)
    await surges.look(database)


async def come(database, name, **changes):
    """What is decided about one more message of that channel."""
    one = message(name, workspace="w1", channel="chn_w1", author=name, **changes)
    await past.decide(database, [one])
    [row] = await past.own(database, "SELECT rule, action, facts FROM router.decision WHERE message_id = $1", one.id)
    return one, row


async def test_decisions_carry_what_the_policy_says_until_it_is_over(admin, database):
    _, before = await come(database, "before")
    assert before["action"] == {"team": "community"}
    await surge(admin, database, **DURING)
    one, during = await come(database, "during")
    assert (during["rule"], during["action"]) == (
        "fallback",
        {"team": "product", "priority": "high", "tags": ["surge"]},
    )
    told = (await admin.get(f"/v1/decisions/{one.id}")).json()["decision"]["surge"]
    [found] = (await admin.get("/v1/surges")).json()["data"]
    assert told == {"surges": {surges.channel(): found["id"]}, "during": DURING}
    await surges.calm_down(database)
    for _ in range(2):
        await surges.look(database)
    _, after = await come(database, "after")
    assert (after["action"], "surging" in after["facts"]) == ({"team": "community"}, False)


async def test_while_it_surges_rules_say_nothing_where_the_policy_pauses_bots(admin, database):
    await in_force(database, {"name": "hello", "when": {"network": "facebook"}, "then": {"auto_reply": {"text": "Hi"}}})
    said = []
    for name, pause in (("without", None), ("paused", True), ("going on", False)):
        if pause is not None:
            headers = {} if pause else {"If-Match": '"1"'}
            policy = {**surges.POLICY, "watch": ["channel"], "during": {"pause_bots": pause}}
            assert (await admin.put("/v1/surge-policy", json=policy, headers=headers)).is_success
        if pause:
            await surges.remember(database, hourly={surges.channel(): 4})
            await surges.say(database, 100)
            await surges.look(database)
        one, _ = await come(database, name)
        told = (await admin.get(f"/v1/decisions/{one.id}")).json()["decision"]["answers"]
        rows = await past.own(
            database, "SELECT value FROM log.event WHERE topic = $1 ORDER BY id DESC LIMIT 1", ROUTING
        )
        replies = json.loads(rows[0]["value"])["decision"].get("replies", [])
        said.append(([one["text"] for one in replies], told[0]["left_out"]))
    assert said == [(["Hi"], None), ([], "paused by surge"), (["Hi"], None)]
    [began] = await surges.told(database)
    assert began.pause_bots


async def test_tickets_is_told_what_became_of_it(admin, database):
    await surge(admin, database, **DURING)
    await come(database, "during")
    rows = await past.own(database, "SELECT value FROM log.event WHERE topic = $1 ORDER BY id DESC LIMIT 1", ROUTING)
    decision = json.loads(rows[0]["value"])["decision"]
    assert (decision["team"], decision["priority"], decision["tags"]) == ("product", "high", ["surge"])


async def test_a_surge_that_a_person_ended_changes_nothing_any_more(admin, database):
    await surge(admin, database, **DURING)
    [found] = (await admin.get("/v1/surges")).json()["data"]
    await admin.post(f"/v1/surges/{found['id']}/end")
    _, row = await come(database, "after")
    assert row["action"] == {"team": "community"}


async def test_other_channels_and_other_workspaces_go_on_as_ever(admin, database):
    await surge(admin, database, **DURING)
    async with past.admin(database, "w2"):
        one = message("m", workspace="w2", channel="chn_w1")
        other = message("m", workspace="w1", channel="chn_other")
        async with database.transaction(Batch(frozenset({"w1", "w2"})), schema="router") as tx:
            await Router().on_messages(tx, [received(one), received(other)])
    rows = await past.own(
        database, "SELECT action FROM router.decision WHERE message_id = ANY($1::text[])", [one.id, other.id]
    )
    assert [row["action"] for row in rows] == [{"team": "community"}] * 2


async def test_a_rule_asks_whether_it_surges_and_what_it_saw_is_kept(admin, database):
    await in_force(database, ALARM)
    _, without = await come(database, "without a policy")
    assert (without["action"], without["facts"]["surging"]) == ({"team": "community"}, {})
    await surge(admin, database, tags=[])
    one, row = await come(database, "during")
    assert row["action"] == {"team": "community", "tags": ["all-hands"]}
    explained = (await admin.get(f"/v1/decisions/{one.id}")).json()["decision"]
    assert explained["facts"]["volume.surge"] is True
    [held] = explained["matched"]
    assert held["evidence"] == [{"pointer": "/rules/0/when/volume.surge", "fact": "volume.surge", "was": True}]


async def test_rules_about_tickets_see_it_too_and_a_policy_leaves_tickets_alone(admin, database):
    asking = {"on": "customer.replied", "when": {"volume.surge": True}, "then": {"tags": ["all-hands"]}}
    await in_force(database, ALARM | asking)
    said = [message(f"r{number}", workspace="w1", channel="chn_w1") for number in (2, 3)]
    replies = [
        told(TicketUpdated, 2 + number, workspace="w1", message=one, changes=("messages",))
        for number, one in enumerate(said)
    ]
    await happen(database, created(workspace="w1"), replies[0])
    assert await routed(database) == []
    await surge(admin, database, **DURING)
    await happen(database, replies[1])
    decided = (await routed(database))[-1]
    assert (decided.ticket_version, decided.trigger) == (3, "customer.replied")
    assert (decided.decision.tags, decided.decision.priority, decided.reroute) == (("all-hands",), "low", None)
    [row] = await past.own(database, "SELECT facts FROM router.ticket_decision")
    assert list(row["facts"]["surging"]["open"]) == [surges.channel()]


async def test_whoever_asks_without_a_policy_is_warned(admin):
    body = {"document": {"fallback": past.FALLBACK, "rules": [ALARM]}}
    [warning] = (await admin.post("/v1/rulesets", json=body)).json()["warnings"]
    assert (warning["code"], warning["pointer"]) == ("never-told", "/rules/0/when/volume.surge")
    assert "no surge policy" in warning["detail"]
    await surges.policy(admin)
    assert (await admin.post("/v1/rulesets", json=body)).json()["warnings"] == []


async def test_a_rehearsal_says_what_would_be_in_a_surge(admin, database):
    version = await past.keep(database, ALARM)
    answers = [
        (await admin.post(f"/v1/rulesets/{version}/test", json={"network": "x", "surge": is_surge})).json()
        for is_surge in (True, False)
    ]
    assert [answer["action"].get("tags", []) for answer in answers] == [["all-hands"], []]


async def test_a_backtest_sees_surges_as_they_were_and_counts_no_effect_of_them_as_a_difference(admin, database):
    await come(database, "nobody asked")
    await surge(admin, database, **DURING)
    await come(database, "during")
    lines = (await admin.post("/v1/rulesets/1/backtest", json={"days": 1})).text.splitlines()
    assert json.loads(lines[-1])["different"] == 0
    version = await past.keep(database, ALARM)
    lines = (await admin.post(f"/v1/rulesets/{version}/backtest", json={"days": 1})).text.splitlines()
    report = json.loads(lines[-1])
    assert report["unknown"] == {"volume.surge": 101}
    assert [(one["after"], one["messages"]) for one in report["changes"]["tag"]] == [("all-hands", 1)]


async def test_a_shadow_is_compared_under_the_same_surge(admin, database):
    await surge(admin, database, **DURING)
    version = await past.keep(database, REFUNDS)
    await admin.post(f"/v1/rulesets/{version}/shadow")
    await come(database, "during", text="a refund")
    report = (await admin.get(f"/v1/rulesets/{version}/shadow")).json()
    # Both would have gone to the team of the surge, with its priority.
    assert {one["aspect"] for one in report["changes"]} == {"lane", "tag"}


async def test_what_a_surge_adds_is_no_subject_of_another(admin, database):
    await surges.policy(admin, watch=["channel", "tag"], during={"tags": ["surge", "crisis"]})
    await surges.remember(database, hourly={surges.channel(): 4})
    await surges.say(database, 100)
    await surges.look(database)
    await surges.say(database, 100)
    assert set(await surges.counts(database)) == {surges.channel()}


async def test_events_of_a_surge_are_what_their_schema_says(admin, database):
    await surge(admin, database, **DURING)
    [began] = await surges.told(database)
    assert (began.team, began.priority, began.tags) == ("product", "high", ("surge",))
    assert envelope.to_builtins(began)["volume"]["minutes"] == 15
