"""The language of a text, told by a model that ships with its library."""

from functools import cache
from typing import Any, Final

import re2

_CODES: Final = """
ar bg bn cs da de el en es et fa fi fr he hi hr hu id it ja ko lt lv ms nl no pl pt ro ru sk sl sr sv ta th tl tr uk ur
vi zh
"""
LANGUAGES: Final = tuple(_CODES.split())
"""What is told apart: fewer languages, fewer mistakes."""

LEAST: Final = 0.4
"""Below this likelihood nothing is told: single words and emoji belong to many languages or to none."""

_FOREIGN: Final = re2.compile(r"(?i)(?:https?://|www\.)\S+|[@#]\S+")
"""Links, mentions and hashtags are in no language."""


def tell(text: str) -> str | None:
    """The language as ISO 639-1; None when the text is too short or too mixed to tell."""
    said = _FOREIGN.sub("", text).strip()
    if not said:
        return None
    language, _ = model().classify(said)
    return language if language in LANGUAGES else None


@cache
def model() -> Any:
    """The model, loaded once: it takes a second and 100 MB, which only rulesets that ask for a language spend."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=LEAST)
    identifier.set_languages(LANGUAGES)
    return identifier
