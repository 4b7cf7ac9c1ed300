"""iCalendar files (RFC 5545): what others planned, read in bounded time, and what is planned here, written."""

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final, NamedTuple, Protocol, cast
from zoneinfo import ZoneInfo

from services.tickets.domain.duty import A_DAY, Watch, instant
from shared.errors import Invalid
from shared.ids import digest

MOST_EVENTS: Final = 1000
MOST_OCCURRENCES: Final = 1000
MOST_DAYS: Final = 400_000
"""How many days are looked at for all events that repeat."""

_YEARS: Final = range(1970, 2200)
_WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_PARTS: Final = frozenset({"FREQ", "INTERVAL", "BYDAY", "COUNT", "UNTIL", "WKST"})


class Occurrence(NamedTuple):
    """A time in a calendar, and the names that its event says: attendees first, then what it is called."""

    since: datetime
    until: datetime
    names: tuple[str, ...]
    uid: str


class Skipped(NamedTuple):
    """An event that was not taken over, and why."""

    uid: str
    reason: str


class Reading(NamedTuple):
    """What a calendar says about a time."""

    occurrences: list[Occurrence]
    skipped: list[Skipped]


class _Event(Protocol):
    """An event as the library gives it: properties by name, each of its own type or a list of several."""

    errors: list[Any]

    def get(self, name: str, default: Any = None) -> Any: ...

    def __getitem__(self, name: str) -> Any: ...

    def __contains__(self, name: str) -> bool: ...


class _Odd(Exception):
    """An event that we do not understand."""


_UNREADABLE: Final = (_Odd, ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError)
"""What the library and the arithmetic of dates say of values that nobody should write."""


class _Window(NamedTuple):
    since: datetime
    until: datetime
    zone: ZoneInfo


def read(raw: bytes, *, zone: str, since: datetime, until: datetime) -> Reading:
    """The events that touch the time from `since` to `until`, repetitions (daily and weekly ones) resolved.

    Days and times without a zone are those of `zone`. Invalid when it is no calendar, or too much of one.
    """
    from icalendar import Calendar

    try:
        events = cast("list[_Event]", Calendar.from_ical(raw).walk("VEVENT"))
    except _UNREADABLE as error:
        raise Invalid("this is no iCalendar file", errors=[{"pointer": "#", "detail": str(error)[:200]}]) from error
    if len(events) > MOST_EVENTS:
        raise _too_much(f"{len(events)} events, and at most {MOST_EVENTS} are read")
    reader = _Reader(_Window(since, until, ZoneInfo(zone)), events)
    return reader.read()


def write(title: str, watches: Iterable[Watch], *, names: dict[str, str], team: str, at: datetime) -> bytes:
    """A calendar that any program shows: one event for each time that somebody is on duty."""
    from icalendar import Calendar, Event

    calendar = Calendar()
    calendar.add("prodid", "-//Baton//Schedule//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", title)
    for watch in watches:
        event = Event()
        event.add("uid", digest("dty", team, watch.agent, watch.since.isoformat()))
        event.add("dtstamp", at.astimezone(UTC))
        event.add("dtstart", watch.since.astimezone(UTC))
        event.add("dtend", watch.until.astimezone(UTC))
        event.add("summary", names.get(watch.agent, watch.agent))
        calendar.add_component(event)
    written: bytes = calendar.to_ical()
    return written


