"""Schedules over HTTP, and what a change of duty does to queues and to open work, by the database's clock."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from services.tickets.handlers import duties, lease, owning, staffing
from services.tickets.handlers.duties import DUTY_TIMER
from services.tickets.handlers.owning import Target
from services.tickets.handlers.ticks import handlers, lock
from shared.db.timers import Timers
from shared.db.transaction import Workspace
from tests.support.answers import Answers
from tests.support.floor import HOME, Floor, agent, at_once, message, routed
from tests.support.tickets_app import person

PATH = "/v1/teams/care/schedule"
NEVER = {"name": "never", "start": "08:00", "end": "16:00", "days": ["mon"], "agents": []}


async def test_a_schedule_is_kept_replaced_by_version_and_forgotten(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    day = {"zone": "Europe/Berlin", "shifts": [{"name": "day", "start": "08:00", "end": "16:00", "agents": [ann]}]}
    async with person(floor, ann, role="manager") as boss, person(floor, ann) as reader:
        assert (await reader.get(PATH)).status_code == 404
        assert (await reader.put(PATH, json=day)).status_code == 403
        assert (await boss.put("/v1/teams/none/schedule", json=day)).status_code == 404
        first = await boss.put(PATH, json=day)
        assert (first.status_code, first.json(), first.headers["ETag"]) == (200, day, '"1"')
        assert (await boss.put(PATH, json=day)).status_code == 428
        assert (await boss.put(PATH, json=day, headers={"If-Match": '"7"'})).status_code == 412
        second = await boss.put(PATH, json=day | {"handover": "next"}, headers={"If-Match": '"1"'})
        assert (second.status_code, second.headers["ETag"]) == (200, '"2"')
        shown = await reader.get(PATH)
        assert (shown.json()["handover"], shown.headers["ETag"]) == ("next", '"2"')
        assert (await boss.delete(PATH, headers={"If-Match": '"1"'})).status_code == 412
        assert (await boss.delete(PATH, headers={"If-Match": '"2"'})).status_code == 204
        assert (await reader.get(PATH)).status_code == 404


async def test_what_is_wrong_in_a_schedule_is_named_at_its_place(floor: Floor) -> None:
    ann, eve = await floor.add_agent("ann"), await floor.add_agent("eve", team=None)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"zone": "Mars/Base"}, "#/zone"),
        ({"zone": "UTC", "shifts": [{**NEVER, "agents": [ann, eve]}]}, "#/shifts/0/agents/1"),
        ({"zone": "UTC", "when_nobody": "stand-in", "stand_in": "none"}, "#/stand_in"),
        ({"zone": "UTC", "when_nobody": "stand-in", "stand_in": "care"}, "#/stand_in"),
    ]
    async with person(floor, ann, role="manager") as boss:
        for document, pointer in wrong:
            refused = await boss.put(PATH, json=document)
            assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_duty_is_told_for_any_instant(floor: Floor) -> None:
    ann, bea = await floor.add_agent("ann"), await floor.add_agent("bea")
    night = {"name": "night", "start": "22:00", "end": "06:00", "agents": [bea]}
    async with person(floor, ann, role="manager") as boss:
        everybody = (await boss.get("/v1/teams/care/duty")).json()
        assert (everybody["agents"], everybody["until"]) == ([ann, bea], None)
        await boss.put(PATH, json={"zone": "Europe/Berlin", "shifts": [night], "when_nobody": "members"})
        asked = await boss.get("/v1/teams/care/duty", params={"at": "2026-03-29T03:59:00Z"})
        told = asked.json()
        assert (told["agents"], told["scheduled"], told["until"]) == ([bea], [bea], "2026-03-29T04:00:00Z")
        nobody = (await boss.get("/v1/teams/care/duty", params={"at": "2026-03-29T04:00:00Z"})).json()
        assert (nobody["agents"], nobody["scheduled"]) == ([ann, bea], [])
        assert (await boss.get("/v1/teams/care/duty", params={"at": "0001-01-01T00:00:00Z"})).status_code == 400
        assert (await boss.get("/v1/teams/none/duty")).status_code == 404


async def test_absences_come_from_a_calendar_file_and_duty_goes_out_as_one(floor: Floor) -> None:
    ann, bea = await floor.add_agent("ann"), await floor.add_agent("bea")
    now = floor.database.clock.now()
    stamps = [(now + timedelta(days=days)).strftime("%Y%m%dT%H%M%SZ") for days in (-1, 1)]
    event = ["BEGIN:VEVENT", f"DTSTART:{stamps[0]}", f"DTEND:{stamps[1]}"]
    away = "\r\n".join(
        [
            "BEGIN:VCALENDAR",
            *event,
            "UID:1",
            "SUMMARY:ann",
            "END:VEVENT",
            *event,
            "UID:2",
            "SUMMARY:Zoe",
            "END:VEVENT",
            "END:VCALENDAR",
        ]
    )
    none = "BEGIN:VCALENDAR\r\nEND:VCALENDAR"
    path = f"{PATH}/imports/holidays?as=absences"
    async with person(floor, ann, role="manager") as boss:
        assert (await boss.put(path, content=away)).status_code == 404
        await boss.put(PATH, json={"zone": "UTC", "shifts": [{"name": "always", "start": "00:00", "end": "24:00"}]})
        taken = await boss.put(path, content=away)
        assert (taken.status_code, taken.json()["taken"], taken.headers["ETag"]) == (200, 1, '"2"')
        assert [one["uid"] for one in taken.json()["skipped"]] == ["2"]
        assert (await boss.put(path, content=away)).json()["version"] == 2
        assert (await boss.get("/v1/teams/care/duty")).json()["agents"] == [bea]
        written = await boss.get(f"{PATH}.ics", params={"agent": bea, "days": 3})
        assert written.headers["content-type"].startswith("text/calendar")
        assert written.text.count("SUMMARY:Bea") == 1
        assert (await boss.put(path, content=none)).json()["version"] == 3
        assert (await boss.get("/v1/teams/care/duty")).json()["agents"] == [ann, bea]
        cover = await boss.put(f"{PATH}/imports/oncall?as=covers&agent={bea}", content=away)
        assert (cover.json()["taken"], cover.json()["skipped"]) == (2, [])
        assert (await boss.put(f"{PATH}/imports/oncall?as=covers&agent=agt_none", content=away)).status_code == 404
        assert (await boss.put(f"{PATH}/imports/oncall?as=wishes", content=away)).status_code == 400
        assert (await boss.put(path, content="hello")).status_code == 422
        assert (await boss.put(path, content="x" * 300_000)).status_code == 413


async def test_only_those_on_duty_are_given_work_and_the_others_are_named(floor: Floor) -> None:
    ann, bea = await floor.add_agent("ann"), await floor.add_agent("bea")
    await _schedule(floor, on=[bea])
    await floor.deliver(routed(message("m1")), routed(message("m2", author="c2")))
    assert [row["owner_id"] for row in await floor.rows("SELECT owner_id FROM tickets.ticket")] == [bea, bea]
    [step, _] = await floor.rows("SELECT candidates FROM tickets.assignment")
    assert {one["agent"]: one.get("reason") for one in step["candidates"]} == {bea: None, ann: "off-duty"}
    await floor.check_books()


async def test_at_a_change_of_duty_the_queue_is_shared_out_to_those_who_come(floor: Floor) -> None:
    ann, bea, cem = [await floor.add_agent(name) for name in ("ann", "bea", "cem")]
    await _schedule(floor, on=[])
    await floor.deliver(*[routed(message(f"m{number}", author=f"c{number}")) for number in range(4)])
    assert {row["owner_id"] for row in await floor.rows("SELECT owner_id FROM tickets.ticket")} == {None}
    await _reschedule(floor, on=[ann, bea])
    assert await _tick(floor) == 1
    owners = [row["owner_id"] for row in await floor.rows("SELECT owner_id FROM tickets.ticket ORDER BY owner_id")]
    assert owners == [ann, ann, bea, bea]
    [timer] = await floor.rows("SELECT * FROM tickets.timer WHERE kind = $1", DUTY_TIMER)
    assert timedelta(0) < timer["due_at"] - floor.database.clock.now() <= timedelta(days=1)
    assert cem not in owners
    await floor.check_books()


async def test_open_work_goes_to_those_who_come_but_never_while_it_is_being_answered(floor: Floor) -> None:
    ann, bea = await floor.add_agent("ann"), await floor.add_agent("bea")
    await _schedule(floor, on=[ann], handover="team")
    await floor.deliver(routed(message("m1")), routed(message("m2", author="c2")))
    first, second = await floor.rows("SELECT id FROM tickets.ticket ORDER BY id")
    await floor.act(lambda tx: lease.acquire(tx, floor.desk, agent(ann), first["id"], session=None))
    await _reschedule(floor, on=[bea])
    await _tick(floor)
    await _tick(floor)
    assert await _owners(floor) == {first["id"]: ann, second["id"]: bea}
    [line] = await floor.rows("SELECT data, actor FROM tickets.entry WHERE kind = 'transferred'")
    assert (line["data"]["reason"], line["actor"]["kind"]) == ("shift-ended", "system")
    await floor.rows("UPDATE tickets.lease SET expires_at = now() - interval '1 second'")
    await _hurry(floor)
    assert await _owners(floor) == {first["id"]: bea, second["id"]: bea}
    await floor.check_books()


async def test_open_work_stays_while_an_answer_is_on_its_way(floor: Floor) -> None:
    ann, bea = await floor.add_agent("ann"), await floor.add_agent("bea")
    await _schedule(floor, on=[ann], handover="team")
    answers = await Answers(floor).open()
    queued = await answers.write(agent(ann))
    await answers.release(agent(ann))
    await _reschedule(floor, on=[bea])
    await _hurry(floor)
    await _hurry(floor)
    assert list((await _owners(floor)).values()) == [ann]
    await answers.sent(queued["id"])
    await _hurry(floor)
    assert list((await _owners(floor)).values()) == [bea]
    await floor.check_books()


async def test_what_is_kept_for_the_next_shift_stays_until_there_is_one(floor: Floor) -> None:
    ann, bea = await floor.add_agent("ann"), await floor.add_agent("bea")
    await _schedule(floor, on=[ann], handover="next")
    await floor.deliver(routed(message()))
    await _reschedule(floor, on=[], handover="next")
    await _hurry(floor)
    assert list((await _owners(floor)).values()) == [ann]
    await _reschedule(floor, on=[bea], handover="next")
    await _hurry(floor)
    await _hurry(floor)
    assert list((await _owners(floor)).values()) == [bea]
    await floor.check_books()


async def test_an_owner_keeps_open_work_unless_the_schedule_says_otherwise(floor: Floor) -> None:
    ann, bea = await floor.add_agent("ann"), await floor.add_agent("bea")
    await _schedule(floor, on=[ann])
    await floor.deliver(routed(message()))
    await _reschedule(floor, on=[bea])
    await _hurry(floor)
    assert list((await _owners(floor)).values()) == [ann]
    assert await floor.rows("SELECT 1 FROM tickets.timer WHERE kind = 'handover'") == []


async def test_messages_that_come_at_the_moment_of_a_change_are_not_left_in_the_queue(wide_floor: Floor) -> None:
    floor = wide_floor
    ann = await floor.add_agent("ann")
    await _schedule(floor, on=[])
    await _reschedule(floor, on=[ann])
    arriving = [routed(message(f"m{number}", author=f"c{number}")) for number in range(12)]
    await at_once([lambda: _tick(floor), *[partial(floor.deliver, event) for event in arriving]])
    # What was locked at that moment is looked at again soon, not only at the next change.
    soon = "UPDATE tickets.timer SET due_at = now() WHERE kind = $1 AND due_at < now() + interval '2 seconds'"
    await floor.rows(soon, DUTY_TIMER)
    await _tick(floor)
    assert set((await _owners(floor)).values()) == {ann}
    await floor.check_books()


async def test_another_team_stands_in_and_the_timeline_says_for_whom(floor: Floor) -> None:
    await floor.add_agent("ann")
    zoe = await floor.add_agent("zoe", team="product")
    await _schedule(floor, on=[], when_nobody="stand-in", stand_in="product")
    await floor.deliver(routed(message("m1")), routed(message("m2"), team="community"))
    ticket = await floor.ticket()
    assert (ticket["team_id"], ticket["owner_id"]) == ("product", zoe)
    lines = await floor.rows("SELECT data FROM tickets.entry WHERE kind = 'message' ORDER BY seq")
    assert [line["data"] for line in lines] == [{"instead_of": "care"}, {}]


async def test_whoever_joins_a_team_is_on_duty_only_if_its_schedule_says_so(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    bea = await floor.add_agent("bea", team=None)
    await _schedule(floor, on=[ann])
    boss = agent(ann, role="manager")
    await floor.act(lambda tx: staffing.join(tx, floor.desk, boss, "care", bea))
    await _tick(floor)
    rows = await floor.rows("SELECT agent_id, on_duty FROM platform.team_member WHERE team_id = 'care'")
    assert {row["agent_id"]: row["on_duty"] for row in rows} == {ann: True, bea: False}
    async with person(floor, ann) as reader:
        [one, other] = (await reader.get("/v1/agents?team=care")).json()["data"]
        assert (one["on_duty"], other["on_duty"], other["teams"]) == (["care"], [], ["care"])


async def test_a_turn_passes_over_who_is_disabled_and_bots_need_no_schedule(floor: Floor) -> None:
    ann, bea = await floor.add_agent("ann"), await floor.add_agent("bea")
    boss = agent(ann, role="manager")
    bot = await floor.act(
        lambda tx: staffing.hire(tx, floor.desk, boss, places=["care"], role="bot", name="Echo", kind="bot")
    )
    always = {"name": "turn", "start": "00:00", "end": "24:00", "rotation": "r"}
    turns = {
        "zone": "UTC",
        "shifts": [always],
        "rotations": {"r": {"anchor": "2026-01-05", "days": 1, "agents": [ann, bea]}},
    }
    await floor.act(lambda tx: duties.put(tx, floor.desk, boss, "care", version=None, document=turns))
    [whose] = await _on_duty(floor) - {bot.id}
    gone = {"disabled": True}
    await floor.act(lambda tx: staffing.amend(tx, floor.desk, boss, whose, version=None, fields=gone))
    await _hurry(floor)
    assert await _on_duty(floor) == {bot.id, *{ann, bea} - {whose}}
    named = turns | {"rotations": {"r": {"anchor": "2026-01-05", "agents": [bot.id]}}}
    refused = await floor.attempt(lambda tx: duties.put(tx, floor.desk, boss, "care", version=1, document=named))
    assert [one["pointer"] for one in refused.fields["errors"]] == ["#/rotations/r/agents/0"]


async def test_nobody_is_handed_work_by_others_while_off_duty(floor: Floor) -> None:
    ann, bea = await floor.add_agent("ann"), await floor.add_agent("bea")
    await _schedule(floor, on=[ann])
    await floor.deliver(routed(message()))
    ticket = await floor.ticket()
    target = Target(agent=bea, reason="knows it")
    refused = await floor.attempt(
        lambda tx: owning.transfer(tx, floor.desk, agent(ann), ticket["id"], version=ticket["version"], target=target)
    )
    assert (refused.code, refused.fields) == ("agent-absent", {"availability": "off-duty"})


async def test_without_a_schedule_everybody_is_on_duty_again(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    await _schedule(floor, on=[])
    await floor.deliver(routed(message()))
    async with person(floor, ann, role="manager") as boss:
        assert (await boss.delete(PATH, headers={"If-Match": '"1"'})).status_code == 204
    assert list((await _owners(floor)).values()) == [ann]


async def _schedule(floor: Floor, *, on: list[str], **parts: Any) -> None:
    document = _document(floor.database.clock.now(), on, **parts)
    boss = agent("boss", role="manager")
    await floor.act(lambda tx: duties.put(tx, floor.desk, boss, "care", version=None, document=document))


async def _reschedule(floor: Floor, *, on: list[str], **parts: Any) -> None:
    """As if its time had come: another crew, and the timer that notices is due."""
    async with floor.database.transaction(Workspace(HOME)) as tx:
        await tx.execute(
            "UPDATE platform.schedule SET document = document || $1", _document(floor.database.clock.now(), on, **parts)
        )
    await floor.rows("UPDATE tickets.timer SET due_at = now() WHERE kind = $1", DUTY_TIMER)


def _document(now: datetime, on: list[str], **parts: Any) -> dict[str, Any]:
    span = {name: (now + timedelta(hours=hours)).isoformat() for name, hours in (("since", -1), ("until", 1))}
    return {"zone": "UTC", "covers": [{"by": one, **span} for one in on], **parts}


async def _hurry(floor: Floor) -> None:
    await floor.rows("UPDATE tickets.timer SET due_at = now() WHERE kind IN ('duty', 'handover')")
    await _tick(floor)
    await _tick(floor)


async def _tick(floor: Floor) -> int:
    return await Timers(floor.database, "tickets", handlers(floor.desk), lock=lock).step()


async def _on_duty(floor: Floor) -> set[str]:
    rows = await floor.rows("SELECT agent_id FROM platform.team_member WHERE team_id = 'care' AND on_duty")
    return {row["agent_id"] for row in rows}


async def _owners(floor: Floor) -> dict[str, str | None]:
    return {row["id"]: row["owner_id"] for row in await floor.rows("SELECT id, owner_id FROM tickets.ticket")}
