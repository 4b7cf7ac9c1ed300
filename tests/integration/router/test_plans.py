"""Versions and rules of structures take effect at a date: not before, once, in the order planned, or with a reason."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from services.router.domain.preset import document as preset
from services.router.handlers import deciding
from services.router.handlers.plans import carry_out
from services.router.service import build
from services.router.store import rulesets
from shared.clock import SystemClock
from shared.db.plans import MOST_TRIES, Plan, lock
from shared.db.pool import Database
from shared.db.scope import Workspace
from shared.db.transaction import Transaction
from shared.errors import Conflict
from shared.platform.store import teams
from shared.telemetry.metrics import Metrics
from tests.support import api, dates, past
from tests.support.postgres import open_database

W = "w1"
PLANS = "/v1/rulesets/plans"
VIPS = {"name": "vips", "when": {"text": "refund"}, "then": {"team": "product"}}


@pytest.fixture
async def admin(database: Database):
    async with past.admin(database) as opened:
        yield opened


def ahead(hours: float = 1) -> str:
    return (SystemClock().now() + timedelta(hours=hours)).isoformat()


async def plan(admin: httpx.AsyncClient, what: int | str, at: str | None = None) -> dict[str, Any]:
    """A version, or a structure."""
    path = f"/v1/rulesets/{what}/activate" if isinstance(what, int) else f"/v1/rulesets/structures/{what}"
    answer = await admin.post(path, json={"at": at or ahead()})
    assert answer.status_code == 200, answer.text
    return answer.json()["plan"]


async def told(admin: httpx.AsyncClient, **query: str) -> list[dict[str, Any]]:
    return (await admin.get(PLANS, params=query)).json()["data"]


async def in_force(database: Database) -> int:
    async with database.transaction(Workspace(W), schema="router") as tx:
        return (await rulesets.active_versions(tx, [W]))[W]


async def rules(database: Database) -> list[str]:
    """Those in force that are not the preset's, by name."""
    version = await in_force(database)
    async with database.transaction(Workspace(W), schema="router") as tx:
        found = await rulesets.load(tx, W, version)
    return [rule["name"] for rule in found.document["rules"] if rule not in preset()["rules"]]


async def journal(database: Database) -> list[tuple[int, str, str]]:
    rows = await past.own(database, "SELECT version, author, reason FROM router.activation ORDER BY number OFFSET 1")
    return [tuple(row) for row in rows]


async def went(database: Database, text: str) -> str:
    """Where a message goes that comes now."""
    await past.decide(database, [text])
    rows = await past.own(database, "SELECT action->>'team' AS team FROM router.decision ORDER BY created_at")
    return rows[-1]["team"]


async def test_nothing_changes_before_the_instant_and_the_first_batch_after_it_is_decided_anew(admin, database):
    version = await past.keep(database, VIPS)
    kept = await plan(admin, version)
    assert (kept["state"], kept["what"], kept["outcome"]) == ("upcoming", {"ruleset": version}, None)
    assert await dates.replica(database).step() == 0
    assert await in_force(database) == 1
    await dates.pass_by(database)
    assert await went(database, "refund") == "product"
    [done] = await told(admin)
    assert (done["id"], done["state"], done["outcome"]) == (kept["id"], "done", {"version": version, "changed": True})
    assert await journal(database) == [(version, kept["author"], "planned")]


async def test_a_structure_goes_into_the_ruleset_that_is_in_force_then(admin, database):
    applied = await admin.post("/v1/rulesets/structures/rotation", json={"at": ahead()})
    assert (applied.json()["changed"], applied.json()["version"]) == (True, 1)
    between = await past.keep(database, VIPS)
    await past.activate(database, between)
    await dates.pass_by(database)
    assert await rules(database) == ["rotation: everything", "vips"]
    [done] = await told(admin)
    assert done["outcome"] == {"version": between + 1, "changed": True}
    assert (await admin.post("/v1/rulesets/rollback")).json()["version"] == between


async def test_what_is_there_already_at_its_instant_is_done_without_a_change(admin, database):
    version = (await admin.post("/v1/rulesets/structures/rotation", json={})).json()["version"]
    await plan(admin, version)
    await plan(admin, "rotation")
    before = await journal(database)
    await dates.pass_by(database)
    assert [one["outcome"] for one in await told(admin)] == [{"version": version, "changed": False}] * 2
    assert await journal(database) == before


