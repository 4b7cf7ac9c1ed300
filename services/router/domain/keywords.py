"""Every keyword of a ruleset, numbered, and the automaton that finds them all in one pass."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ahocorasick_rs import AhoCorasick, Implementation, MatchKind

from services.router.domain import text

Places = Mapping[int, tuple[int, int]]
"""The first place of each keyword that was found, in the normalized text."""


@dataclass(slots=True)
class Keywords:
    """Number all keywords, then build, then find."""

    _stems: list[str] = field(default_factory=list)
    _edges: list[tuple[bool, bool]] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)
    _automaton: AhoCorasick | None = None

    def __len__(self) -> int:
        return len(self._stems)

    def number(self, keyword: str) -> int:
        """The number of a normalized keyword; a trailing `*` lets its last word go on."""
        if keyword not in self._numbers:
            self._numbers[keyword] = len(self._numbers)
            stem = keyword.removesuffix("*")
            self._stems.append(stem)
            ends = stem == keyword and text.needs_right_boundary(stem[-1])
            self._edges.append((text.needs_left_boundary(stem[0]), ends))
        return self._numbers[keyword]

    def build(self) -> None:
        """Builds the automaton, once all keywords are numbered."""
        if self._stems:
            self._automaton = AhoCorasick(
                self._stems, matchkind=MatchKind.Standard, implementation=Implementation.ContiguousNFA
            )

    def find(self, words: str) -> dict[int, tuple[int, int]]:
        """The first place of each keyword that stands in the text as a word of its script."""
        found: dict[int, tuple[int, int]] = {}
        if self._automaton is None or not words:
            return found
        edges, length, is_outside = self._edges, len(words), text.is_outside
        for number, start, end in self._automaton.find_matches_as_indexes(words, overlapping=True):
            if number in found:
                continue
            left, right = edges[number]
            if left and start and not is_outside(words[start - 1]):
                continue
            if right and end < length and not is_outside(words[end]):
                continue
            found[number] = (start, end)
        return found
