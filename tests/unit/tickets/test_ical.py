"""Calendar files are read as people mean them, in bounded time, and written so that they read back the same."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tickets.domain import ical
from services.tickets.domain import schedule as schedules
from services.tickets.domain.duty import Duty
from shared.errors import Invalid

SINCE = datetime(2026, 10, 1, tzinfo=UTC)
UNTIL = datetime(2027, 10, 1, tzinfo=UTC)
NINE = ("DTSTART;TZID=Europe/Berlin:20261019T090000", "DTEND;TZID=Europe/Berlin:20261019T170000")


def calendar(*events: tuple[str, ...]) -> bytes:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test"]
    for number, event in enumerate(events):
        named = [] if any(line.startswith("UID") for line in event) else [f"UID:u{number}"]
        lines += ["BEGIN:VEVENT", *named, "DTSTAMP:20261001T000000Z", *event, "END:VEVENT"]
    return "\r\n".join([*lines, "END:VCALENDAR", ""]).encode()


def read(*events: tuple[str, ...], until: datetime = UNTIL) -> ical.Reading:
    return ical.read(calendar(*events), zone="Europe/Berlin", since=SINCE, until=until)


def starts(*lines: str) -> list[str]:
    found = read((*NINE, *lines))
    assert found.skipped == []
    return [one.since.isoformat()[:16] for one in found.occurrences]


def test_an_event_is_read_with_its_names() -> None:
    [one] = read(
        (*NINE, "SUMMARY:Late shift", "ATTENDEE;CN=Ann Smith:mailto:ann@example.org", "ATTENDEE:mailto:bea@example.org")
    ).occurrences
    assert (one.since.isoformat(), one.until.isoformat()) == ("2026-10-19T07:00:00+00:00", "2026-10-19T15:00:00+00:00")
    assert (one.names, one.uid) == (("Ann Smith", "bea@example.org", "Late shift"), "u0")


@pytest.mark.parametrize(
    ("lines", "since", "until"),
    [
        (("DTSTART;VALUE=DATE:20261224", "DTEND;VALUE=DATE:20261227"), "2026-12-23T23:00", "2026-12-26T23:00"),
        (("DTSTART;VALUE=DATE:20261224",), "2026-12-23T23:00", "2026-12-24T23:00"),
        (("DTSTART:20261224T080000", "DURATION:PT2H"), "2026-12-24T07:00", "2026-12-24T09:00"),  # the team's own clock
        (("DTSTART:20261224T080000Z", "DTEND:20261224T090000Z"), "2026-12-24T08:00", "2026-12-24T09:00"),
        (("DTSTART;TZID=Asia/Tokyo:20261224T080000", "DTEND:20261224T000000Z"), "2026-12-23T23:00", "2026-12-24T00:00"),
        (("DTSTART:20261024T220000", "DTEND:20261025T060000"), "2026-10-24T20:00", "2026-10-25T05:00"),  # nine hours
    ],
)
def test_times_are_meant_as_they_are_written(lines: tuple[str, ...], since: str, until: str) -> None:
    [one] = read(lines).occurrences
    assert (one.since.isoformat()[:16], one.until.isoformat()[:16]) == (since, until)


def test_repetitions_follow_the_wall_clock() -> None:
    assert starts("RRULE:FREQ=WEEKLY;COUNT=3") == ["2026-10-19T07:00", "2026-10-26T08:00", "2026-11-02T08:00"]
    assert starts("RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE;UNTIL=20261104T230000Z") == [
        "2026-10-19T07:00",
        "2026-10-21T07:00",
        "2026-11-02T08:00",
        "2026-11-04T08:00",
    ]
    assert starts("RRULE:FREQ=DAILY;INTERVAL=3;COUNT=2") == ["2026-10-19T07:00", "2026-10-22T07:00"]
    assert starts("RRULE:FREQ=DAILY;BYDAY=SA,SU;UNTIL=20261025") == ["2026-10-24T07:00", "2026-10-25T08:00"]


def test_a_week_begins_when_its_calendar_says() -> None:
    sunday = ("DTSTART:20261018T080000Z", "DTEND:20261018T090000Z")
    every = "RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO;COUNT=3"
    found = [[one.since.day for one in read((*sunday, f"{every}{more}")).occurrences] for more in ("", ";WKST=SU")]
    assert found == [[18, 26, 1], [18, 19, 1]]


def test_occurrences_that_were_taken_out_or_moved_are_not_where_they_were() -> None:
    weekly = ("UID:w", *NINE, "RRULE:FREQ=WEEKLY;COUNT=3", "EXDATE;TZID=Europe/Berlin:20261026T090000")
    moved = (
        "UID:w",
        "RECURRENCE-ID;TZID=Europe/Berlin:20261102T090000",
        "DTSTART;TZID=Europe/Berlin:20261103T120000",
        "DTEND;TZID=Europe/Berlin:20261103T130000",
    )
    found = [one.since.isoformat()[:16] for one in read(weekly, moved).occurrences]
    assert found == ["2026-10-19T07:00", "2026-11-03T11:00"]


def test_a_cancelled_event_does_not_count() -> None:
    assert read((*NINE, "STATUS:CANCELLED")) == ical.Reading([], [])


@pytest.mark.parametrize(
    "lines",
    [
        (*NINE, "RRULE:FREQ=MONTHLY"),
        (*NINE, "RRULE:FREQ=SECONDLY"),
        (*NINE, "RRULE:FREQ=WEEKLY;BYDAY=1MO"),
        (*NINE, "RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"),
        (*NINE, "RRULE:FREQ=DAILY;INTERVAL=0"),
        (*NINE, "RRULE:FREQ=DAILY", "RRULE:FREQ=WEEKLY"),
        (*NINE, "RDATE:20261101T090000Z"),
        ("DTSTART:20261224T080000Z",),
        ("DTSTART:20261224T080000Z", "DTEND:20261224T070000Z"),
        ("DTSTART:20261224T080000Z", "DURATION:P900D"),
        ("DTSTART:00010101T000000Z", "DTEND:00010101T010000Z"),
        ("DTSTART:yesterday", "DTEND:tomorrow"),
        ("SUMMARY:never",),
    ],
)
def test_what_is_not_understood_is_left_out_by_name(lines: tuple[str, ...]) -> None:
    found = read(lines, NINE)
    assert ([one.uid for one in found.skipped], len(found.occurrences)) == (["u0"], 1)
    assert found.skipped[0].reason


@pytest.mark.parametrize(
    "raw", [b"", b"hello", b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:VCALENDAR\r\n", b"\xff\xfe\x00"]
)
def test_what_is_no_calendar_is_refused(raw: bytes) -> None:
    with pytest.raises(Invalid):
        ical.read(raw, zone="UTC", since=SINCE, until=UNTIL)


@pytest.mark.parametrize(
    "events",
    [
        [NINE] * (ical.MOST_EVENTS + 1),
        [(*NINE, "RRULE:FREQ=DAILY")] * 4,
        [("DTSTART:19700101T000000Z", "DTEND:19700101T010000Z", "RRULE:FREQ=DAILY;INTERVAL=400;COUNT=900")] * 25,
    ],
    ids=["many events", "many times", "many days"],
)
def test_a_calendar_that_would_take_long_is_refused(events: list[tuple[str, ...]]) -> None:
    with pytest.raises(Invalid, match="too large"):
        read(*events)


def test_an_old_event_without_a_count_is_not_walked_through() -> None:
    old = ("DTSTART:19700105T080000Z", "DTEND:19700105T090000Z", "RRULE:FREQ=WEEKLY;INTERVAL=52")
    assert len(read(*[old] * 300).occurrences) == 300


@given(
    st.lists(
        st.sampled_from(
            [
                *NINE,
                "RRULE:FREQ=WEEKLY",
                "RRULE:",
                "DTSTART:",
                "DTEND;TZID=:20261019",
                "EXDATE:x",
                "RECURRENCE-ID:1",
                "ATTENDEE:",
                "DURATION:-P1D",
                "RRULE:FREQ=DAILY;COUNT=x",
                "DTSTART;VALUE=DATE:20261301",
                'SUMMARY;X="a:b',
            ]
        ),
        max_size=5,
    )
)
def test_no_event_breaks_the_reading(lines: list[str]) -> None:
    found = read(tuple(lines))
    assert len(found.skipped) <= 1


def test_what_is_written_reads_back_the_same() -> None:
    plan = {
        "zone": "Europe/Berlin",
        "shifts": [{"name": "night", "start": "22:00", "end": "06:00", "rotation": "r"}],
        "rotations": {"r": {"anchor": "2026-10-19"}},
    }
    duty = Duty(schedules.parse(plan), ["ann", "bea"])
    watches = duty.watches(SINCE, SINCE + timedelta(days=28))
    names = {"ann": "Ann", "bea": "Béa, of care"}
    written = ical.write("Care", watches, names=names, team="w/care", at=SINCE)
    again = ical.read(written, zone="UTC", since=SINCE, until=UNTIL)
    assert again.skipped == []
    assert [(one.since, one.until, one.names) for one in again.occurrences] == [
        (one.since, one.until, (names[one.agent],)) for one in watches
    ]
    assert len({one.uid for one in again.occurrences}) == len(watches)