async def test_structures_of_one_instant_combine_in_the_order_planned_whoever_comes_first(admin, database, dsn):
    at = ahead()
    async with database.transaction(Workspace(W)) as tx:
        for team in ("brand", "awareness", "engagement"):
            await teams.create(tx, W, team_id=team, name=team)
    for name in ("brand-care", "audience", "rotation"):
        await plan(admin, name, at)
    await dates.come(database)
    # The timers of the later ones ring first.
    await past.own(
        database,
        "UPDATE router.timer SET claimed_until = now() + interval '1 hour' WHERE subject = $1",
        (await told(admin))[-1]["id"],
    )
    assert await dates.replica(database).step() == 2
    assert await rules(database) == []
    await past.own(database, "UPDATE router.timer SET claimed_until = NULL, due_at = now()")
    async with open_database(dsn) as second, asyncio.TaskGroup() as group:
        for place in (database, second):
            group.create_task(dates.replica(place).step())
    while await _ring(database):
        pass
    assert [one["state"] for one in await told(admin)] == ["done"] * 3
    order = list(dict.fromkeys(name.split(":")[0] for name in await rules(database)))
    assert order == ["rotation", "audience", "brand-care"]


async def test_two_replicas_carry_a_plan_out_once(admin, database, dsn):
    versions = [await past.keep(database, VIPS | {"name": f"vips {number}"}) for number in range(5)]
    for hour, version in enumerate(versions, 1):
        await plan(admin, version, ahead(hour))
    await dates.come(database)
    async with open_database(dsn) as second, asyncio.TaskGroup() as group:
        for place in (database, second, database, second):
            group.create_task(dates.replica(place).step())
    while await _ring(database):
        pass
    assert [version for version, _, _ in await journal(database)] == versions


async def test_a_replica_that_dies_in_the_middle_leaves_the_plan_to_others(admin, database):
    async def dies(tx: Transaction, plan: Plan):
        await carry_out(tx, plan)
        raise asyncio.CancelledError

    version = await past.keep(database, VIPS)
    await plan(admin, version)
    await dates.come(database)
    assert await dates.replica(database, does=dies).step() == 1
    # What it did went with it, and its claim holds for a while.
    assert (await in_force(database), await dates.replica(database).step()) == (1, 0)
    await past.own(database, "UPDATE router.timer SET claimed_until = clock_timestamp()")
    assert await dates.replica(database).step() == 1
    assert [version for version, _, _ in await journal(database)] == [version]


async def test_a_cancelled_plan_never_takes_effect(admin, database):
    version = await past.keep(database, VIPS)
    first, second = await plan(admin, version), await plan(admin, "rotation")
    cancelled = await admin.delete(f"{PLANS}/{first['id']}")
    assert (cancelled.json()["state"], cancelled.json()["ended_by"]) == ("cancelled", first["author"])
    await dates.pass_by(database)
    assert await rules(database) == ["rotation: everything"]
    for over in (first, second):
        refused = await admin.delete(f"{PLANS}/{over['id']}")
        assert refused.status_code == 409
    assert refused.json()["state"] == "done"
    assert (await admin.delete(f"{PLANS}/pln_none")).status_code == 404


async def test_a_plan_that_is_cancelled_while_a_replica_has_claimed_it_does_not_take_effect(admin, database):
    kept = await plan(admin, await past.keep(database, VIPS))
    await dates.come(database)

    async def cancels(tx: Transaction, timer: Any) -> None:
        await admin.delete(f"{PLANS}/{kept['id']}")
        await lock(tx, timer)

    timers = dates.replica(database, lock=cancels)
    assert await timers.step() == 1
    assert (await in_force(database), [one["state"] for one in await told(admin)]) == (1, ["cancelled"])


async def test_what_cannot_be_put_in_force_any_more_fails_once_and_says_why(admin, database):
    async with database.transaction(Workspace(W)) as tx:
        await teams.create(tx, W, team_id="gold", name="Gold")
    version = await past.keep(database, VIPS | {"then": {"team": "gold"}})
    await plan(admin, version)
    await plan(admin, "rotation")
    async with database.transaction(Workspace(W)) as tx:
        await teams.delete(tx, W, "gold")
    metrics = Metrics()
    await dates.come(database)
    await dates.replica(database, metrics=metrics).step()
    while await _ring(database):
        pass
    after, failed = await told(admin)
    assert (failed["state"], failed["outcome"]) == ("failed", None)
    assert failed["reason"] == "the ruleset cannot work as it is; /rules/0/then/team: there is no team gold"
    # What comes later goes on without it.
    assert (after["state"], await rules(database)) == ("done", ["rotation: everything"])
    assert b'baton_plans_total{outcome="failed"} 1.0' in metrics.exposition()[0]


async def test_a_bug_is_tried_again_a_few_times_and_holds_up_what_comes_later_only_so_long(admin, database):
    version = await past.keep(database, VIPS)
    await plan(admin, version, ahead(1))
    await plan(admin, "rotation", ahead(2))
    await dates.come(database)
    tried = 0

    async def stumbles(tx: Transaction, plan: Plan):
        nonlocal tried
        if "structure" in plan.what:
            return await carry_out(tx, plan)
        tried += 1
        raise ValueError

    timers = dates.replica(database, does=stumbles)
    for _ in range(MOST_TRIES):
        await timers.step()
        await _hurry(database)
    assert await in_force(database) == 1
    while await timers.step():
        await _hurry(database)
    assert tried == MOST_TRIES
    after, failed = await told(admin)
    assert (failed["state"], "the log has the errors" in failed["reason"]) == ("failed", True)
    assert (after["state"], await rules(database)) == ("done", ["rotation: everything"])


