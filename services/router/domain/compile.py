"""A ruleset compiled to an index, so that a decision costs what the message holds, not how many rules there are.

Every rule is filed under the rarest thing that it asks for: an author, a hashtag, one of its keywords, a pattern, a
channel. A message looks up what it has, gets the few rules that could match, and checks these in order. One
Aho-Corasick automaton finds every keyword of every rule in one pass, one RE2 set every pattern.
"""

import gc
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, get_args

import msgspec

from services.router.domain import criteria, language, surging, text
from services.router.domain.answers import KINDS
from services.router.domain.criteria import KEYWORD, PATTERN, SEVERAL, Binder, Check, Keys, Node, Seen
from services.router.domain.facts import SLOW, Derive, Facts, Told, derivation
from services.router.domain.outcome import Outcome, of_rule
from services.router.domain.rules import OPERATIONS, Document, Rule
from services.router.domain.vocabulary import ATTRIBUTE, ATTRIBUTES, RECEIVED, TIMER, TRIGGERS, Trigger
from shared.events.messages import Operation
from shared.events.routing import Flag, Moderation, Priority

FALLBACK: Final = "fallback"
MAX_FLAGS: Final = 10
"""What one decision tells people and endpoints: of more rules the first are heard."""

_PRIORITIES: Final = {name: rank for rank, name in enumerate(get_args(Priority))}


