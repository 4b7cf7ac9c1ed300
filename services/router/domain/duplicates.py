"""What messages say, apart from how they put it, so that those that say the same can be found while it surges."""

from typing import Final

import re2

from services.router.domain import facts, text
from shared import ids

LEAST: Final = 12
"""Bytes that a text must have to be the same as another one: everybody says `thanks`."""

LENGTH: Final = 10
"""Hex digits of a name; a surge has thousands of texts, not billions."""

_WORD: Final = re2.compile(r"[\pL\pN\pM]+")


def name(written: str | None) -> str | None:
    """A short name of what a text says, the same for all that say it; None where that is too little.

    Who shares a link to a page says what everybody says who shares it. Otherwise letters and digits count, without the
    accounts that are mentioned.
    """
    words = text.normalize(written) if written else ""
    pages = sorted(link for link in facts.links(words) if "/" in link.rstrip("/"))
    said = " ".join(pages or _WORD.findall(facts.without_mentions(words)))
    return ids.digest("dup", said)[4 : 4 + LENGTH] if len(said.encode()) >= LEAST else None
