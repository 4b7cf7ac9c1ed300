"""A ruleset compiled to an index, so that a decision costs what the message holds, not how many rules there are.

Every rule is filed under one access predicate, the rarest thing it asks for: an author, one of its keywords, a
channel, a network with a kind. A message looks its own facts up, gets the few rules that could match, and checks
these in order; the first that holds decides. One Aho-Corasick automaton finds every keyword of every rule in one pass.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ahocorasick_rs import AhoCorasick, Implementation, MatchKind

from services.router.domain import text
from services.router.domain.rules import Action, Document, Rule

FALLBACK: Final = "fallback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a rule can ask about one message. `words` is the normalized text, `handle` folded and without `@`."""

    network: str
    channel: str
    kind: str
    words: str
    author_id: str | None = None
    handle: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A keyword that was found, and where in the normalized text."""

    keyword: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The rule that decided and what it saw; `rule` is `fallback` when none matched."""

    rule: str
    action: Action
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class _Compiled:
    """One rule with its keywords as numbers of the automaton."""

    rule: Rule
    networks: frozenset[str]
    channels: frozenset[str]
    kinds: frozenset[str]
    any: frozenset[int]
    all: frozenset[int]
    none: frozenset[int]
    authors: frozenset[str]
    handles: frozenset[str]


@dataclass(slots=True)
class _Keywords:
    """Every keyword of a ruleset, numbered, and the automaton that finds them all in one pass."""

    patterns: list[str] = field(default_factory=list)
    _edges: list[tuple[bool, bool]] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)
    _automaton: AhoCorasick | None = None

    def number(self, word: str) -> int:
        """The number of a keyword; the same for all its spellings."""
        pattern = text.normalize(word)
        if pattern not in self._numbers:
            self._numbers[pattern] = len(self._numbers)
            stem = pattern.removesuffix("*")
            self.patterns.append(stem)
            ends = stem == pattern and text.needs_right_boundary(stem[-1])
            self._edges.append((text.needs_left_boundary(stem[0]), ends))
        return self._numbers[pattern]

    def build(self) -> None:
        """Builds the automaton, once all keywords are numbered."""
        if self.patterns:
            self._automaton = AhoCorasick(
                self.patterns, matchkind=MatchKind.Standard, implementation=Implementation.ContiguousNFA
            )

    def find(self, words: str) -> Mapping[int, tuple[int, int]]:
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


