"""Schedules over HTTP, and what a change of duty does to queues and to open work, by the database's clock."""

from datetime import timedelta
from typing import Any

from services.tickets.handlers import duties, lease, owning, staffing
from services.tickets.handlers.duties import DUTY_TIMER
from services.tickets.handlers.owning import Target
from shared.events.duties import AvailabilityChanged, DutyChanged
from tests.support import shifts
from tests.support.answers import Answers
from tests.support.floor import HOME, Floor, agent, message, routed
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
    await shifts.schedule(floor, on=[bea])
    await floor.deliver(routed(message("m1")), routed(message("m2", author="c2")))
    assert [row["owner_id"] for row in await floor.rows("SELECT owner_id FROM tickets.ticket")] == [bea, bea]
    [step, _] = await floor.rows("SELECT candidates FROM tickets.assignment")
    assert step["candidates"] == [f"0/50//{bea}", f"0/50/off-duty/{ann}"]
    await floor.check_books()


async def test_at_a_change_of_duty_the_queue_is_shared_out_to_those_who_come(floor: Floor) -> None:
    ann, bea, cem = [await floor.add_agent(name) for name in ("ann", "bea", "cem")]
    await shifts.schedule(floor, on=[])
    await floor.deliver(*[routed(message(f"m{number}", author=f"c{number}")) for number in range(4)])
    assert {row["owner_id"] for row in await floor.rows("SELECT owner_id FROM tickets.ticket")} == {None}
    await shifts.reschedule(floor, on=[ann, bea])
    assert await shifts.tick(floor) == 1
    owners = [row["owner_id"] for row in await floor.rows("SELECT owner_id FROM tickets.ticket ORDER BY owner_id")]
    assert owners == [ann, ann, bea, bea]
    [timer] = await floor.rows("SELECT * FROM tickets.timer WHERE kind = $1", DUTY_TIMER)
    assert timedelta(0) < timer["due_at"] - floor.database.clock.now() <= timedelta(days=1)
    assert cem not in owners
    await floor.check_books()


async def test_open_work_goes_to_those_who_come_but_never_while_it_is_being_answered(floor: Floor) -> None:
    ann, bea = await floor.add_agent("ann"), await floor.add_agent("bea")
    await shifts.schedule(floor, on=[ann], handover="team")
    await floor.deliver(routed(message("m1")), routed(message("m2", author="c2")))
    first, second = await floor.rows("SELECT id FROM tickets.ticket ORDER BY id")
    await floor.act(lambda tx: lease.acquire(tx, floor.desk, agent(ann), first["id"], session=None))
    await shifts.reschedule(floor, on=[bea])
    await shifts.tick(floor)
    await shifts.tick(floor)
    assert await shifts.owners(floor) == {first["id"]: ann, second["id"]: bea}
    [line] = await floor.rows("SELECT data, actor FROM tickets.entry WHERE kind = 'transferred'")
    assert (line["data"]["reason"], line["actor"]["kind"]) == ("shift-ended", "system")
    await floor.rows("UPDATE tickets.lease SET expires_at = now() - interval '1 second'")
    await shifts.hurry(floor)
    assert await shifts.owners(floor) == {first["id"]: bea, second["id"]: bea}
    await floor.check_books()


async def test_open_work_stays_while_an_answer_is_on_its_way(floor: Floor) -> None:
    ann, bea = await floor.add_agent("ann"), await floor.add_agent("bea")
    await shifts.schedule(floor, on=[ann], handover="team")
    answers = await Answers(floor).open()
    queued = await answers.write(agent(ann))
    await answers.release(agent(ann))
    await shifts.reschedule(floor, on=[bea])
    await shifts.hurry(floor)
    await shifts.hurry(floor)
    assert list((await shifts.owners(floor)).values()) == [ann]
    await answers.sent(queued["id"])
    await shifts.hurry(floor)
    assert list((await shifts.owners(floor)).values()) == [bea]
    await floor.check_books()


async def test_what_is_kept_for_the_next_shift_stays_until_there_is_one(floor: Floor) -> None:
    ann, bea = await floor.add_agent("ann"), await floor.add_agent("bea")
    await shifts.schedule(floor, on=[ann], handover="next")
    await floor.deliver(routed(message()))
    await shifts.reschedule(floor, on=[], handover="next")
    await shifts.hurry(floor)
    assert list((await shifts.owners(floor)).values()) == [ann]
    await shifts.reschedule(floor, on=[bea], handover="next")
    await shifts.hurry(floor)
    await shifts.hurry(floor)
    assert list((await shifts.owners(floor)).values()) == [bea]
    await floor.check_books()


async def test_an_owner_keeps_open_work_unless_the_schedule_says_otherwise(floor: Floor) -> None:
    ann, bea = await floor.add_agent("ann"), await floor.add_agent("bea")
    await shifts.schedule(floor, on=[ann])
    await floor.deliver(routed(message()))
    await shifts.reschedule(floor, on=[bea])
    await shifts.hurry(floor)
    assert list((await shifts.owners(floor)).values()) == [ann]
    assert await floor.rows("SELECT 1 FROM tickets.timer WHERE kind = 'handover'") == []


