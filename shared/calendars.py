"""Calendars: hours of a week and holidays, in a time zone."""

from collections.abc import Container
from datetime import date, datetime, timedelta
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

import msgspec

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Clock = Annotated[str, msgspec.Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")]
DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


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
    return zone_problem(calendar.zone) or holidays_problem(calendar.holidays)


def zone_problem(zone: str) -> str | None:
    """What is wrong with the name of a time zone."""
    try:
        ZoneInfo(zone)
    except (LookupError, ValueError, OSError):
        return f"there is no time zone {zone!r}"
    return None


def holidays_problem(holidays: Holidays) -> str | None:
    """What is wrong with the naming of holidays."""
    if holidays.subdivision is not None and holidays.country is None:
        return "a subdivision is a part of a country: name that too"
    try:
        _of_country(holidays)
    except NotImplementedError:  # what the library says of a country that it does not know
        where = " of ".join(filter(None, (holidays.subdivision, holidays.country)))
        return f"no holidays are known for {where}: two capital letters name a country, such as 'DE'"
    return None


class DaysOff:
    """Holidays made ready to be asked."""

    def __init__(self, holidays: Holidays) -> None:
        self._dates = frozenset(holidays.dates)
        self._of_country = _of_country(holidays)

    def __contains__(self, day: date) -> bool:
        return day in self._dates or day in self._of_country


class Opening:
    """A calendar made ready to be asked."""

    def __init__(self, calendar: Calendar) -> None:
        self._zone = ZoneInfo(calendar.zone)
        self._hours = {
            day: [(minutes(start), minutes(end)) for start, end in calendar.hours.get(day, ())] for day in DAYS
        }
        self._days_off = DaysOff(calendar.holidays)

    def is_open(self, at: datetime) -> bool:
        """Whether people work at this instant: within the hours of a day that is no holiday."""
        local = at.astimezone(self._zone)
        minute = local.hour * 60 + local.minute
        today, yesterday = local.date(), local.date() - timedelta(days=1)
        return self._covers(today, minute) or self._covers(yesterday, minute + 24 * 60)

    def is_holiday(self, at: datetime) -> bool:
        """Whether the day, in the calendar's zone, is a holiday."""
        return at.astimezone(self._zone).date() in self._days_off

    def _covers(self, day: date, minute: int) -> bool:
        spans = self._hours[DAYS[day.weekday()]]
        return day not in self._days_off and any(
            start <= minute < (end if end > start else end + 24 * 60) for start, end in spans
        )


def minutes(clock: str) -> int:
    """Minutes since midnight."""
    hour, minute = clock.split(":")
    return int(hour) * 60 + int(minute)


def _of_country(named: Holidays) -> Container[date]:
    if named.country is None:
        return ()
    from holidays import country_holidays

    return country_holidays(named.country, subdiv=named.subdivision)
