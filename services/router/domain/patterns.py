"""Regular expressions and wildcards in linear time: RE2, taught what a word is in every script."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import re2

from services.router.domain import text

MEMORY_OF_ONE: Final = 1 << 20
MEMORY_OF_ALL: Final = 64 << 20
"""Bytes. RE2 refuses what needs more, when a version is kept and never when a message comes."""

_NOTHING: Final = frozenset[int]()
_WORD: Final = r"\pL\pN\pM_"
_OUTSIDE: Final = rf"[^{_WORD}]|[{text.UNSPACED_CLASS}]"
_LEFT: Final = f"(?:^|{_OUTSIDE})"
_RIGHT: Final = f"(?:$|{_OUTSIDE})"
_UNICODE: Final = {"w": _WORD, "d": r"\p{Nd}", "s": r"\s"}
"""RE2's classes know ASCII only. White space is folded to single spaces before."""


class Unreadable(Exception):
    """What is wrong with a value of a rule, for whoever wrote it."""


@dataclass(slots=True)
class Patterns:
    """Every pattern of a ruleset that looks at the text, numbered, and the one automaton that tries them all."""

    memory: int = MEMORY_OF_ALL
    _sources: dict[str, int] = field(default_factory=dict)
    _set: Any = None

    def number(self, source: str) -> int:
        """The number of a pattern."""
        return self._sources.setdefault(source, len(self._sources))

    def build(self) -> None:
        """Builds the automaton, once all patterns are numbered; Unreadable when it would need too much memory."""
        if not self._sources:
            return
        self._set = re2.Set.SearchSet(_options(self.memory))
        try:
            for source in self._sources:
                self._set.Add(source)
            self._set.Compile()
        except re2.error as error:
            raise Unreadable("the patterns of this ruleset need too much memory together") from error

    def find(self, words: str) -> frozenset[int]:
        """The patterns that match somewhere in the normalized text."""
        return frozenset(self._set.Match(words) or ()) if self._set is not None else _NOTHING


def check(value: str, operator: str, *, in_text: bool) -> str:
    """A pattern as it was written, if it can be used; Unreadable says why not."""
    if compiled(source(value, operator, in_text=in_text)).search("") and operator == "regex":
        raise Unreadable("it matches even an empty text, thus everything")
    return value


def source(value: str, operator: str, *, in_text: bool) -> str:
    """A pattern in RE2's own words: anywhere in the text, or against a whole value."""
    if operator == "regex":
        return _regex(value)
    # Of other facts only names are folded, and those already are.
    folded = text.normalize(value) if in_text else value
    if not folded.strip("*? "):
        raise Unreadable("a wildcard needs a character of its own")
    any_of = f"[{_WORD}]" if in_text else "."
    body = "".join({"*": f"{any_of}*", "?": any_of}.get(one, _escaped(one)) for one in folded)
    if not in_text:
        return f"(?s)^({body})$"
    left = _LEFT if folded[0] in "*?" or text.needs_left_boundary(folded[0]) else ""
    right = _RIGHT if folded[-1] in "*?" or text.needs_right_boundary(folded[-1]) else ""
    return f"{left}({body}){right}"


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """A pattern in RE2's words, compiled; Unreadable when RE2 refuses it."""
    try:
        return re2.compile(pattern, _options(MEMORY_OF_ONE))
    except re2.error as error:
        reason = error.args[0]
        raise Unreadable(f"RE2 says: {reason.decode() if isinstance(reason, bytes) else reason}") from error


def place(pattern: str, words: str) -> tuple[int, int] | None:
    """Where a pattern first matches, without what only bounds it."""
    found = compiled(pattern).search(words)
    return found.span(1) if found else None


def _regex(value: str) -> str:
    """Case aside, with Unicode's letters; `\\b` may stand at both ends, where it means that no word goes on."""
    left, right = value.startswith(r"\b"), len(value) > 2 and _ends_with_boundary(value)
    core = value[2 if left else 0 : -2 if right else None]
    if "[:" in core:
        raise Unreadable(r"classes like [:alpha:] know ASCII only: use \pL, \pN, \p{Han}")
    written = "".join(_tokens(core))
    edge = f"[^{_WORD}]"
    return f"(?i){f'(?:^|{edge})' if left else ''}({written}){f'(?:$|{edge})' if right else ''}"


def _tokens(core: str) -> Iterator[str]:
    inside, index = False, 0
    while index < len(core):
        one = core[index]
        index += 1
        if one == "\\" and index < len(core):
            yield _escape_sequence(core[index], inside=inside)
            index += 1
            continue
        if one == "[" and not inside:
            inside = True
            # A bracket that closes nothing yet stands for itself.
            opening = next(start for start in ("^]", "^", "]", "") if core.startswith(start, index))
            one, index = one + opening, index + len(opening)
        elif one == "]":
            inside = False
        yield one


def _ends_with_boundary(value: str) -> bool:
    slashes = len(value) - 1 - len(value[:-1].rstrip("\\"))
    return value.endswith("b") and slashes % 2 == 1


def _escape_sequence(letter: str, *, inside: bool) -> str:
    if letter in "QEC":
        raise Unreadable(f"\\{letter} cannot be used here")
    if letter in "bB":
        raise Unreadable(r"\b may stand only at the beginning and at the end: RE2's own knows ASCII words only")
    plain = _UNICODE.get(letter.lower())
    if plain is None or letter in "sS":
        return f"\\{letter}"
    if letter.islower():
        return plain if inside else f"[{plain}]"
    if inside:
        raise Unreadable(f"\\{letter} cannot stand in a class here: write what it should hold")
    return f"[^{plain}]"


def _escaped(one: str) -> str:
    return one if one.isalnum() or one in "_ " else re2.escape(one)


def _options(memory: int) -> Any:
    options = re2.Options()
    options.max_mem = memory
    options.log_errors = False
    return options
