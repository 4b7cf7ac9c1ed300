"""Text as rules see it: one form for all scripts, and where a keyword may begin and end in each."""

import re
import unicodedata
from typing import Final

_INVISIBLE: Final = dict.fromkeys(
    [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065), 0x00AD, 0xFEFF, 0x034F, 0x180E], None
)
"""Zero-width, directional and soft-hyphen characters: they hide keywords and carry no meaning here."""

_SPACE: Final = re.compile(r"\s+")

_UNSPACED: Final = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x31FF),  # CJK radicals, kana, bopomofo
    (0x3400, 0x9FFF),  # CJK ideographs
    (0xF900, 0xFAFF),  # CJK compatibility
    (0x20000, 0x3FFFF),  # CJK extensions
)
_HANGUL: Final = ((0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7FF))


def normalize(text: str) -> str:
    """NFKC, case folded, without invisible characters, runs of white space as one space."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    # casefold turns the Turkish dotted capital into i and a combining dot, which nobody types in a keyword.
    folded = folded.replace("i\u0307", "i").translate(_INVISIBLE)
    return _SPACE.sub(" ", unicodedata.normalize("NFC", folded)).strip()


def needs_left_boundary(character: str) -> bool:
    """Whether a keyword that begins with this character must begin a word."""
    return _is_word(character) and not _within(character, _UNSPACED)


def needs_right_boundary(character: str) -> bool:
    """Whether a keyword that ends with this character must end a word; Korean particles follow without a space."""
    return _is_word(character) and not _within(character, _UNSPACED) and not _within(character, _HANGUL)


def begins_word(text: str, at: int) -> bool:
    """Whether nothing of the same word stands before this position."""
    return at == 0 or not _is_word(text[at - 1]) or _within(text[at - 1], _UNSPACED)


def ends_word(text: str, at: int) -> bool:
    """Whether nothing of the same word stands at this position."""
    return at >= len(text) or not _is_word(text[at]) or _within(text[at], _UNSPACED)


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M"


def _within(character: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    code = ord(character)
    return any(first <= code <= last for first, last in ranges)
