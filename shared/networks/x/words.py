"""Words on X: what a writer wrote behind what X made of it, and how much of X's measure they take."""

import re
import unicodedata
from typing import Any, Final

from shared.networks import bodies

LINK: Final = 23
"""What any link counts: X replaces it by a short one."""

_ESCAPED: Final = re.compile("&(lt|gt|amp);")
_SIGNS: Final = {"lt": "<", "gt": ">", "amp": "&"}
_HANDLES: Final = re.compile(r"(?:@\w{1,15} )*")
_LINKS: Final = re.compile(r"https?://[^\s<>\"']*[^\s<>\"'.,;:!?)\]}]", re.IGNORECASE)
_HEAVY: Final = re.compile(r"[^\u0000-\u10FF\u2000-\u200D\u2010-\u201F\u2032-\u2037]")
"""Code points outside of these ranges count twice."""

_PICTURE: Final = r"[\u203C\u2049\u2122\u2139\u2190-\u2BFF\u3030\u303D\u3297\u3299\U0001F000-\U0001FAFF]"
_SHADE: Final = r"[\uFE0F\U0001F3FB-\U0001F3FF]?"
_EMOJI: Final = re.compile(
    r"[\U0001F1E6-\U0001F1FF]{2}"
    r"|[0-9#*]\uFE0F?\u20E3"
    rf"|{_PICTURE}{_SHADE}(?:[\U000E0020-\U000E007F]+|(?:\u200D{_PICTURE}{_SHADE})*)"
)
"""A picture, however many code points it takes, counts twice."""


def unescaped(text: str) -> str:
    """A text without the three escapes that X writes into it."""
    return _ESCAPED.sub(lambda match: _SIGNS[match[1]], text)


def as_written(text: str, entities: Any, shown: Any, *, is_reply: bool) -> str:
    """A text of ours as we sent it: with its own links, and without the handles that X put before an answer."""
    start = bodies.sequence(shown)[:1]
    if is_reply and start and type(start[0]) is int and 0 < start[0] <= len(text):
        before = text[: start[0]]
        text = text[start[0] :] if _HANDLES.fullmatch(before) else text
    for part in bodies.sequence(bodies.mapping(entities).get("urls")):
        link = bodies.mapping(part)
        short, long = bodies.text(link.get("url")), bodies.text(link.get("expanded_url"))
        if short and long:
            text = text.replace(short, long)
    return unescaped(text)


def weight(text: str) -> int:
    """How much of the 280 a public text takes; a domain without `https://` counts as letters here, not as a link."""
    composed = unicodedata.normalize("NFC", text)
    rest, links = _LINKS.subn("", composed)
    rest, pictures = _EMOJI.subn("", rest)
    return links * LINK + pictures * 2 + len(rest) + len(_HEAVY.findall(rest))
