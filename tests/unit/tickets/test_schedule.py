"""A schedule that cannot be meant so is refused, each problem at its place."""

import pytest

from services.tickets.domain import schedule as schedules
from shared.errors import Invalid

DAY = {"name": "day", "start": "08:00", "end": "16:00"}
WEEK = {"since": "2026-11-23T00:00:00Z", "until": "2026-11-30T00:00:00Z"}


@pytest.mark.parametrize(
    ("parts", "pointer"),
    [
        ({"zone": "Mars/Base"}, "#/zone"),
        ({"zone": 7}, "#/zone"),
        ({"colour": "red"}, "#"),
        ({"holidays": {"country": "XX"}}, "#/holidays"),
        ({"shifts": [{**DAY, "start": "8:00"}]}, "#/shifts/0/start"),
        ({"shifts": [DAY, {**DAY, "rotation": "r"}]}, "#/shifts/1/rotation"),
        ({"shifts": [{**DAY, "days": []}]}, "#/shifts/0/days"),
        ({"shifts": [{**DAY, "first_day": "2026-11-02", "last_day": "2026-11-01"}]}, "#/shifts/0/last_day"),
        ({"shifts": [{**DAY, "place": 1}]}, "#/shifts/0/place"),
        ({"rotations": {"r": {"anchor": "2026-01-05"}}}, "#/rotations/r"),
        ({"rotations": {"r": {"anchor": "2026-02-30"}}}, "#/rotations"),
        ({"covers": [{**WEEK, "until": WEEK["since"], "by": "a"}]}, "#/covers/0/until"),
        ({"covers": [{**WEEK, "by": "a", "agent": "c"}, {**WEEK, "by": "b", "agent": "c"}]}, "#/covers/1/since"),
        ({"absences": [{**WEEK, "agent": "a", "since": "2026-11-23T00:00:00"}]}, "#/absences/0/since"),
        ({"when_nobody": "stand-in"}, "#/stand_in"),
        ({"stand_in": "agency"}, "#/stand_in"),
    ],
)
def test_what_is_wrong_is_named_at_its_place(parts: dict, pointer: str) -> None:
    with pytest.raises(Invalid) as refused:
        schedules.parse({"zone": "Europe/Berlin", **parts})
    assert [problem["pointer"] for problem in refused.value.fields["errors"]] == [pointer]


def test_a_shift_has_agents_or_a_rotation() -> None:
    both = {**DAY, "rotation": "r", "agents": ["a"]}
    with pytest.raises(Invalid, match="not valid"):
        schedules.parse({"zone": "UTC", "shifts": [both], "rotations": {"r": {"anchor": "2026-01-05"}}})


def test_agents_who_are_not_in_the_team_are_named_wherever_they_stand() -> None:
    schedule = schedules.parse(
        {
            "zone": "UTC",
            "shifts": [{**DAY, "agents": ["ann", "zoe"]}, {**DAY, "rotation": "r"}],
            "rotations": {"r": {"anchor": "2026-01-05", "agents": ["zoe"]}},
            "covers": [{**WEEK, "by": "zoe", "agent": "ann"}],
            "absences": [{**WEEK, "agent": "zoe"}],
        }
    )
    assert [problem["pointer"] for problem in schedules.strangers(schedule, {"ann"})] == [
        "#/shifts/0/agents/1",
        "#/rotations/r/agents/0",
        "#/covers/0/by",
        "#/absences/0/agent",
    ]


def test_a_schedule_reads_back_as_it_was_written() -> None:
    document = {"zone": "Europe/Berlin", "shifts": [DAY], "absences": [{**WEEK, "agent": "a"}], "handover": "next"}
    assert schedules.as_document(schedules.parse(document)) == document
