"""What a classifier says about texts: how it is asked, how its answers are read, and what became of the question."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

import msgspec

from shared.events.routing import Lane

Sentiment = Literal["negative", "neutral", "positive"]
Urgency = Literal["low", "normal", "high"]
Outcome = Literal["answered", "remembered", "late", "failed", "resting"]
"""`remembered`: from an earlier answer. `resting`: not asked, because it failed a moment ago."""

Values = Mapping[str, Any]
"""Sentiment, urgency and lane of one text, as far as they were told."""

LONGEST: Final = 4_000
"""Characters of a text that the classifier is shown."""


class Classified(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What was said about one text, and how that came about. Of what is not set, nothing was said."""

    outcome: Outcome
    milliseconds: float | None = None
    """How long the message waited for it."""
    sentiment: Sentiment | None = None
    urgency: Urgency | None = None
    lane: Lane | None = None


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    results: list[Any]


_KNOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "sentiment": get_args(Sentiment),
    "urgency": get_args(Urgency),
    "lane": get_args(Lane),
}
_ENCODE: Final = msgspec.json.Encoder().encode
_DECODE: Final = msgspec.json.Decoder(_Answer).decode


class Unusable(Exception):
    """There is no answer that says anything about these texts."""


class Late(Unusable):
    """There was none in time."""


def question(texts: Sequence[str]) -> bytes:
    """The body of a request."""
    return _ENCODE({"texts": texts})


def read(body: bytes, *, count: int) -> list[Values]:
    """An answer, text by text; a value that nobody knows is as good as none."""
    try:
        results = _DECODE(body).results
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable(f"not an answer: {error}") from error
    if len(results) != count:
        raise Unusable(f"{len(results)} results for {count} texts")
    return [_values(one) for one in results]


def _values(result: Any) -> Values:
    said = result if isinstance(result, dict) else {}
    return {name: said[name] for name, known in _KNOWN.items() if said.get(name) in known}


def afterwards(first: Classified) -> Classified:
    """What the next message with this text gets, which waits for nothing."""
    if first.outcome in {"answered", "remembered"}:
        return msgspec.structs.replace(first, outcome="remembered", milliseconds=None)
    return Classified(outcome="resting")