async def test_another_team_stands_in_and_the_timeline_says_for_whom(floor: Floor) -> None:
    await floor.add_agent("ann")
    zoe = await floor.add_agent("zoe", team="product")
    await shifts.schedule(floor, on=[], when_nobody="stand-in", stand_in="product")
    await floor.deliver(routed(message("m1")), routed(message("m2"), team="community"))
    ticket = await floor.ticket()
    assert (ticket["team_id"], ticket["owner_id"]) == ("product", zoe)
    lines = await floor.rows("SELECT data FROM tickets.entry WHERE kind = 'message' ORDER BY seq")
    assert [line["data"] for line in lines] == [{"instead_of": "care"}, {}]


async def test_whoever_joins_a_team_is_on_duty_only_if_its_schedule_says_so(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    bea = await floor.add_agent("bea", team=None)
    await shifts.schedule(floor, on=[ann])
    boss = agent(ann, role="manager")
    await floor.act(lambda tx: staffing.join(tx, floor.desk, boss, "care", bea))
    await shifts.tick(floor)
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
    await floor.act(lambda tx: duties.put(tx, floor.desk, HOME, "care", version=None, document=turns))
    [whose] = await shifts.on_duty(floor) - {bot.id}
    gone = {"disabled": True}
    await floor.act(lambda tx: staffing.amend(tx, floor.desk, boss, whose, version=None, fields=gone))
    await shifts.hurry(floor)
    assert await shifts.on_duty(floor) == {bot.id, *{ann, bea} - {whose}}
    named = turns | {"rotations": {"r": {"anchor": "2026-01-05", "agents": [bot.id]}}}
    refused = await floor.attempt(lambda tx: duties.put(tx, floor.desk, HOME, "care", version=1, document=named))
    assert [one["pointer"] for one in refused.fields["errors"]] == ["#/rotations/r/agents/0"]


async def test_nobody_is_handed_work_by_others_while_off_duty(floor: Floor) -> None:
    ann, bea = await floor.add_agent("ann"), await floor.add_agent("bea")
    await shifts.schedule(floor, on=[ann])
    await floor.deliver(routed(message()))
    ticket = await floor.ticket()
    target = Target(agent=bea, reason="knows it")
    refused = await floor.attempt(
        lambda tx: owning.transfer(tx, floor.desk, agent(ann), ticket["id"], version=ticket["version"], target=target)
    )
    assert (refused.code, refused.fields) == ("agent-absent", {"availability": "off-duty"})


async def test_without_a_schedule_everybody_is_on_duty_again(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    await shifts.schedule(floor, on=[])
    await floor.deliver(routed(message()))
    async with person(floor, ann, role="manager") as boss:
        assert (await boss.delete(PATH, headers={"If-Match": '"1"'})).status_code == 204
    assert list((await shifts.owners(floor)).values()) == [ann]


async def test_a_change_of_duty_is_told_once_with_who_came_and_who_went(floor: Floor) -> None:
    ann, bea = await floor.add_agent("ann"), await floor.add_agent("bea")
    await shifts.schedule(floor, on=[ann])
    await shifts.reschedule(floor, on=[bea])
    await shifts.hurry(floor)
    await shifts.reschedule(floor, on=[])
    await shifts.hurry(floor)
    told = [event.data for event in await floor.events() if isinstance(event.data, DutyChanged)]
    assert [(one.team, one.came, one.went, one.on_duty) for one in told] == [
        ("care", (), (bea,), 1),
        ("care", (bea,), (ann,), 1),
        ("care", (), (bea,), 0),
    ]
    assert await floor.told() == ["duty.changed.v1"] * 3


async def test_bots_are_always_on_duty_and_not_told_of(floor: Floor) -> None:
    ann, bot = await floor.add_agent("ann"), await floor.add_agent("bot")
    await floor.rows("UPDATE platform.agent SET kind = 'bot' WHERE id = $1", bot)
    await shifts.schedule(floor, on=[])
    [told] = [event.data for event in await floor.events() if isinstance(event.data, DutyChanged)]
    assert (told.went, told.on_duty) == ((ann,), 0)


async def test_who_becomes_available_or_away_is_told_once(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    async with person(floor, ann) as self:
        for availability in ("away", "away", "available"):
            answer = await self.put(f"/v1/agents/{ann}/availability", json={"availability": availability})
            assert answer.status_code == 200, answer.text
    told = [event.data for event in await floor.events() if isinstance(event.data, AvailabilityChanged)]
    assert [(one.agent, one.before, one.availability, one.actor.id) for one in told] == [
        (ann, "available", "away", ann),
        (ann, "away", "available", ann),
    ]
