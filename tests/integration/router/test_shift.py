"""Rules ask who is on duty: people and the teams that have one, as it was when the message was decided about."""

import pytest

from services.router.handlers.deciding import Router
from shared.db.scope import Batch, Workspace
from shared.platform.store import agents, schedules, teams
from tests.support import past
from tests.support.messages import message, received

W, V = "w1", "w2"
STAFFED = {"name": "staffed", "when": {"shift": "care"}, "then": {"team": "care"}}
UNSTAFFED = {"name": "nobody there", "when": {"shift": {"none": "care"}}, "then": {"tags": ["night"]}}


@pytest.fixture
async def admin(database):
    async with past.admin(database) as opened:
        yield opened


async def member(database, name, *, workspace=W, kind="human", team="care"):
    agent_id = f"agt_{name}"
    async with database.transaction(Workspace(workspace)) as tx:
        await agents.create(tx, workspace, agent_id=agent_id, name=name, kind=kind)
        await teams.add_member(tx, workspace, team, agent_id)
    return agent_id


async def on_duty(database, *agents, workspace=W, team="care"):
    async with database.transaction(Workspace(workspace)) as tx:
        await schedules.set_duty(tx, workspace, team, agents, stand_in=None)


async def in_force(database, *rules, workspace=W):
    await past.activate(database, await past.keep(database, *rules, workspace=workspace), workspace=workspace)


async def held(database, number, *, workspace=W):
    """The rules that held for one more message, and the shift that was kept with it."""
    one = message(f"m{number}", workspace=workspace, author="c1")
    await past.decide(database, [one], workspace=workspace)
    [row] = await past.own(database, "SELECT evidence, facts FROM router.decision WHERE message_id = $1", one.id)
    return row["evidence"], row["facts"].get("shift")


async def test_people_are_on_shift_and_teams_that_have_one(admin, database):
    ann, bea = await member(database, "ann"), await member(database, "bea")
    her = {"name": "hers", "when": {"shift": {"all": ["care", ann]}}, "then": {"tags": ["ann"]}}
    await in_force(database, STAFFED, UNSTAFFED, her)
    assert await held(database, 1) == (["staffed", "hers"], sorted(["care", ann, bea]))
    await on_duty(database, bea)
    assert await held(database, 2) == (["staffed"], sorted(["care", bea]))
    await on_duty(database)
    assert await held(database, 3) == (["nobody there"], [])


async def test_bots_and_who_is_disabled_staff_no_team(admin, database):
    ann = await member(database, "ann")
    await member(database, "bot", kind="bot")
    await in_force(database, STAFFED, UNSTAFFED)
    await past.own(database, "UPDATE platform.agent SET disabled_at = now() WHERE id = $1 RETURNING 1", ann)
    assert await held(database, 1) == (["nobody there"], [])


async def test_duty_in_one_workspace_is_not_seen_in_another(admin, database):
    await member(database, "ann")
    async with past.admin(database, V):
        await in_force(database, STAFFED, UNSTAFFED, workspace=V)
        assert await held(database, 1, workspace=V) == (["nobody there"], [])


async def test_a_batch_of_many_workspaces_asks_once_and_only_for_those_that_want_to_know(admin, database):
    ann = await member(database, "ann")
    async with past.admin(database, V):
        await in_force(database, STAFFED)
        asked: list[str] = []
        events = [received(message(name, workspace=name, author="c1")) for name in (W, V)]
        async with database.transaction(Batch(frozenset({W, V})), schema="router") as tx:
            tx._connection.add_query_logger(lambda query: asked.append(query.query))
            await Router().on_messages(tx, events)
            await tx.flush()
        assert sum("platform.team_member" in sql for sql in asked) == 1
        kept = await past.own(database, "SELECT workspace_id, facts -> 'shift' AS shift FROM router.decision")
        assert {row["workspace_id"]: row["shift"] for row in kept} == {W: sorted(["care", ann]), V: None}


async def test_duty_is_not_read_where_no_rule_asks(admin, database):
    await member(database, "ann")
    assert await held(database, 1) == ([], None)


async def test_a_decision_is_explained_tried_and_tested_with_the_shift_of_its_time(admin, database):
    ann = await member(database, "ann")
    await in_force(database, STAFFED)
    await held(database, 1)
    await on_duty(database)
    one = message("m1", workspace=W, author="c1")
    explained = (await admin.get(f"/v1/decisions/{one.id}")).json()["decision"]
    assert (explained["rule"], explained["facts"]["shift"]) == ("staffed", sorted(["care", ann]))
    other = await past.keep(database, UNSTAFFED)
    kept = (await admin.post(f"/v1/rulesets/{other}/test", json={"message_id": one.id})).json()
    made_up = (await admin.post(f"/v1/rulesets/{other}/test", json={"network": "x", "shift": ["product"]})).json()
    assert [[rule["rule"] for rule in answer["matched"]] for answer in (kept, made_up)] == [[], ["nobody there"]]
    report = (await admin.post(f"/v1/rulesets/{other}/backtest", json={"days": 1})).text.splitlines()[-1]
    assert '"unknown":{}' in report


async def test_a_backtest_says_where_duty_was_not_looked_up(admin, database):
    await held(database, 1)
    version = await past.keep(database, STAFFED)
    report = (await admin.post(f"/v1/rulesets/{version}/backtest", json={"days": 1})).text.splitlines()[-1]
    assert '"unknown":{"shift":1}' in report


async def test_a_name_that_is_never_on_shift_is_told(admin, database):
    ann = await member(database, "ann")
    rule = {**STAFFED, "when": {"shift": {"any": ["care", ann, "caer"]}}}
    document = {"fallback": past.FALLBACK, "rules": [rule]}
    told = (await admin.post("/v1/rulesets", json={"document": document})).json()["warnings"]
    assert [(one["code"], one["pointer"]) for one in told] == [("never-on-shift", "/rules/0/when/shift/any")]
