"""Calendars tell hours and holidays in their own zone, through nights, changes of the clock and borders."""

from datetime import datetime

import msgspec
import pytest

from shared import calendars
from shared.calendars import Calendar, Opening

BERLIN = {
    "zone": "Europe/Berlin",
    "hours": {"mon": [["09:00", "12:00"], ["13:00", "17:00"]], "sat": [["20:00", "02:00"]]},
}
GERMAN = {
    **BERLIN,
    "hours": {day: [["00:00", "24:00"]] for day in ("thu", "fri", "sat")},
    "holidays": {"country": "DE"},
}


def opening(given) -> Opening:
    return Opening(msgspec.convert(given, Calendar))


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2026-11-23T08:00:00+00:00", True),  # a Monday, 9:00 in winter
        ("2026-06-22T07:00:00+00:00", True),  # 9:00 in summer
        ("2026-06-22T06:59:00+00:00", False),
        ("2026-11-23T12:30:00+01:00", False),
        ("2026-11-23T17:00:00+01:00", False),
        ("2026-11-23T16:59:59+01:00", True),
        ("2026-11-28T21:00:00+01:00", True),
        ("2026-11-29T01:59:00+01:00", True),  # Sunday, still Saturday's night
        ("2026-11-29T02:00:00+01:00", False),
        ("2026-11-30T01:00:00+01:00", False),
        ("2026-11-23T23:30:00-09:00", False),  # Tuesday in Berlin
        ("2026-10-25T02:30:00+02:00", False),  # the hour that comes twice
    ],
)
def test_hours_are_those_of_the_zone_and_go_on_through_the_night(at, is_open):
    assert opening(BERLIN).is_open(datetime.fromisoformat(at)) is is_open


@pytest.mark.parametrize(
    ("at", "is_holiday"),
    [
        ("2026-12-25T12:00:00+01:00", True),
        ("2026-12-24T23:30:00+00:00", True),  # already the 25th in Berlin
        ("2026-12-24T12:00:00+01:00", False),
    ],
)
def test_holidays_of_a_country_are_known_and_nobody_works_on_them(at, is_holiday):
    calendar, instant = opening(GERMAN), datetime.fromisoformat(at)
    assert calendar.is_holiday(instant) is is_holiday
    assert calendar.is_open(instant) is not is_holiday


def test_parts_of_a_country_have_their_own_holidays():
    epiphany = datetime.fromisoformat("2026-01-06T12:00:00+01:00")
    bavaria = GERMAN | {"holidays": {"country": "DE", "subdivision": "BY"}}
    assert (opening(bavaria).is_holiday(epiphany), opening(GERMAN).is_holiday(epiphany)) == (True, False)


def test_dates_of_ones_own_are_holidays_too_and_end_the_night_that_began_on_them():
    own = opening(BERLIN | {"holidays": {"dates": ["2026-11-28"]}})
    assert own.is_holiday(datetime.fromisoformat("2026-11-28T00:00:00+01:00"))
    assert not own.is_open(datetime.fromisoformat("2026-11-29T01:00:00+01:00"))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"zone": "Mars/Base"}, "Mars/Base"),
        ({"zone": "../etc/passwd"}, "passwd"),
        ({"holidays": {"country": "XX"}}, "XX"),
        ({"holidays": {"country": "DE", "subdivision": "ZZ"}}, "ZZ of DE"),
        ({"holidays": {"subdivision": "BY"}}, "country"),
    ],
)
def test_a_calendar_that_nobody_could_read_is_refused(changes, word):
    assert word in (calendars.problem(msgspec.convert(BERLIN | changes, Calendar)) or "")


def test_hours_must_be_hours():
    for hours in (["9:00", "17:00"], ["09:00", "25:00"], ["09:60", "17:00"], ["09:00"]):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(BERLIN | {"hours": {"mon": [hours]}}, Calendar)