class _Reader:
    """One calendar on its way through."""

    def __init__(self, window: _Window, events: Collection[_Event]) -> None:
        self._window = window
        self._events = events
        self._days_left = MOST_DAYS
        self._moved: set[tuple[str, datetime]] = set()
        """Occurrences that an event of their own replaces."""

    def read(self) -> Reading:
        found: list[Occurrence] = []
        skipped: list[Skipped] = []
        # Those that replace an occurrence come first: the others leave it out.
        for event in sorted(self._events, key=lambda event: "RECURRENCE-ID" not in event):
            try:
                self._note_moved(event)
                if str(event.get("STATUS", "")).upper() != "CANCELLED":
                    found += self._occurrences(event)
            except _UNREADABLE as odd:
                reason = str(odd) if isinstance(odd, _Odd) else "it cannot be read"
                skipped.append(Skipped(_uid(event), reason))
            if len(found) > MOST_OCCURRENCES:
                raise _too_much(f"more than {MOST_OCCURRENCES} times")
        return Reading(sorted(found), skipped)

    def _note_moved(self, event: _Event) -> None:
        if moved := _property(event, "RECURRENCE-ID"):
            wall, zone = self._wall(moved.dt)
            self._moved.add((_uid(event), instant(zone, wall)))

    def _occurrences(self, event: _Event) -> Iterator[Occurrence]:
        start, zone = self._wall(event["DTSTART"].dt)
        length = self._length(event, start)
        if event.errors:
            raise _Odd("it cannot be read")
        if start.year not in _YEARS or not timedelta(0) < length <= timedelta(days=366):
            raise _Odd("it has no length, or lies too far away")
        uid, names = _uid(event), _names(event)
        gone = self._gone(event)
        for day in self._days(event, start, zone, length):
            begin = start + (day - start.date())
            since, until = instant(zone, begin), instant(zone, begin + length)
            if since < self._window.until and until > self._window.since and since not in gone:
                yield Occurrence(since, until, names, uid)

    def _length(self, event: _Event, start: datetime) -> timedelta:
        if "DTEND" in event:
            end, _ = self._wall(event["DTEND"].dt)
            zones = {getattr(event[name].dt, "tzinfo", None) for name in ("DTSTART", "DTEND")}
            return end - start if len(zones) == 1 else event["DTEND"].dt - event["DTSTART"].dt
        if "DURATION" in event:
            length: timedelta = event["DURATION"].dt
            return length
        return timedelta(0) if isinstance(event["DTSTART"].dt, datetime) else A_DAY

    def _gone(self, event: _Event) -> set[datetime]:
        if "RECURRENCE-ID" in event:
            return set()
        listed = event.get("EXDATE", [])
        walls = [self._wall(one.dt) for part in (listed if isinstance(listed, list) else [listed]) for one in part.dts]
        uid = _uid(event)
        return {instant(zone, wall) for wall, zone in walls} | {at for of, at in self._moved if of == uid}

    def _days(self, event: _Event, start: datetime, zone: tzinfo, length: timedelta) -> Iterator[date]:
        rule = _property(event, "RRULE")
        if "RDATE" in event:
            raise _Odd("it repeats on single dates (RDATE)")
        if rule is None or "RECURRENCE-ID" in event:
            yield start.date()
            return
        repeats = _Rule(rule, start)
        day = start.date()
        if repeats.count is None:
            # Nothing has to be counted: what lies before the time that is asked for is passed over.
            day = max(day, (self._window.since - length).date() - A_DAY)
        last = self._window.until.date() + A_DAY
        left = repeats.count
        while day <= last and left != 0:
            self._days_left -= 1
            if self._days_left < 0:
                raise _too_much("its events repeat for too long")
            if repeats.holds(day):
                if repeats.is_over(day, instant(zone, start + (day - start.date()))):
                    return
                left = None if left is None else left - 1
                yield day
            day += A_DAY

    def _wall(self, value: date | datetime) -> tuple[datetime, tzinfo]:
        if not isinstance(value, datetime):
            return datetime.combine(value, time()), self._window.zone
        return value.replace(tzinfo=None), value.tzinfo or self._window.zone


class _Rule:
    """A rule of repetition, of those that shifts have: every so many days or weeks, on these weekdays."""

    def __init__(self, rule: Any, start: datetime) -> None:
        parts = {name.upper(): values if isinstance(values, list) else [values] for name, values in rule.items()}
        frequency = str(parts["FREQ"][0]).upper()
        weekdays = [str(day).upper() for day in parts.get("BYDAY", ())]
        if frequency not in {"DAILY", "WEEKLY"} or parts.keys() - _PARTS or set(weekdays) - set(_WEEKDAYS):
            raise _Odd("it repeats in a way that is not understood: only daily and weekly, by weekdays")
        self._first = start.date()
        self._every = int(parts.get("INTERVAL", [1])[0])
        self.count = int(parts["COUNT"][0]) if "COUNT" in parts else None
        self._until = parts["UNTIL"][0] if "UNTIL" in parts else None
        if self._every < 1 or (self.count is not None and self.count < 1):
            raise _Odd("it repeats in a way that is not understood")
        is_weekly = frequency == "WEEKLY"
        self._period = self._every * 7 if is_weekly else self._every
        week_starts = _WEEKDAYS.index(str(parts.get("WKST", ["MO"])[0]).upper())
        self._begin = self._first - (A_DAY * ((self._first.weekday() - week_starts) % 7) if is_weekly else timedelta(0))
        self._is_weekly = is_weekly
        self._weekdays = {_WEEKDAYS.index(day) for day in weekdays} or (
            {self._first.weekday()} if is_weekly else set(range(7))
        )

    def holds(self, day: date) -> bool:
        """Whether it takes place on this day, which is not before the first one."""
        into = (day - self._begin).days % self._period
        return day.weekday() in self._weekdays and (into < 7 if self._is_weekly else into == 0)

    def is_over(self, day: date, at: datetime) -> bool:
        """Whether the rule has ended before this day, whose occurrence would begin at this instant."""
        if self._until is None:
            return False
        if not isinstance(self._until, datetime):
            return bool(day > self._until)
        if self._until.tzinfo is None:
            return bool(day > self._until.date())
        return at > self._until


def _property(event: _Event, name: str) -> Any:
    value = event.get(name)
    if isinstance(value, list):
        raise _Odd(f"it has {name} more than once")
    return value


def _uid(event: _Event) -> str:
    return str(event.get("UID", ""))[:200]


def _names(event: _Event) -> tuple[str, ...]:
    attendees = event.get("ATTENDEE", [])
    called = [
        str(one.params.get("CN") or str(one).rpartition(":")[2])
        for one in (attendees if isinstance(attendees, list) else [attendees])
    ]
    return tuple(name.strip() for name in (*called, str(event.get("SUMMARY", ""))) if name.strip())


def _too_much(what: str) -> Invalid:
    return Invalid(f"the calendar is too large: {what}", errors=[{"pointer": "#", "detail": what}])
