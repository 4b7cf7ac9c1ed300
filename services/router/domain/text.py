"""Text as rules see it: one form for all scripts, and where a keyword may begin and end in each."""

import re
import unicodedata
from functools import lru_cache
from typing import Final

_INVISIBLE: Final = re.compile("[\u00ad\u034f\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe0e\ufe0f\ufeff]+")
"""Zero-width, directional and soft-hyphen characters, and whether an emoji is coloured: they hide keywords."""

_PRINTABLE: Final = ("\u034f", "\ufe0e", "\ufe0f")
"""Those of them that Python calls printable."""

_UNSPACED: Final = (
    ("\u0e00", "\u0eff"),  # Thai, Lao
    ("\u1000", "\u109f"),  # Myanmar
    ("\u1780", "\u17ff"),  # Khmer
    ("\u2e80", "\u31ff"),  # CJK radicals, kana, bopomofo
    ("\u3400", "\u9fff"),  # CJK ideographs
    ("\uf900", "\ufaff"),  # CJK compatibility
    ("\U00020000", "\U0003ffff"),  # CJK extensions
)
UNSPACED_CLASS: Final = "".join(f"{first}-{last}" for first, last in _UNSPACED)
"""The same as a character class of a regular expression."""

_HANGUL: Final = (("\u1100", "\u11ff"), ("\u3130", "\u318f"), ("\uac00", "\ud7ff"))


def normalize(text: str) -> str:
    """NFKC, case folded, without invisible characters, runs of white space as one space."""
    return " ".join((text.lower() if text.isascii() else _fold(text)).split())


def origins(original: str) -> list[tuple[int, int]]:
    """For each character of the normalized text, from where to where it stood in the original."""
    clusters = _clusters(original)
    if "".join(folded for folded, _, _ in clusters) != _fold(original):
        clusters = [(_fold(original), 0, len(original))]
    found: list[tuple[int, int]] = []
    gap: tuple[int, int] | None = None
    for folded, start, end in clusters:
        for character in folded:
            if character.isspace():
                gap = gap or (start, end)
                continue
            if gap is not None and found:
                found.append(gap)
            gap = None
            found.append((start, end))
    return found


def _clusters(original: str) -> list[tuple[str, int, int]]:
    """The parts of a text that fold on their own: folded, and where they stand."""
    clusters: list[tuple[str, int, int]] = []
    for at, character in enumerate(original):
        folded = _fold(character)
        if clusters:
            before, start, _ = clusters[-1]
            together = _fold(original[start : at + 1])
            if not folded or unicodedata.combining(character) or together != before + folded:
                clusters[-1] = (together, start, at + 1)
                continue
        clusters.append((folded, at, at + 1))
    return clusters


def _fold(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    # casefold turns the Turkish dotted capital into i and a combining dot, which nobody types in a keyword.
    folded = folded.replace("i\u0307", "i")
    # Looking for what is invisible costs as much as all the rest, and most texts hold nothing of it.
    if not folded.isprintable() or any(one in folded for one in _PRINTABLE):
        folded = _INVISIBLE.sub("", folded)
    return unicodedata.normalize("NFC", folded)


@lru_cache(maxsize=4096)
def needs_left_boundary(character: str) -> bool:
    """Whether a keyword that begins with this character must begin a word."""
    return _is_word(character) and not _within(character, _UNSPACED)


@lru_cache(maxsize=4096)
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
