"""Calendars that a ruleset names: business hours and holidays in a time zone."""

from collections.abc import Container
from datetime import date, datetime, timedelta
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

import msgspec

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Clock = Annotated[str, msgspec.Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")]
_DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Holidays(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Days on which nobody works: those of a country, or of a part of it, and more dates."""

    country: str | None = None
    subdivision: str | None = None
    dates: tuple[date, ...] = ()


class Calendar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """When people work. A span that ends at or before its start goes on into the next day."""

    zone: str
    hours: dict[Day, tuple[tuple[Clock, Clock], ...]] = {}
    holidays: Holidays = Holidays()


def problem(calendar: Calendar) -> str | None:
    """What is wrong with it."""
    try:
        ZoneInfo(calendar.zone)
    except (LookupError, ValueError, OSError):
        return f"there is no time zone {calendar.zone!r}"
    if calendar.holidays.subdivision is not None and calendar.holidays.country is None:
        return "a subdivision is a part of a country: name that too"
    try:
        _of(calendar.holidays)
    except NotImplementedError:  # what the library says of a country that it does not know
        where = " of ".join(filter(None, (calendar.holidays.subdivision, calendar.holidays.country)))
        return f"no holidays are known for {where}: two capital letters name a country, such as 'DE'"
    return None


class Opening:
    """A calendar made ready to be asked."""

    def __init__(self, calendar: Calendar) -> None:
        self._zone = ZoneInfo(calendar.zone)
        self._hours = {
            day: [(_minutes(start), _minutes(end)) for start, end in calendar.hours.get(day, ())] for day in _DAYS
        }
        self._holidays = _of(calendar.holidays)
        self._dates = frozenset(calendar.holidays.dates)

    def is_open(self, at: datetime) -> bool:
        """Whether people work at this instant: within the hours of a day that is no holiday."""
        local = at.astimezone(self._zone)
        minute = local.hour * 60 + local.minute
        today, yesterday = local.date(), local.date() - timedelta(days=1)
        return self._covers(today, minute) or self._covers(yesterday, minute + 24 * 60)

    def is_holiday(self, at: datetime) -> bool:
        """Whether the day, in the calendar's zone, is a holiday."""
        return self._is_off(at.astimezone(self._zone).date())

    def _covers(self, day: date, minute: int) -> bool:
        spans = self._hours[_DAYS[day.weekday()]]
        return any(
            start <= minute < (end if end > start else end + 24 * 60) for start, end in spans
        ) and not self._is_off(day)

    def _is_off(self, day: date) -> bool:
        return day in self._dates or day in self._holidays


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def _of(named: Holidays) -> Container[date]:
    if named.country is None:
        return ()
    from holidays import country_holidays

    return country_holidays(named.country, subdiv=named.subdivision)