class Verdict(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The rule that decided the owner, what all rules that hold make of it, and their names in order.

    `said_by`: for each action that says something, the rule whose text it is, also where a surge keeps it back.
    """

    rule: str
    action: Outcome
    matched: tuple[str, ...] = ()
    said_by: dict[str, str] = {}


@dataclass(slots=True)
class Compiled:
    """One rule, ready."""

    rank: int
    rule: Rule
    node: Node
    then: Outcome
    owns: bool


@dataclass(slots=True)
class Ruleset:
    """The index of one version's rules that are asked about the same thing."""

    document: Document
    rules: list[Compiled]
    _binder: Binder
    fallback: Outcome
    """What becomes of that for which no rule says more."""
    triggered: Mapping[Trigger, "Ruleset"] = field(default_factory=dict)
    """The version's other rules, by what they are asked about."""
    timers: Mapping[int, "Ruleset"] = field(default_factory=dict)
    """Those about silence, by the minutes that it must have lasted."""
    filed: list[Keys | None] = field(default_factory=list)
    """Under which keys each rule is filed; None: it is looked at for every message."""
    _checks: list[Check] = field(default_factory=list)
    """What is left to be checked of each rule that was found under its keys."""
    _by_keyword: dict[int, list[int]] = field(default_factory=dict)
    _by_pattern: dict[int, list[int]] = field(default_factory=dict)
    _by_value: dict[str, dict[Any, list[int]]] = field(default_factory=dict)
    _always: list[int] = field(default_factory=list)
    _last_adding: int = -1
    _has_attributes: bool = False
    _speaks: bool = False
    _moderating: Mapping[str, tuple[Operation, ...]] = field(default_factory=dict)
    """What each rule does to the message on its network, of those that do anything."""
    _quick: list[tuple[str, Derive]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Files every rule under the rarest thing that it asks for."""
        frequency = Counter(
            key for one in self.rules for leaf in criteria.leaves(one.node) for keys in leaf.access for key in keys
        )
        for rank, compiled in enumerate(self.rules):
            keys = criteria.access(compiled.node, frequency)
            self.filed.append(keys)
            self._checks.append(criteria.rest(compiled.node, keys))
            if keys is None:
                self._always.append(rank)
            for fact, value in dict.fromkeys(keys or ()):
                self._index(fact).setdefault(value, []).append(rank)
            if not compiled.owns:
                self._last_adding = rank
        self._quick = [(fact, derivation(fact)) for fact in self._binder.asked if fact not in SLOW]
        self._speaks = self.fallback.speaks or any(one.rule.then.speaks for one in self.rules)
        self._moderating = {one.rule.name: asked for one in self.rules if (asked := one.rule.then.operations)}
        self._has_attributes = any(fact.startswith(ATTRIBUTES) for fact in self._binder.asked)
        if self.asks("language"):
            language.model()

    def decide(self, facts: Facts, *, without: Collection[str] = ()) -> Verdict:
        """The first rule that owns, and all that add to it, in the order of the document; but for some of them."""
        seen = self.see(facts)
        checks = self._checks
        ranks = iter(self._candidates(seen))
        if without:
            ranks = iter([rank for rank in ranks if self.rules[rank].rule.name not in without])
        held: list[Compiled] = []
        for rank in ranks:
            # One that was found in several ways stands there as often.
            if checks[rank](seen) and not (held and held[-1].rank == rank):
                compiled = self.rules[rank]
                held.append(compiled)
                if compiled.owns or compiled.rule.then.stop:
                    break
        if held and held[-1].owns and not held[-1].rule.then.stop and held[-1].rank < self._last_adding:
            self._add(held, ranks, seen)
        verdict = _verdict(held, self.fallback)
        if self._speaks:
            verdict = _speaking(verdict, held, self.fallback)
        if verdict.action.flags and facts.replayed:
            # On what was understood only afterwards automations stay off.
            verdict = msgspec.structs.replace(verdict, action=msgspec.structs.replace(verdict.action, flags=()))
        return verdict if facts.surging is None else _during(verdict, facts)

    def _add(self, held: list[Compiled], ranks: Iterable[int], seen: Seen) -> None:
        """Whatever still adds, once the owner is decided."""
        for rank in ranks:
            compiled = self.rules[rank]
            if not compiled.owns and held[-1] is not compiled and self._checks[rank](seen):
                held.append(compiled)
                if compiled.rule.then.stop:
                    return

    def moderation(self, matched: Sequence[str]) -> tuple[Moderation, ...]:
        """What rules that hold do to the message on its network; of several the first that asks."""
        if not self._moderating:
            return ()
        first: dict[Operation, str] = {}
        for name in matched:
            for operation in self._moderating.get(name, ()):
                first.setdefault(operation, name)
        return tuple(Moderation(operation=one, rule=first[one]) for one in OPERATIONS if one in first)

    @property
    def weight(self) -> int:
        """Rules and keywords: what its memory grows with."""
        own = len(self.rules) + len(self._binder.keywords)
        return own + sum(other.weight for other in self.others)

    @property
    def others(self) -> tuple["Ruleset", ...]:
        """All rules of the version that are asked about something else than messages that come in."""
        return (*self.triggered.values(), *self.timers.values())

    def about(self, trigger: Trigger, after: int | None = None) -> "Ruleset":
        """The version's rules that are asked about this; there may be none."""
        return self.listening(trigger, after) or _index(self.document, (), Outcome())

    def listening(self, trigger: Trigger, after: int | None = None) -> "Ruleset | None":
        """The same, where there are some."""
        if trigger == RECEIVED:
            return self
        return self.timers.get(after or 0) if trigger == TIMER else self.triggered.get(trigger)

    def asks(self, fact: str) -> bool:
        """Whether any rule asks for it, or, of attributes, for any of them."""
        return fact in self._binder.asked or (fact == ATTRIBUTE and self._has_attributes)

    def see(self, facts: Facts) -> Seen:
        """The message as this ruleset asks for it."""
        words = text.normalize(facts.text) if facts.text else ""
        values = {fact: derive(facts, words) for fact, derive in self._quick}
        if len(self._quick) < len(self._binder.asked):
            values = Told(values, facts, words)
        return Seen(values, words, self._binder.keywords.find(words), self._binder.patterns.find(words))

    def _index(self, fact: str) -> dict[Any, list[int]]:
        if fact == KEYWORD:
            return self._by_keyword
        if fact == PATTERN:
            return self._by_pattern
        return self._by_value.setdefault(fact, {})

    def _candidates(self, seen: Seen) -> list[int]:
        """In order; one that was found in several ways stands there as often."""
        by_keyword, by_pattern = self._by_keyword, self._by_pattern
        filed = [by_keyword.get(number) for number in seen.found]
        filed.append(self._always)
        if seen.matched:
            filed += [by_pattern.get(number) for number in seen.matched]
        for fact, index in self._by_value.items():
            value = seen.values[fact]
            filed += map(index.get, value) if fact in SEVERAL else (index.get(value),)
        # Each list is in order already, and sorting finds such runs: cheaper than a set.
        ranks: list[int] = []
        for some in filed:
            if some:
                ranks += some
        ranks.sort()
        return ranks


def compile_rules(document: Document) -> Ruleset:
    """The index of a document; disabled rules are left out. About 0.3 s for 10,000 rules."""
    is_collecting = gc.isenabled()
    # All that is made here stays: looking for garbage in it would take longer than making it.
    gc.disable()
    try:
        enabled = [rule for rule in document.rules if rule.enabled]
        on = {one: [rule for rule in enabled if rule.on == one] for one in TRIGGERS}
        timers = sorted({rule.after_minutes or 0 for rule in on[TIMER]})
        ruleset = _index(document, on[RECEIVED], of_rule(FALLBACK, document.fallback))
        ruleset.triggered = {
            one: _index(document, some, Outcome()) for one, some in on.items() if some and one not in {RECEIVED, TIMER}
        }
        ruleset.timers = {
            after: _index(document, [rule for rule in on[TIMER] if rule.after_minutes == after], Outcome())
            for after in timers
        }
        return ruleset
    finally:
        if is_collecting:
            gc.enable()


def _index(document: Document, some: Iterable[Rule], fallback: Outcome) -> Ruleset:
    binder = Binder(document)
    rules = []
    for rank, rule in enumerate(some):
        node = binder.bind(rule.when)
        rules.append(Compiled(rank, rule, node, of_rule(rule.name, rule.then), rule.then.owns))
    binder.keywords.build()
    binder.patterns.build()
    return Ruleset(document, rules, binder, fallback)


def _verdict(held: list[Compiled], fallback: Outcome) -> Verdict:
    owner = next((one for one in held if one.owns), None)
    deciding = owner.then if owner is not None else fallback
    adding = [one.then for one in held if not one.owns]
    return Verdict(
        rule=owner.rule.name if owner is not None else FALLBACK,
        action=_sum(deciding, adding) if adding else deciding,
        matched=tuple([one.rule.name for one in held]),
    )


def _speaking(verdict: Verdict, held: list[Compiled], fallback: Outcome) -> Verdict:
    """Of all that would say something the first in the document does; nothing is said to what is ignored."""
    if verdict.action.ignore:
        return verdict
    speaking = [(one.rule.name, one.rule.then) for one in held if one.rule.then.speaks]
    if fallback.speaks and not any(one.owns for one in held):
        speaking.append((FALLBACK, fallback))
    said_by: dict[str, str] = {}
    said: dict[str, Any] = dict.fromkeys(KINDS)
    for kind in KINDS:
        for name, action in speaking:
            if (answer := getattr(action, kind)) is not None:
                said_by[kind], said[kind] = name, answer
                break
    return msgspec.structs.replace(verdict, action=msgspec.structs.replace(verdict.action, **said), said_by=said_by)


def joined(actions: Sequence[Outcome]) -> Outcome:
    """What several verdicts about one ticket come to: the owner of the first that has one, and all that they add."""
    owner = next((one for one in actions if one.owns), actions[0])
    return _sum(owner, [one for one in actions if one is not owner])


def _during(verdict: Verdict, facts: Facts) -> Verdict:
    """What a surge makes of it; the rules stay what they are."""
    assert facts.surging is not None  # noqa: S101 - it was looked at a line ago
    action = surging.laid_over(verdict.action, facts.surging, lane=facts.told_lane)
    return verdict if action is verdict.action else msgspec.structs.replace(verdict, action=action)


def _sum(deciding: Outcome, adding: list[Outcome]) -> Outcome:
    """The owner of the one, the tags of all, the highest priority that any names, the first lane, what all tell."""
    actions = [deciding, *adding]
    priorities = [action.priority for action in actions if action.priority is not None]
    return Outcome(
        team=deciding.team,
        agent=deciding.agent,
        ignore=deciding.ignore,
        reroute=deciding.reroute,
        reason=deciding.reason,
        priority=max(priorities, key=_PRIORITIES.__getitem__, default=None),
        tags=tuple(dict.fromkeys(tag for action in actions for tag in action.tags)),
        snooze=next((action.snooze for action in actions if action.snooze is not None), None),
        lane=next((action.lane for action in actions if action.lane is not None), None),
        flags=() if deciding.ignore else _flags(actions),
        like=any(action.like for action in actions),
        hide=any(action.hide for action in actions),
        delete=any(action.delete for action in actions),
    )


def _flags(actions: Sequence[Outcome]) -> tuple[Flag, ...]:
    """What they tell; what several rules say to the same people is said once."""
    found: dict[tuple[Any, ...], Flag] = {}
    for flag in (flag for one in actions for flag in one.flags):
        found.setdefault((flag.text, flag.team, flag.agents, flag.endpoint), flag)
    return tuple(found.values())[:MAX_FLAGS]
