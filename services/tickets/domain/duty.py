"""Who is on duty at an instant: shifts counted by the wall clock of their zone, through every change of the clock."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from services.tickets.domain.schedule import Rotation, Schedule, Shift, Span
from shared.calendars import DAYS, DaysOff, minutes

A_DAY: Final = timedelta(days=1)

_SECOND: Final = timedelta(seconds=1)


class Stretch(NamedTuple):
    """A time during which the same people are on duty."""

    since: datetime
    until: datetime
    agents: frozenset[str]


class Watch(NamedTuple):
    """A time for which somebody is named."""

    since: datetime
    until: datetime
    agent: str


class Duty:
    """A schedule made ready to be asked, for those who are in the team."""

    def __init__(self, schedule: Schedule, members: Iterable[str]) -> None:
        self._schedule = schedule
        self._members = tuple(sorted(members))
        self._team = frozenset(self._members)
        self._zone = ZoneInfo(schedule.zone)
        self._days_off = DaysOff(schedule.holidays)
        self._hours = [(shift, *_span(shift)) for shift in schedule.shifts]
        self._instants: dict[tuple[date, int], datetime] = {}

    def on_duty(self, at: datetime) -> frozenset[str]:
        """Who takes work: those whom the schedule names, or whoever is there when it names nobody and says so."""
        scheduled = self.scheduled(at)
        if scheduled or self._schedule.when_nobody != "members":
            return scheduled
        return frozenset(self._team - self._absent(at))

    def stand_in(self, at: datetime) -> str | None:
        """The team that gets what comes for this one, because nobody is on duty."""
        return self._schedule.stand_in if self._schedule.stand_in and not self.scheduled(at) else None

    def scheduled(self, at: datetime) -> frozenset[str]:
        """Whom shifts and covers name at this instant, without those who are absent."""
        absent = self._absent(at)
        covers = [cover for cover in self._schedule.covers if cover.since <= at < cover.until]
        covered = {cover.agent: cover.by for cover in covers if cover.agent is not None}
        found = {cover.by for cover in covers if cover.agent is None}
        for shift, start, end in self._hours:
            for day in self._days(at, at):
                if self._takes_place(shift, day) and self._instant(day, start) <= at < self._instant(day, end):
                    found.update(self._workers(shift, day, covered, absent))
        return frozenset(self._present(found, absent))

    def changes(self, since: datetime, until: datetime) -> list[datetime]:
        """Every instant after `since` and up to `until` at which somebody may come on duty or go."""
        found = {
            self._instant(day, minute)
            for day in self._days(since, until)
            for shift, start, end in self._hours
            if self._takes_place(shift, day)
            for minute in (start, end)
        }
        spans: tuple[Span, ...] = (*self._schedule.covers, *self._schedule.absences)
        for span in spans:
            found |= {span.since, span.until}
        return sorted(instant for instant in found if since < instant <= until)

    def next_look(self, after: datetime) -> datetime:
        """When to ask again: at the next change, and at least once a day, because rules of clocks change too."""
        until = after + A_DAY
        return next(iter(self.changes(after, until)), until)

    def stretches(self, since: datetime, until: datetime) -> Iterator[Stretch]:
        """The time from `since` to `until` without a gap, by who is on duty."""
        begun, agents = since, self.on_duty(since)
        for instant in self.changes(since, until):
            there = self.on_duty(instant)
            if there != agents and instant < until:
                yield Stretch(begun, instant, agents)
                begun, agents = instant, there
        yield Stretch(begun, until, agents)

    def watches(self, since: datetime, until: datetime) -> list[Watch]:
        """Each time from `since` to `until` for which shifts and covers name somebody, by its beginning."""
        begun: dict[str, datetime] = {}
        found: list[Watch] = []
        for moment in (since, *self.changes(since, until)):
            there = self.scheduled(moment) if moment < until else frozenset()
            found += [Watch(begun.pop(agent), moment, agent) for agent in sorted(begun.keys() - there)]
            for agent in there - begun.keys():
                begun[agent] = moment
        found += [Watch(start, until, agent) for agent, start in begun.items()]
        return sorted(found)

    def _workers(self, shift: Shift, day: date, covered: dict[str, str], absent: frozenset[str]) -> Sequence[str]:
        if shift.rotation is not None:
            rotation = self._schedule.rotations[shift.rotation]
            return self._turn(rotation, day, covered, absent, place=shift.place)
        return [covered.get(agent, agent) for agent in shift.agents or self._members]

    def _turn(
        self, rotation: Rotation, day: date, covered: dict[str, str], absent: frozenset[str], *, place: int
    ) -> Sequence[str]:
        agents = rotation.agents or self._members
        groups = rotation.groups or len(agents)
        turn = (day - rotation.anchor).days // rotation.days + place
        for step in range(groups):
            group = [covered.get(agent, agent) for agent in agents[(turn + step) % groups :: groups]]
            if present := self._present(group, absent):
                return present
        return ()

    def _absent(self, at: datetime) -> frozenset[str]:
        return frozenset(one.agent for one in self._schedule.absences if one.since <= at < one.until)

    def _present(self, agents: Iterable[str], absent: frozenset[str]) -> list[str]:
        return [agent for agent in agents if agent in self._team and agent not in absent]

    def _takes_place(self, shift: Shift, day: date) -> bool:
        is_planned = (shift.first_day or day) <= day <= (shift.last_day or day)
        return is_planned and DAYS[day.weekday()] in shift.days and (shift.holidays or day not in self._days_off)

    def _days(self, since: datetime, until: datetime) -> Iterator[date]:
        # A shift that began the day before may go on, for as long as two days of the wall clock last.
        day = since.astimezone(self._zone).date() - A_DAY
        last = until.astimezone(self._zone).date()
        while day <= last:
            yield day
            day += A_DAY

    def _instant(self, day: date, minute: int) -> datetime:
        if (day, minute) not in self._instants:
            wall = datetime.combine(day, time()) + timedelta(minutes=minute)
            self._instants[day, minute] = instant(self._zone, wall)
        return self._instants[day, minute]


def instant(zone: tzinfo, wall: datetime) -> datetime:
    """The instant at which clocks show this: the first one where they show it twice, the jump where they skip it.

    So a later time on the wall is never an earlier instant, and shifts that meet on the wall meet in truth.
    """
    first = wall.replace(tzinfo=zone).astimezone(UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if first <= second:
        return first
    early, late = second, first
    offset = early.astimezone(zone).utcoffset()
    while late - early > _SECOND:
        middle = early + (late - early) // 2
        early, late = (middle, late) if middle.astimezone(zone).utcoffset() == offset else (early, middle)
    return late.replace(microsecond=0)


def _span(shift: Shift) -> tuple[int, int]:
    start, end = minutes(shift.start), minutes(shift.end)
    return start, end if end > start else end + 24 * 60
