"""Reading what networks answer to our requests: header names of any case, and how long they ask us to wait."""

from collections.abc import Mapping
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
    try:
        until = parsedate_to_datetime(value)
        since = parsedate_to_datetime(header(headers, "date") or "")
        return bounded((until - since).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return DEFAULT_WAIT


def bounded(seconds: float) -> float:
    """A wait that neither hammers nor stalls for ever."""
    return min(max(seconds, 1.0), LONGEST_WAIT)
