"""A structure gives a workspace teams, people in them and schedules; a second time it has nothing to do."""

from typing import Any

from tests.support.floor import Floor, message, routed
from tests.support.tickets_app import person


async def test_a_structure_is_told_applied_and_applied_again(floor: Floor) -> None:
    ann = await floor.add_agent("ann", team=None)
    await floor.deliver(routed(message(), team="care"))
    async with person(floor, ann, role="manager") as boss:
        assert {one["name"] for one in (await boss.get("/v1/structures")).json()} >= {"network", "shifts", "agency"}
        wanted = {"zone": "Europe/Berlin", "dry_run": True}
        told = (await boss.post("/v1/structures/shifts", json=wanted)).json()
        assert (told["changed"], (await boss.get("/v1/teams/care/schedule")).status_code) == (True, 404)
        done = (await boss.post("/v1/structures/shifts", json=wanted | {"dry_run": False})).json()
        assert done == told | {"dry_run": False}
        assert done["changes"] == [
            {"team": "care", "what": "members", "change": "added", "agents": [ann]},
            {"team": "community", "what": "members", "change": "added", "agents": [ann]},
            {"team": "care", "what": "schedule", "change": "created"},
            {"team": "community", "what": "schedule", "change": "created"},
        ]
        schedule = (await boss.get("/v1/teams/care/schedule")).json()
        assert (schedule["zone"], schedule["handover"]) == ("Europe/Berlin", "next")
        again = (await boss.post("/v1/structures/shifts", json={"zone": "Europe/Berlin"})).json()
        assert (again["changed"], again["changes"]) == (False, [])
    # What waited in the queue has found somebody.
    assert (await floor.ticket())["owner_id"] == ann
    await floor.check_books()


async def test_people_and_schedules_that_are_there_are_kept_unless_told_otherwise(floor: Floor) -> None:
    ann, bea = await floor.add_agent("ann", team="community"), await floor.add_agent("bea", team=None)
    async with person(floor, ann, role="manager") as boss:
        own = {"zone": "UTC", "when_nobody": "members"}
        await boss.put("/v1/teams/community/schedule", json=own)
        kept = (await boss.post("/v1/structures/rotation", json={})).json()
        assert (kept["changed"], _of(kept, "schedule")) == (False, ["kept"])
        assert (await boss.get("/v1/teams/community/schedule")).json() == own
        wanted = {"replace": True, "members": {"community": [bea]}}
        replaced = (await boss.post("/v1/structures/rotation", json=wanted)).json()
        assert (_of(replaced, "schedule"), _of(replaced, "members")) == (["replaced"], ["added"])
        duty = (await boss.get("/v1/teams/community/duty")).json()
        assert set(duty["agents"]) < {ann, bea}


async def test_what_cannot_be_applied_is_refused_and_leaves_nothing(floor: Floor) -> None:
    ann = await floor.add_agent("ann", team=None)
    async with person(floor, ann, role="manager") as boss, person(floor, ann) as reader:
        assert (await boss.post("/v1/structures/none", json={})).status_code == 404
        assert (await reader.post("/v1/structures/network", json={})).status_code == 403
        zone = await boss.post("/v1/structures/shifts", json={"zone": "Mars/Base"})
        assert (zone.status_code, zone.json()["errors"][0]["pointer"]) == (422, "#/zone")
        odd = await boss.post("/v1/structures/network", json={"members": {"tiktok": [ann]}})
        assert (odd.status_code, odd.json()["errors"][0]["pointer"]) == (422, "#/members/tiktok")
        assert (await boss.post("/v1/structures/network", json={"members": {"x": ["agt_none"]}})).status_code == 404
        assert {team["id"] for team in (await boss.get("/v1/teams")).json()["data"]} == {"care", "community", "product"}


def _of(applied: dict[str, Any], what: str) -> list[str]:
    return [step["change"] for step in applied["changes"] if step["what"] == what]