async def test_somebody_who_activates_at_the_same_moment_only_delays_it(admin, database):
    version = await past.keep(database, VIPS)
    await plan(admin, version)
    await dates.come(database)
    times = 0

    async def loses(tx: Transaction, plan: Plan):
        nonlocal times
        times += 1
        if times == 1:
            raise Conflict("another version was activated at the same moment")
        return await carry_out(tx, plan)

    timers = dates.replica(database, does=loses)
    assert await timers.step() == 1
    assert [one["state"] for one in await told(admin)] == ["upcoming"]
    await timers.step()
    assert [one["state"] for one in await told(admin)] == ["done"]


async def test_rules_never_take_the_place_of_a_version_that_they_were_not_merged_into(database):
    await api.new_workspace(database)
    merged, between = await past.keep(database, VIPS), await past.keep(database)
    await past.activate(database, between)
    async with database.transaction(Workspace(W), schema="router") as tx:
        with pytest.raises(Conflict):
            await deciding.activate(tx, W, merged, author="agt_1", after=1)
        await deciding.activate(tx, W, merged, author="agt_1", after=between)
    assert await in_force(database) == merged


async def test_what_could_not_be_done_now_is_not_planned(admin, database):
    version = await past.keep(database, VIPS)
    for path, status in (
        ("/v1/rulesets/99/activate", 404),
        ("/v1/rulesets/structures/none", 404),
        ("/v1/rulesets/structures/network", 422),
    ):
        assert (await admin.post(path, json={"at": ahead()})).status_code == status
    path = f"/v1/rulesets/{version}/activate"
    for at in (
        ahead(-0.02),
        "0001-01-01T00:00:00+14:00",
        ahead(24 * 366 * 6),
        "9999-12-31T23:59:59-14:00",
        "2099-01-01T00:00",
    ):
        refused = await admin.post(path, json={"at": at})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "#/at"), at
    gone = await admin.post("/v1/rulesets/structures/rotation", json={"at": ahead(-1), "dry_run": True})
    assert (gone.status_code, gone.json()["errors"][0]["pointer"]) == (422, "#/at")
    only_told = await admin.post("/v1/rulesets/structures/network", json={"at": ahead(), "dry_run": True})
    assert (only_told.status_code, only_told.json()["plan"]) == (200, None)
    assert await told(admin) == []


async def test_an_instant_that_has_just_passed_is_now(admin, database):
    version = await past.keep(database, VIPS)
    await plan(admin, version, ahead(-30 / 3600))
    await dates.replica(database).step()
    assert await in_force(database) == version


async def test_planning_the_same_again_is_the_same_plan(admin, database):
    version, at = await past.keep(database, VIPS), ahead()
    first, again = await plan(admin, version, at), await plan(admin, version, at)
    elsewhen = await plan(admin, version, ahead(2))
    assert (first["id"], first["id"] == elsewhen["id"]) == (again["id"], False)
    await admin.delete(f"{PLANS}/{first['id']}")
    anew = await plan(admin, version, at)
    assert [one["id"] for one in await told(admin, state="upcoming")] == [anew["id"], elsewhen["id"]]


async def test_other_workspaces_see_nothing_and_may_do_nothing(admin, database):
    kept = await plan(admin, await past.keep(database, VIPS))
    async with past.admin(database, "w2") as stranger:
        assert await told(stranger) == []
        assert (await stranger.delete(f"{PLANS}/{kept['id']}")).status_code == 404
    await dates.pass_by(database)
    rows = await past.own(database, "SELECT workspace_id FROM router.activation WHERE reason = 'planned'")
    assert [row["workspace_id"] for row in rows] == [W]


async def test_plans_are_read_and_written_by_the_scopes_of_rules_a_page_at_a_time(admin, database):
    version = await past.keep(database, VIPS)
    made = [(await plan(admin, version, ahead(hour)))["id"] for hour in (3, 1, 2)]
    served = api.new_app(database, build(past.runtime(database)))
    async with api.client(served, await api.new_key(database, role="analyst")) as reader:
        assert (await reader.delete(f"{PLANS}/{made[0]}")).status_code == 403
        page = (await reader.get(PLANS, params={"limit": 2})).json()
        rest = (await reader.get(PLANS, params={"limit": 2, "cursor": page["next_cursor"]})).json()
    assert [one["id"] for one in page["data"] + rest["data"]] == made[::-1]
    assert await told(admin, state="done") == []


async def _ring(database: Database) -> int:
    await _hurry(database)
    return await dates.replica(database).step()


async def _hurry(database: Database) -> None:
    """Whoever waits for an earlier one looks again."""
    await past.own(database, "UPDATE router.timer SET due_at = now()")
