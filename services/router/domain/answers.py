"""What rules say to a message by themselves: texts with places for what is known of it."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal

import msgspec
import re2

from shared.events.routing import OncePer

MAX_TEXT: Final = 2_000
MAX_NAME: Final = 60
"""Characters of a name that is repeated; a longer one counts as unknown."""

Kind = Literal["auto_reply", "private_reply"]
KINDS: Final[Mapping[Kind, Literal["public", "private"]]] = {"auto_reply": "public", "private_reply": "private"}
"""The actions that say something, and how."""

PLACEHOLDERS: Final[Mapping[str, str]] = {
    "author.name": "what its author is called",
    "author.handle": "the author's handle, without `@`",
    "network": "the network it came from",
}
"""What a text may have a place for, as `{{author.name}}` or `{{author.name|there}}`."""

_PLACE: Final = re2.compile(r"\{\{([^{}|]*)(?:\|([^{}]*))?\}\}")
_UNSEEN: Final = re2.compile(r"[\pC\pZ]+")
_ADDRESS: Final = re2.compile(r"(?i)://|\bwww\.|[\pL\pN]\.\pL{2}")


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is said to a message."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]
    """`{{author.name}}` stands for what is known, `{{author.name|there}}` also for what is said where it is not."""
    once_per: OncePer = "ticket"
    """How often the rule says it to one customer."""
    answers: bool = False
    """It is the answer, and nobody waits for another; otherwise it says only that the message came."""


def problem(text: str) -> str | None:
    """What is wrong with a text."""
    for found in _PLACE.finditer(text):
        name = found[1].strip()
        if name not in PLACEHOLDERS:
            return f"there is no placeholder {name!r}: there are {', '.join(PLACEHOLDERS)}"
    rest = _PLACE.sub("", text)
    if "{{" in rest or "}}" in rest:
        return "a placeholder is not whole: it looks like {{author.name}} or {{author.name|there}}"
    if not filled(text, {"network": "x"}):
        return "where nothing is known of its author, this says nothing"
    return None


def filled(text: str, known: Mapping[str, str | None]) -> str:
    """The text with what is known in its places. Names are what strangers call themselves: one that would show as a
    link, or is a speech, counts as unknown."""
    said: list[str] = []
    end = 0
    for found in _PLACE.finditer(text):
        said += [text[end : found.start()], _repeatable(known.get(found[1].strip())) or (found[2] or "").strip()]
        end = found.end()
    return "".join([*said, text[end:]]).strip()


def summary(answer: Answer | None, *, longest: int) -> str | None:
    """The answer in one line, so that two that differ look different."""
    if answer is None:
        return None
    marks = [*(["each message"] if answer.once_per == "message" else []), *(["answers"] if answer.answers else [])]
    mark = f"({', '.join(marks)}) " if marks else ""
    return _cut(mark + answer.text, longest)


def texts(some: Mapping[Kind, Answer | None]) -> Iterable[tuple[str, str]]:
    """Where texts stand, and the texts."""
    return [(f"{kind}/text", answer.text) for kind, answer in some.items() if answer is not None]


def _repeatable(name: str | None) -> str | None:
    plain = _UNSEEN.sub(" ", name or "").strip()
    return plain if len(plain) <= MAX_NAME and not _ADDRESS.search(plain) else None


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
