"""Reading foreign JSON bodies: bounded depth, tolerant scalars, and provider times of any shape."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec

from shared.errors import Rejected

MAX_DEPTH: Final = 64
LONGEST_ID: Final = 512
_LONGEST_DETAIL: Final = 300
_LARGEST_ID_BITS: Final = 256

Identifier = str | int | None
"""An id as networks write it: text, a number, or nothing."""

T = TypeVar("T")

_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_ESCAPES: Final = re.compile(
    rb"\\\\"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_MILLISECONDS_FROM: Final = 100_000_000_000
"""A stamp from here on counts milliseconds: as seconds it would lie beyond the year 5100."""


def too_deep(raw: bytes) -> bool:
    """Whether JSON nests deeper than `MAX_DEPTH`, found without decoding it."""
    outside_strings = b"".join(raw.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    brackets = outside_strings.translate(_BRACKETS, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return False
        # Each pass takes away exactly the innermost pairs, so the number of passes is the depth.
        inner, brackets = brackets, brackets.replace(b"[]", b"")
        if inner == brackets:
            # Pairs that do not match are for the decoder to refuse, unless there are too many to try.
            return len(brackets) > MAX_DEPTH
    return bool(brackets)


def decode(decoder: msgspec.json.Decoder[T], raw: bytes | msgspec.Raw) -> T:
    """The value of a body or of a part of it; Rejected with the path to what does not fit."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise Rejected(detail(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # Networks cut texts in the middle of an emoji: half a surrogate pair is no reason to lose the message.
        repaired = _ESCAPES.sub(lambda match: b"\\ufffd" if match[1] else match[0], bytes(raw))
        if repaired != bytes(raw):
            return decode(decoder, repaired)
        raise Rejected(f"not JSON: {detail(error)}") from error


def detail(error: Exception) -> str:
    """What was wrong, short enough to show; foreign values in it are cut."""
    message = str(error)
    return message if len(message) <= _LONGEST_DETAIL else f"{message[:200]}… {message[-90:]}"


def identifier(value: object) -> str | None:
    """An id as text; None where it is missing, empty, or nothing that could name anything."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if value.bit_length() <= _LARGEST_ID_BITS else None
    if isinstance(value, str) and value and len(value) <= LONGEST_ID and value.isprintable():
        return value
    return None


def text(value: object) -> str | None:
    """A text without NUL, which databases refuse; None where there is no text."""
    if not isinstance(value, str):
        return None
    return value.replace("\x00", "") or None


def instant(value: object) -> datetime | None:
    """A provider's time: seconds, milliseconds, either as text, or ISO 8601; None where it is no time."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return _from_number(value)
    if not isinstance(value, str) or not value or len(value) > LONGEST_ID:
        return None
    if value.isascii() and value.isdigit():
        return _from_number(int(value))
    try:
        parsed = datetime.fromisoformat(value)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _from_number(value: float) -> datetime | None:
    if not 0 < value < _MILLISECONDS_FROM * 1000:
        return None
    return datetime.fromtimestamp(value / 1000 if value >= _MILLISECONDS_FROM else value, UTC)


def normalized(value: str) -> str:
    """A text as two writings of one reply are compared: composed, and with runs of white space as one space."""
    return " ".join(unicodedata.normalize("NFC", value).split())


def mapping(value: object) -> dict[str, Any]:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """The value if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []
