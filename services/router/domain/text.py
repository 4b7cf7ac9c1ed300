"""Text as rules see it: one form for all scripts, and where a keyword may begin and end in each."""

import re
import unicodedata
from functools import lru_cache
from typing import Final

_INVISIBLE: Final = re.compile("[\u00ad\u034f\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]+")
"""Zero-width, directional and soft-hyphen characters: they hide keywords and carry no meaning here."""

_UNSPACED: Final = (
    ("\u0e00", "\u0eff"),  # Thai, Lao
    ("\u1000", "\u109f"),  # Myanmar
    ("\u1780", "\u17ff"),  # Khmer
    ("\u2e80", "\u31ff"),  # CJK radicals, kana, bopomofo
    ("\u3400", "\u9fff"),  # CJK ideographs
    ("\uf900", "\ufaff"),  # CJK compatibility
    ("\U00020000", "\U0003ffff"),  # CJK extensions
)
_HANGUL: Final = (("\u1100", "\u11ff"), ("\u3130", "\u318f"), ("\uac00", "\ud7ff"))


def normalize(text: str) -> str:
    """NFKC, case folded, without invisible characters, runs of white space as one space."""
    if text.isascii():
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKC", text).casefold()
    # casefold turns the Turkish dotted capital into i and a combining dot, which nobody types in a keyword.
    folded = _INVISIBLE.sub("", folded.replace("i\u0307", "i"))
    return " ".join(unicodedata.normalize("NFC", folded).split())


def needs_left_boundary(character: str) -> bool:
    """Whether a keyword that begins with this character must begin a word."""
    return _is_word(character) and not _within(character, _UNSPACED)


def needs_right_boundary(character: str) -> bool:
    """Whether a keyword that ends with this character must end a word; Korean particles follow without a space."""
    return _is_word(character) and not _within(character, _UNSPACED) and not _within(character, _HANGUL)


def begins_word(text: str, at: int) -> bool:
    """Whether nothing of the same word stands before this position."""
    return at == 0 or is_outside(text[at - 1])


def ends_word(text: str, at: int) -> bool:
    """Whether nothing of the same word stands at this position."""
    return at >= len(text) or is_outside(text[at])


@lru_cache(maxsize=4096)
def is_outside(character: str) -> bool:
    """Whether a neighbour like this one is no part of a word. Asked for every keyword that is found anywhere."""
    return not _is_word(character) or _within(character, _UNSPACED)


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M"


def _within(character: str, ranges: tuple[tuple[str, str], ...]) -> bool:
    return any(first <= character <= last for first, last in ranges)
