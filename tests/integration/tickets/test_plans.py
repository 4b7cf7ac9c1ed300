"""The people's side of a structure at a date: teams at once, who is in them and when they work at the instant."""

from datetime import timedelta
from typing import Any

from tests.support import dates, shifts
from tests.support.floor import OTHER, Floor, message, routed
from tests.support.tickets_app import person

PLANS = "/v1/structures/plans"
SCHEDULE = "/v1/teams/client/schedule"


def ahead(floor: Floor, hours: float = 1) -> str:
    return (floor.database.clock.now() + timedelta(hours=hours)).isoformat()


async def pass_by(floor: Floor) -> None:
    """The instant of every plan comes."""
    await dates.come(floor.database, "tickets")
    await shifts.tick(floor)


async def test_teams_are_there_at_once_and_people_and_schedules_at_the_instant(floor: Floor) -> None:
    ann, bea = await floor.add_agent("ann", team=None), await floor.add_agent("bea", team=None)
    async with person(floor, ann, role="manager") as boss:
        wanted = {"zone": "Europe/Berlin", "members": {"client": [bea]}}
        told = (await boss.post("/v1/structures/agency", json=wanted | {"at": ahead(floor)})).json()
        assert {one["id"] for one in (await boss.get("/v1/teams")).json()["data"]} >= {"agency", "client"}
        await floor.deliver(routed(message(), team="agency"))
        await shifts.tick(floor)
        assert ((await floor.ticket())["owner_id"], (await boss.get(SCHEDULE)).status_code) == (None, 404)
        await pass_by(floor)
        assert (await boss.get(SCHEDULE)).json()["zone"] == "Europe/Berlin"
        [done] = (await boss.get(PLANS)).json()["data"]
        again = (await boss.post("/v1/structures/agency", json=wanted)).json()
    assert (told["plan"]["state"], done["id"], done["state"]) == ("upcoming", told["plan"]["id"], "done")
    assert done["what"] == {"structure": "agency", "replace": False} | wanted
    # What was told then is what came, without the teams that were there already.
    assert done["outcome"]["changes"] == [one for one in told["changes"] if one["what"] != "team"]
    assert (again["changed"], again["changes"]) == (False, [])
    # Whoever wrote in between is answered by those who came.
    assert (await floor.ticket())["owner_id"] in {ann, bea}
    await floor.check_books()


async def test_a_schedule_of_that_instant_is_kept_unless_it_was_to_be_replaced(floor: Floor) -> None:
    ann = await floor.add_agent("ann", team="community")
    async with person(floor, ann, role="manager") as boss:
        await boss.post("/v1/structures/rotation", json={"at": ahead(floor)})
        own = {"zone": "UTC", "when_nobody": "members"}
        await boss.put("/v1/teams/community/schedule", json=own)
        await pass_by(floor)
        assert (await boss.get("/v1/teams/community/schedule")).json() == own
        await boss.post("/v1/structures/rotation", json={"at": ahead(floor), "replace": True})
        await pass_by(floor)
        changes = [_of(one) for one in (await boss.get(PLANS)).json()["data"]]
    assert changes == [["replaced"], ["kept"]]


async def test_a_cancelled_plan_changes_nothing_and_strangers_cannot_cancel(floor: Floor) -> None:
    ann = await floor.add_agent("ann", team=None)
    async with (
        person(floor, ann, role="manager") as boss,
        person(floor, ann) as reader,
        person(floor, None, workspace=OTHER, role="manager") as stranger,
    ):
        plan = (await boss.post("/v1/structures/agency", json={"at": ahead(floor)})).json()["plan"]
        path = f"{PLANS}/{plan['id']}"
        assert ((await reader.delete(path)).status_code, (await stranger.delete(path)).status_code) == (403, 404)
        assert (await stranger.get(PLANS)).json()["data"] == []
        assert (await boss.delete(path)).json()["state"] == "cancelled"
        await pass_by(floor)
        assert ((await boss.get(SCHEDULE)).status_code, (await boss.delete(path)).status_code) == (404, 409)


async def test_what_is_refused_is_not_planned_and_leaves_no_team(floor: Floor) -> None:
    ann = await floor.add_agent("ann", team=None)
    async with person(floor, ann, role="manager") as boss:
        before = (await boss.get("/v1/teams")).json()["data"]
        for wrong, pointer in (
            ({"at": ahead(floor, -1)}, "#/at"),
            ({"at": ahead(floor, -1), "dry_run": True}, "#/at"),
            ({"at": ahead(floor), "zone": "Mars/Base"}, "#/zone"),
            ({"at": ahead(floor), "members": {"tiktok": [ann]}}, "#/members/tiktok"),
        ):
            refused = await boss.post("/v1/structures/agency", json=wrong)
            assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
        told = (await boss.post("/v1/structures/agency", json={"at": ahead(floor), "dry_run": True})).json()
        assert (told["changed"], told["plan"]) == (True, None)
        assert (await boss.get("/v1/teams")).json()["data"] == before
        assert (await boss.get(PLANS)).json()["data"] == []


async def test_a_structure_that_is_no_more_fails_and_says_so(floor: Floor) -> None:
    ann = await floor.add_agent("ann", team=None)
    async with person(floor, ann, role="manager") as boss:
        await boss.post("/v1/structures/agency", json={"at": ahead(floor)})
        await floor.rows('UPDATE tickets.plan SET what = what || \'{"structure": "gone"}\'')
        await pass_by(floor)
        [failed] = (await boss.get(PLANS, params={"state": "failed"})).json()["data"]
    assert failed["reason"].startswith("there is no structure gone")


def _of(plan: dict[str, Any]) -> list[str]:
    return [step["change"] for step in plan["outcome"]["changes"] if step["what"] == "schedule"]
