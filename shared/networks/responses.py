"""Reading what networks answer to our requests: header names of any case, and how long they ask us to wait."""

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

DEFAULT_WAIT: Final = 60.0
LONGEST_WAIT: Final = 86_400.0
"""Seconds; a longer wait than a day is a mistake of the sender, or ours."""

LONGEST_REASON: Final = 200


def header(headers: Mapping[str, str], name: str) -> str | None:
    """One header, whatever the case of its name."""
    return next((value for key, value in headers.items() if key.lower() == name), None)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for, None without one; a date counts from the answer's own `Date`."""
    value = header(headers, "retry-after")
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return bounded(float(value))
    until, since = _date(value), date(headers)
    try:
        return bounded((until - since).total_seconds()) if until and since else DEFAULT_WAIT
    except TypeError:
        # One of the two names its zone and the other does not.
        return DEFAULT_WAIT


def date(headers: Mapping[str, str]) -> datetime | None:
    """When the answer was given, by the clock of whoever gave it."""
    return _date(header(headers, "date") or "")


def _date(value: str) -> datetime | None:
    try:
        return parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None


def bounded(seconds: float) -> float:
    """A wait that neither hammers nor stalls for ever."""
    return min(max(seconds, 1.0), LONGEST_WAIT)
