"""Who is on duty: by the wall clock of a zone, through nights, changes of the clock, rotations, covers and absences."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tickets.domain import schedule as schedules
from services.tickets.domain.duty import Duty, instant

BERLIN = ZoneInfo("Europe/Berlin")
CREW = ("ann", "bea", "cem", "dan", "eve")
NIGHTS = {"name": "nights", "start": "22:00", "end": "06:00", "agents": ["ann"]}
THIRDS = {
    "zone": "Europe/Berlin",
    "rotations": {"thirds": {"anchor": "2026-01-05", "groups": 3}},
    "shifts": [
        {"name": name, "start": start, "end": end, "rotation": "thirds", "place": place}
        for place, (name, start, end) in enumerate(
            [("early", "06:00", "14:00"), ("late", "14:00", "22:00"), ("night", "22:00", "06:00")]
        )
    ],
}


YEARS = datetime.fromisoformat("2026-01-01"), datetime.fromisoformat("2028-01-01")
WEEKS = datetime.fromisoformat("2026-10-19"), datetime.fromisoformat("2026-11-02")
"""With the end of summer time in Berlin and in New York."""


def duty(*shifts, crew=CREW, zone="Europe/Berlin", **parts) -> Duty:
    return Duty(schedules.parse({"zone": zone, "shifts": list(shifts), **parts}), crew)


def rotating(crew=CREW, **parts) -> Duty:
    return Duty(schedules.parse(THIRDS | parts), crew)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("when", "works"),
    [
        ("2026-11-23T21:59:59+01:00", ""),
        ("2026-11-23T22:00:00+01:00", "ann"),
        ("2026-11-24T05:59:59+01:00", "ann"),
        ("2026-11-24T06:00:00+01:00", ""),
        ("2026-11-23T22:30:00-05:00", "ann"),  # 4:30 in Berlin
        ("2026-06-23T20:00:00+00:00", "ann"),  # 22:00 in summer
        ("2026-06-23T19:59:00+00:00", ""),
    ],
)
def test_a_shift_goes_on_through_the_night_by_the_clock_of_its_zone(when: str, works: str) -> None:
    assert duty(NIGHTS).on_duty(at(when)) == set(works.split())


def test_a_shift_is_worked_on_the_days_on_which_it_begins() -> None:
    friday = duty({**NIGHTS, "days": ["fri"]})
    assert friday.on_duty(at("2026-11-28T05:00:00+01:00")) == {"ann"}
    assert friday.on_duty(at("2026-11-28T23:00:00+01:00")) == set()


def test_without_agents_every_member_works() -> None:
    assert duty({"name": "day", "start": "00:00", "end": "24:00"}).on_duty(at("2026-11-28T23:59:00Z")) == set(CREW)


def test_whoever_left_the_team_is_not_on_duty() -> None:
    assert duty(NIGHTS, crew=("bea",)).on_duty(at("2026-11-24T01:00:00+01:00")) == set()


@pytest.mark.parametrize(
    ("begins", "ends", "hours"),
    [
        ("2026-03-28T21:00:00+00:00", "2026-03-29T04:00:00+00:00", 7),  # the night that lacks an hour
        ("2026-10-24T20:00:00+00:00", "2026-10-25T05:00:00+00:00", 9),  # the one that has one more
        ("2026-11-24T21:00:00+00:00", "2026-11-25T05:00:00+00:00", 8),
    ],
)
def test_a_night_is_as_long_as_clocks_make_it(begins: str, ends: str, hours: int) -> None:
    found = duty(NIGHTS).changes(at(begins) - timedelta(hours=1), at(ends) + timedelta(hours=1))
    assert found == [at(begins), at(ends)]
    assert found[1] - found[0] == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("wall", "truth"),
    [
        ("2026-03-29T02:30:00", "2026-03-29T01:00:00+00:00"),  # skipped: the moment of the jump
        ("2026-03-29T03:00:00", "2026-03-29T01:00:00+00:00"),
        ("2026-03-29T01:59:59", "2026-03-29T00:59:59+00:00"),
        ("2026-10-25T02:30:00", "2026-10-25T00:30:00+00:00"),  # comes twice: the first
        ("2026-10-25T03:00:00", "2026-10-25T02:00:00+00:00"),
    ],
)
def test_times_that_clocks_skip_or_show_twice_have_one_instant(wall: str, truth: str) -> None:
    assert instant(BERLIN, datetime.fromisoformat(wall)) == at(truth)


def test_a_day_that_a_zone_skipped_whole_has_one_instant_too() -> None:
    assert instant(ZoneInfo("Pacific/Apia"), at("2011-12-30T12:00:00")) == datetime(2011, 12, 30, 10, tzinfo=UTC)


@given(
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]),
    walls=st.lists(st.datetimes(*YEARS), min_size=2, max_size=2),
)
def test_a_later_time_on_the_wall_is_never_an_earlier_instant(zone: str, walls: list[datetime]) -> None:
    first, second = (instant(ZoneInfo(zone), wall.replace(microsecond=0)) for wall in sorted(walls))
    assert first <= second


@given(
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]),
    when=st.datetimes(*YEARS, timezones=st.just(UTC)),
)
def test_shifts_that_meet_on_the_wall_leave_no_gap_and_never_overlap(zone: str, when: datetime) -> None:
    assert len(rotating(("ann", "bea", "cem"), zone=zone).on_duty(when)) == 1


def test_groups_take_turns_and_a_turn_changes_with_its_first_shift() -> None:
    one_each = rotating(("ann", "bea", "cem"))
    monday = at("2026-01-05T07:00:00+01:00")
    assert [one_each.on_duty(monday + timedelta(weeks=week)) for week in range(4)] == [
        {"ann"},
        {"bea"},
        {"cem"},
        {"ann"},
    ]
    assert one_each.on_duty(monday - timedelta(weeks=1)) == {"cem"}
    # Sunday's night belongs to Sunday's turn.
    assert one_each.on_duty(at("2026-01-12T05:59:00+01:00")) == {"cem"}
    assert one_each.on_duty(at("2026-01-12T06:00:00+01:00")) == {"bea"}


def test_members_are_dealt_out_to_groups() -> None:
    day = [rotating().on_duty(at(f"2026-01-05T{hour}:00:00+01:00")) for hour in ("07", "15", "23")]
    assert day == [{"ann", "dan"}, {"bea", "eve"}, {"cem"}]


@pytest.mark.parametrize("crew", [("ann",), ("ann", "bea")])
def test_too_few_for_all_groups_still_leave_no_gap(crew: tuple[str, ...]) -> None:
    start = at("2026-01-05T00:00:00+01:00")
    assert all(rotating(crew).on_duty(start + timedelta(hours=hour)) for hour in range(24 * 22))


def test_an_absence_does_not_break_a_rotation() -> None:
    away = {"agent": "ann", "since": "2026-01-05T10:00:00+01:00", "until": "2026-01-06T00:00:00+01:00"}
    found = rotating(("ann", "bea", "cem"), absences=[away])
    hours = ("09", "11")
    assert [found.on_duty(at(f"2026-01-05T{hour}:00:00+01:00")) for hour in hours] == [{"ann"}, {"bea"}]


def test_a_cover_works_instead_of_somebody_or_in_addition() -> None:
    night = {"since": "2026-11-23T22:00:00+01:00", "until": "2026-11-24T06:00:00+01:00"}
    instead = duty(NIGHTS, covers=[{**night, "by": "bea", "agent": "ann"}])
    more = duty(NIGHTS, covers=[{**night, "by": "bea"}])
    for when, swapped, added in (
        ("2026-11-24T00:00:00+01:00", {"bea"}, {"ann", "bea"}),
        ("2026-11-25T00:00:00+01:00", {"ann"}, {"ann"}),
    ):
        assert (instead.on_duty(at(when)), more.on_duty(at(when))) == (swapped, added)


def test_whoever_covers_an_absent_one_works_and_an_absent_cover_does_not() -> None:
    when = {"since": "2026-11-23T00:00:00Z", "until": "2026-11-25T00:00:00Z"}
    covered = duty(NIGHTS, covers=[{**when, "by": "bea", "agent": "ann"}], absences=[{**when, "agent": "ann"}])
    gone = duty(NIGHTS, covers=[{**when, "by": "bea", "agent": "ann"}], absences=[{**when, "agent": "bea"}])
    night = at("2026-11-24T00:00:00Z")
    assert (covered.on_duty(night), gone.on_duty(night)) == ({"bea"}, set())


def test_plans_change_by_date() -> None:
    day = {"start": "08:00", "end": "16:00"}
    old = {**day, "name": "old", "agents": ["ann"], "last_day": "2026-11-30"}
    new = {**day, "name": "new", "agents": ["bea"], "first_day": "2026-12-01"}
    noons = [at(f"2026-{noon}T12:00:00+01:00") for noon in ("11-30", "12-01")]
    assert [duty(old, new).on_duty(noon) for noon in noons] == [{"ann"}, {"bea"}]


def test_on_holidays_only_shifts_that_say_so_take_place() -> None:
    day = {"name": "day", "start": "08:00", "end": "16:00", "agents": ["ann"]}
    christmas = at("2026-12-25T12:00:00+01:00")
    assert duty(day, holidays={"country": "DE"}).on_duty(christmas) == set()
    assert duty({**day, "holidays": True}, holidays={"country": "DE"}).on_duty(christmas) == {"ann"}


def test_while_nobody_is_on_duty_the_policy_says_who_takes_work() -> None:
    noon = at("2026-11-24T12:00:00+01:00")
    away = {"agent": "bea", "since": "2026-11-24T00:00:00Z", "until": "2026-11-25T00:00:00Z"}
    others = duty(NIGHTS, when_nobody="members", absences=[away])
    moved = duty(NIGHTS, when_nobody="stand-in", stand_in="agency")
    assert (duty(NIGHTS).on_duty(noon), others.on_duty(noon)) == (set(), {"ann", "cem", "dan", "eve"})
    assert [moved.stand_in(when) for when in (noon, at("2026-11-24T23:00:00+01:00"))] == ["agency", None]


@st.composite
def plans(draw: st.DrawFn) -> Duty:
    clock = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
    moments = st.datetimes(*WEEKS, timezones=st.just(UTC))
    spans = st.tuples(moments, st.timedeltas(timedelta(minutes=1), timedelta(days=4)))
    shifts = st.fixed_dictionaries(
        {
            "name": st.just("s"),
            "start": clock,
            "end": clock,
            "days": st.lists(st.sampled_from(["mon", "sat", "sun"]), min_size=1),
        },
        optional={"holidays": st.booleans()},
    )
    who = st.one_of(
        st.fixed_dictionaries({"agents": st.lists(st.sampled_from(CREW), max_size=2)}),
        st.fixed_dictionaries({"rotation": st.just("r"), "place": st.integers(0, 4)}),
    )
    parts = [draw(shifts) | draw(who) for _ in range(draw(st.integers(0, 4)))]
    rotation = {"anchor": date(2026, draw(st.integers(1, 12)), 1), "days": draw(st.integers(1, 9))}
    return Duty(
        schedules.parse(
            {
                "zone": draw(st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])),
                "shifts": parts,
                "rotations": {"r": rotation} if any("rotation" in part for part in parts) else {},
                "covers": [
                    {"by": draw(st.sampled_from(CREW)), "since": since, "until": since + span}
                    for since, span in draw(st.lists(spans, max_size=2))
                ],
                "absences": [
                    {"agent": draw(st.sampled_from(CREW)), "since": since, "until": since + span}
                    for since, span in draw(st.lists(spans, max_size=2))
                ],
            }
        ),
        CREW,
    )


@given(plan=plans(), when=st.datetimes(*WEEKS, timezones=st.just(UTC)))
def test_between_two_changes_the_same_people_are_on_duty(plan: Duty, when: datetime) -> None:
    since, until = (moment.replace(tzinfo=UTC) for moment in WEEKS)
    until += timedelta(hours=1)
    stretches = list(plan.stretches(since, until))
    assert [one.until for one in stretches[:-1]] == [one.since for one in stretches[1:]]
    assert (stretches[0].since, stretches[-1].until) == (since, until)
    [there] = [one.agents for one in stretches if one.since <= when < one.until]
    assert plan.on_duty(when) == there


@given(plan=plans(), when=st.datetimes(*WEEKS, timezones=st.just(UTC)))
def test_the_next_look_comes_no_later_than_the_next_change(plan: Duty, when: datetime) -> None:
    look = plan.next_look(when)
    assert when < look <= when + timedelta(days=1)
    assert plan.changes(when, look - timedelta(microseconds=1)) == []
