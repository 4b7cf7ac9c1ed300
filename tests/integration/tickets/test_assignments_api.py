"""Assignments answer for the owner: who was chosen and why, and why nobody else was."""

from typing import Any

import httpx

from services.tickets.handlers import owning
from tests.support import shifts
from tests.support.floor import Floor, agent, message, routed
from tests.support.tickets_app import person


async def steps(client: httpx.AsyncClient, ticket_id: str) -> list[dict[str, Any]]:
    return (await client.get(f"/v1/tickets/{ticket_id}/assignments")).json()["data"]


def reasons(step: dict[str, Any]) -> dict[str, str | None]:
    return {one["name"]: one["reason"] for one in step["candidates"]}


async def test_everybody_who_was_not_chosen_is_named_with_the_reason(floor: Floor) -> None:
    ann, bea, cem = [await floor.add_agent(name) for name in ("ann", "bea", "cem")]
    await floor.add_agent("dan", availability="away")
    await floor.add_agent("eli", availability="offline")
    await floor.add_agent("fay", capacity=0)
    gil, hal = await floor.add_agent("gil"), await floor.add_agent("hal", team=None)
    await floor.rows("UPDATE platform.agent SET disabled_at = now() WHERE id = $1 RETURNING id", gil)
    await shifts.schedule(floor, on=[ann, bea])
    await floor.deliver(routed(message("m1", author="c1")))
    await floor.deliver(routed(message("m2", author="c2"), agent=hal))
    [first, second] = await floor.rows("SELECT id FROM tickets.ticket ORDER BY id")
    async with person(floor, ann) as client:
        [step] = await steps(client, first["id"])
        [other] = await steps(client, second["id"])
        whole = (await client.get(f"/v1/tickets/{first['id']}")).json()
    assert whole["assignment"] == step
    assert (step["agent"], step["agent_name"], step["strategy"], step["reason"]) == (ann, "Ann", "least-load", None)
    absent = {"Cem": "off-duty", "Dan": "away", "Eli": "offline", "Fay": "off-duty", "Gil": "disabled"}
    assert reasons(step) == {"Ann": None, "Bea": "shorter-wait", **absent}
    assert reasons(other) == {"Bea": None, "Ann": "more-load", **absent, "Hal": "not-in-team"}
    assert {one["agent"] for one in step["candidates"]} >= {ann, bea, cem, gil}


async def test_who_is_full_or_declined_or_was_not_asked_for_is_told_as_that(floor: Floor) -> None:
    await floor.add_team("vip", seconds=60)
    ann = await floor.add_agent("ann", team="vip")
    bea = await floor.add_agent("bea", team="vip")
    await floor.add_agent("cem", team="vip", capacity=0)
    await floor.deliver(routed(message(), team="vip", agent=bea))
    ticket = await floor.ticket()
    await floor.act(
        lambda tx: owning.decline(
            tx, floor.desk, agent(bea), ticket["id"], agent=bea, version=ticket["version"], reason="lunch"
        )
    )
    async with person(floor, ann) as client:
        offered, again = await steps(client, ticket["id"])
    assert (offered["state"], offered["strategy"], offered["reason"]) == ("declined", "preferred", "lunch")
    assert reasons(offered) == {"Bea": None, "Ann": "not-preferred", "Cem": "full"}
    assert reasons(again) == {"Ann": None, "Bea": "declined", "Cem": "full"}


async def test_a_team_that_stands_in_is_told_as_that(floor: Floor) -> None:
    await floor.add_team("night")
    await floor.add_agent("ann")
    bea = await floor.add_agent("bea", team="night")
    await shifts.schedule(floor, on=[], when_nobody="stand-in", stand_in="night")
    await floor.deliver(routed(message()), routed(message("m2", author="c2"), team="gone"))
    async with person(floor, bea) as client:
        found = [
            await steps(client, row["id"]) for row in await floor.rows("SELECT id FROM tickets.ticket ORDER BY id")
        ]
    assert [(step["team"], step["reason"]) for [step] in found] == [
        ("night", "stand-in-for-care"),
        ("community", "instead-of-gone"),
    ]


async def test_assignments_are_paged_and_belong_to_those_who_see_the_ticket(floor: Floor) -> None:
    ann, bea = await floor.add_agent("ann"), await floor.add_agent("bea")
    await floor.deliver(routed(message()))
    for _ in range(3):
        ticket = await floor.ticket()
        await floor.act(
            lambda tx, ticket=ticket: (
                owning.release(tx, floor.desk, agent(ticket["owner_id"]), ticket["id"], version=ticket["version"])
                if ticket["owner_id"]
                else owning.claim(tx, floor.desk, agent(ann), ticket["id"], agent=ann, version=ticket["version"])
            )
        )
    path = f"/v1/tickets/{ticket['id']}/assignments"
    async with person(floor, bea) as client, person(floor, bea, only=["product"]) as stranger:
        every = (await client.get(path)).json()["data"]
        paged, cursor = [], None
        while cursor is not None or not paged:
            page = (await client.get(path, params={"limit": 1, **({"cursor": cursor} if cursor else {})})).json()
            paged += page["data"]
            cursor = page["next_cursor"]
        assert (await stranger.get("/v1/tickets/tkt_none/assignments")).status_code == 404
    assert paged == every
    assert [step["created_at"] for step in every] == sorted(step["created_at"] for step in every)
    assert len(every) == 4


async def test_candidates_that_an_earlier_release_kept_are_read(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    await floor.deliver(routed(message()))
    kept = [{"agent": ann, "load": 0, "capacity": 50}, {"agent": "agt_bea", "load": 2, "capacity": 2, "reason": "full"}]
    await floor.rows("UPDATE tickets.assignment SET candidates = $1 RETURNING id", kept)
    async with person(floor, ann) as client:
        [step] = await steps(client, (await floor.ticket())["id"])
    assert reasons(step) == {"Ann": None, None: "full"}
