"""Whether two texts are the same answer, however a network re-wrote it on its way out and back."""

import html
import re
import unicodedata
from typing import Final

_INVISIBLE: Final = dict.fromkeys(
    (
        *(0x00AD, 0x034F, 0x061C, 0x180E, 0xFEFF),
        *range(0x200B, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2070),
        *range(0xFE00, 0xFE10),
        *range(0xE0100, 0xE01F0),
    )
)
"""Zero-width and direction marks, soft hyphens, and variation selectors, which networks add to emoji or drop."""

_ADDRESSED: Final = re.compile(r"^(?:@[\w.\-]+[\s,:]*)+")
_LINK: Final = re.compile(r"(?:https?://|www\.)\S+")
_SPACE: Final = re.compile(r"\s+")


def normalize(text: str | None) -> str:
    """The text without what networks change: entities, compatibility forms, case, spaces, invisible characters,
    the handles that a reply begins with, and links, which some networks replace by their own short ones."""
    plain = html.unescape(html.unescape(text or ""))
    plain = unicodedata.normalize("NFKC", plain).translate(_INVISIBLE)
    plain = unicodedata.normalize("NFKC", plain.casefold())
    plain = _SPACE.sub(" ", plain).strip()
    plain = _ADDRESSED.sub("", plain)
    return _LINK.sub("<link>", plain).strip()


def is_same(ours: str, theirs: str, *, ours_has_files: bool = False, theirs_has_files: bool = False) -> bool:
    """Whether two normalized texts may be one answer; without words, only if both carry files."""
    if ours or theirs:
        return ours == theirs
    return ours_has_files and theirs_has_files
