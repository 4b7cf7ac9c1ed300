"""Standard Webhooks: what is sent, what an answer means, and when to try again."""

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

PREFIX: Final = "whsec_"
THROTTLING: Final = frozenset({429, 502, 503, 504})
"""Answers of a side that has too much to do: then the whole endpoint gets a pause if it asks for one."""

LONGEST_PAUSE: Final = 24 * 3600.0
SHOWN: Final = 1024
"""Characters of an answer that the log keeps."""


def new_secret(random: bytes) -> str:
    """A signing secret from random bytes, as its receiver configures it."""
    return PREFIX + base64.b64encode(random).decode()


def key_of(secret: str) -> bytes:
    """The bytes that sign; ValueError when this is no secret."""
    if not secret.startswith(PREFIX):
        raise ValueError("a signing secret begins with whsec_")
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("a signing secret is base64 after whsec_") from None


def headers(message_id: str, body: bytes, *, at: datetime, keys: Sequence[bytes]) -> dict[str, str]:
    """The headers of one attempt, signed with every key, so that a receiver may change its secret in its own time."""
    timestamp = str(int(at.timestamp()))
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = ["v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys]
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an attempt came to. `pause`: how long the endpoint asked us to stay away."""

    is_delivered: bool
    is_gone: bool = False
    retry_after: float = 0.0
    pause: float = 0.0


NO_ANSWER: Final = Verdict(is_delivered=False)
_DELIVERED: Final = Verdict(is_delivered=True)


def judge(status: int, answer_headers: Mapping[str, str]) -> Verdict:
    """Only 2xx is success: a redirect is not followed, and 410 asks us never to come again."""
    if 200 <= status < 300:
        return _DELIVERED
    wait = _seconds(answer_headers.get("retry-after"), answer_headers.get("date"))
    return Verdict(
        is_delivered=False,
        is_gone=status == 410,
        retry_after=wait,
        pause=wait if status in THROTTLING else 0.0,
    )


def _seconds(value: str | None, date: str | None) -> float:
    if value is None:
        return 0.0
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), LONGEST_PAUSE)
    try:
        until, since = parsedate_to_datetime(value), parsedate_to_datetime(date or "")
        return min(max((until - since).total_seconds(), 0.0), LONGEST_PAUSE)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def next_wait(attempts: int, schedule: Sequence[float], *, retry_after: float, chance: float) -> float | None:
    """Seconds until the next attempt after so many; None: there is none. `chance` in [0, 1) varies it by a fifth."""
    if attempts > len(schedule):
        return None
    return max(schedule[attempts - 1] * (0.8 + 0.4 * chance), retry_after)


def shown(body: bytes) -> str:
    """The beginning of an answer as text that the log can keep."""
    return body[: SHOWN * 4].decode("utf-8", "replace").replace("\x00", "\ufffd")[:SHOWN]