@dataclass(slots=True)
class Ruleset:
    """The index of one version."""

    document: Document
    rules: list[_Compiled]
    keywords: "_Keywords"
    _by_keyword: dict[int, list[int]] = field(default_factory=dict)
    _by_author: dict[str, list[int]] = field(default_factory=dict)
    _by_handle: dict[str, list[int]] = field(default_factory=dict)
    _by_channel: dict[str, list[int]] = field(default_factory=dict)
    _by_network_kind: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Files every rule under the rarest thing that it asks for."""
        frequency = Counter(number for rule in self.rules for number in rule.any | rule.all)
        for rank, rule in enumerate(self.rules):
            if rule.authors or rule.handles:
                _file(self._by_author, rule.authors, rank)
                _file(self._by_handle, rule.handles, rank)
            elif rule.all:
                rarest = min(rule.all, key=lambda number: (frequency[number], number))
                _file(self._by_keyword, (rarest,), rank)
            elif rule.any:
                _file(self._by_keyword, rule.any, rank)
            elif rule.channels:
                _file(self._by_channel, rule.channels, rank)
            else:
                pairs = [(network, kind) for network in rule.networks or ("",) for kind in rule.kinds or ("",)]
                _file(self._by_network_kind, pairs, rank)

    def decide(self, facts: Facts) -> Verdict:
        """The first rule that holds, in the order of the document."""
        found = self.keywords.find(facts.words)
        for rank in self._candidates(facts, found):
            compiled = self.rules[rank]
            if _refusal(compiled, facts, found) is None:
                return Verdict(
                    rule=compiled.rule.name, action=compiled.rule.then, evidence=self._evidence(compiled, found)
                )
        return Verdict(rule=FALLBACK, action=self.document.fallback)

    def explain(self, facts: Facts) -> list[tuple[str, str | None]]:
        """Every rule up to the one that decides with the first thing that it missed; None: this one holds."""
        found = self.keywords.find(facts.words)
        trace: list[tuple[str, str | None]] = []
        for compiled in self.rules:
            missed = _refusal(compiled, facts, found)
            trace.append((compiled.rule.name, missed))
            if missed is None:
                return trace
        trace.append((FALLBACK, None))
        return trace

    def _candidates(self, facts: Facts, found: Mapping[int, tuple[int, int]]) -> list[int]:
        """In order; one that was found in several ways stands there as often."""
        filed = [self._by_keyword.get(number) for number in found]
        if facts.author_id is not None:
            filed.append(self._by_author.get(facts.author_id))
        if facts.handle is not None:
            filed.append(self._by_handle.get(facts.handle))
        filed.append(self._by_channel.get(facts.channel))
        if self._by_network_kind:
            filed += [
                self._by_network_kind.get((network, kind))
                for network in (facts.network, "")
                for kind in (facts.kind, "")
            ]
        # Each list is in order already, and sorting finds such runs: cheaper than a set.
        ranks: list[int] = []
        for some in filed:
            if some:
                ranks += some
        ranks.sort()
        return ranks

    def _evidence(self, compiled: _Compiled, found: Mapping[int, tuple[int, int]]) -> tuple[Evidence, ...]:
        return tuple(
            Evidence(keyword=self.keywords.patterns[number], start=found[number][0], end=found[number][1])
            for number in sorted(compiled.any | compiled.all)
            if number in found
        )


def compile_rules(document: Document) -> Ruleset:
    """The index of a document; disabled rules are left out. About 0.15 s for 10,000 rules."""
    keywords = _Keywords()
    rules = [_compile(rule, keywords.number) for rule in document.rules if rule.enabled]
    keywords.build()
    return Ruleset(document, rules, keywords)


def facts_of(
    *, network: str, channel: str, kind: str, body: str | None, author_id: str | None, handle: str | None
) -> Facts:
    """The facts of a message, normalized once."""
    return Facts(
        network=network,
        channel=channel,
        kind=kind,
        words=text.normalize(body) if body else "",
        author_id=author_id,
        handle=_fold_handle(handle) if handle else None,
    )


def _fold_handle(handle: str) -> str:
    return text.normalize(handle).removeprefix("@")


def _compile(rule: Rule, number: Callable[[str], int]) -> _Compiled:
    condition = rule.when
    words = condition.keywords
    author = condition.author

    def numbers(group: Iterable[str]) -> frozenset[int]:
        return frozenset(number(word) for word in group)

    return _Compiled(
        rule=rule,
        networks=frozenset(condition.network),
        channels=frozenset(condition.channel),
        kinds=frozenset(condition.kind),
        any=numbers((*words.any, *words.phrase)) if words else frozenset(),
        all=numbers(words.all) if words else frozenset(),
        none=numbers(words.none) if words else frozenset(),
        authors=frozenset(author.ids) if author else frozenset(),
        handles=frozenset(map(_fold_handle, author.handles)) if author else frozenset(),
    )


def _file(index: dict[Any, list[int]], keys: Iterable[Any], rank: int) -> None:
    for key in keys:
        index.setdefault(key, []).append(rank)


def _refusal(rule: _Compiled, facts: Facts, found: Mapping[int, tuple[int, int]]) -> str | None:
    """The first condition that does not hold, in words; None when all do."""
    if rule.networks and facts.network not in rule.networks:
        return "network"
    if rule.channels and facts.channel not in rule.channels:
        return "channel"
    if rule.kinds and facts.kind not in rule.kinds:
        return "kind"
    if (rule.authors or rule.handles) and facts.author_id not in rule.authors and facts.handle not in rule.handles:
        return "author"
    return _keyword_refusal(rule, found)


def _keyword_refusal(rule: _Compiled, found: Mapping[int, tuple[int, int]]) -> str | None:
    keys = found.keys()
    if not rule.all <= keys:
        return "keywords.all"
    if rule.any and rule.any.isdisjoint(keys):
        return "keywords.any"
    if rule.none and not rule.none.isdisjoint(keys):
        return "keywords.none"
    return None
