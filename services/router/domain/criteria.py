"""Criteria made ready: what checks each against a message, and what a message must have for it to hold."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.router.domain import conditions, patterns, text
from services.router.domain.conditions import Condition, Criterion
from services.router.domain.facts import Value
from services.router.domain.keywords import Keywords, Places
from services.router.domain.patterns import Patterns
from services.router.domain.rules import Document
from services.router.domain.vocabulary import ATTRIBUTES
from shared.calendars import Opening

KEYWORD: Final = "keyword"
PATTERN: Final = "pattern"

_RARITY: Final[Mapping[str, int]] = {
    rank_of: rank
    for rank, facts in enumerate(
        (
            ("author.id", "author.handle", "post"),
            ("hashtags", "mentions", "links", "post.ad", "ticket.owner", "ticket.tags", "customer.tags"),
            (KEYWORD, "lane"),
            (PATTERN, "post.campaign"),
            ("channel", "ticket.team"),
            ("media",),
            ("kind", "channel.purpose"),
            ("network",),
        )
    )
    for rank_of in facts
}
"""The facts that rules are filed under: the rarer a value is among messages, the fewer are checked in vain."""


@dataclass(slots=True)
class Seen:
    """One message: the values of the facts that the ruleset asks for, the keywords and patterns in its text."""

    values: dict[str, Value]
    words: str
    found: Places
    matched: frozenset[int]


Check = Callable[[Seen], bool]
Key = tuple[str, Any]
Keys = tuple[Key, ...]
"""A message must have one of these."""


@dataclass(slots=True)
class Leaf:
    """A criterion that is ready. `access`: ways to file it, each enough; none for what anything may satisfy."""

    criterion: Criterion
    holds: Check
    access: tuple[Keys, ...] = ()
    keywords: tuple[int, ...] = ()
    patterns: tuple[str, ...] = ()


@dataclass(slots=True)
class Branch:
    """A group that is ready."""

    is_all: bool
    parts: tuple["Node", ...]
    holds: Check


Node = Leaf | Branch


@dataclass(slots=True)
class Binder:
    """Makes conditions of one document ready, and gathers what its messages will be asked for."""

    document: Document
    keywords: Keywords = field(default_factory=Keywords)
    patterns: Patterns = field(default_factory=Patterns)
    asked: set[str] = field(default_factory=set)
    _openings: dict[str, Opening] = field(default_factory=dict)
    _lanes: dict[str, frozenset[int]] = field(default_factory=dict)
    _values: dict[tuple[str, str, tuple[Any, ...]], tuple[Check, tuple[Keys, ...]]] = field(default_factory=dict)

    def bind(self, condition: Condition) -> Node:
        """The condition, ready."""
        if isinstance(condition, Criterion):
            return self._leaf(condition)
        # What costs little is asked first: values before keywords, groups last.
        parts = tuple(sorted((self.bind(part) for part in condition.parts), key=_cost))
        is_all = condition.kind == "all"
        return Branch(is_all, parts, _group(tuple(part.holds for part in parts), is_all=is_all))

    def _leaf(self, criterion: Criterion) -> Leaf:
        keys: tuple[Keys, ...] = ()
        words: tuple[int, ...] = ()
        sources: tuple[str, ...] = ()
        match criterion.fact, criterion.operator:
            case "text", "any" | "all" as operator:
                words = tuple(self.keywords.number(word) for word in criterion.values)
                holds, keys = _words(words, is_all=operator == "all")
            case "lane", "in":
                self.asked.add("lane")
                words = self._lane_words(criterion.values)
                holds, keys = _lane(words, criterion.values)
            case "text", "regex" | "wildcard" as operator:
                sources = tuple(patterns.source(one, operator, in_text=True) for one in criterion.values)
                numbers = tuple(self.patterns.number(one) for one in sources)
                holds, keys = _matches(frozenset(numbers)), (tuple((PATTERN, number) for number in numbers),)
            case "author.list", _:
                self.asked |= {"author.id", "author.handle"}
                holds, keys = self._value(criterion)
            case "time", "within" | "holiday":
                holds = self._time(criterion)
            case fact, _ if fact.startswith(ATTRIBUTES):
                self.asked.add(fact)
                holds = _attribute(criterion)
            case fact, _:
                self.asked.add(fact)
                holds, keys = self._value(criterion)
        if criterion.negated:
            return Leaf(criterion, _not(holds))
        return Leaf(criterion, holds, keys, words, sources)

    def _value(self, criterion: Criterion) -> tuple[Check, tuple[Keys, ...]]:
        # Thousands of rules ask for the same few networks, kinds and lists.
        asked = (criterion.fact, criterion.operator, criterion.values)
        if asked not in self._values:
            is_list = criterion.fact == "author.list"
            self._values[asked] = self._author(criterion.values) if is_list else _value(criterion)
        return self._values[asked]

    def _lane_words(self, lanes: Iterable[str]) -> tuple[int, ...]:
        for lane in lanes:
            if lane not in self._lanes:
                words = (word for some in self.document.lanes[lane].values() for word in some)  # type: ignore[index]
                self._lanes[lane] = frozenset(self.keywords.number(text.normalize(word)) for word in words)
        return tuple(sorted(frozenset[int]().union(*(self._lanes[lane] for lane in lanes))))

    def _author(self, names: Iterable[str]) -> tuple[Check, tuple[Keys, ...]]:
        lists = [self.document.lists[name] for name in names]
        ids = frozenset(one for people in lists for one in people.ids)
        handles = frozenset(conditions.fold("author.handle", one) for people in lists for one in people.handles)
        keys = (*(("author.id", one) for one in ids), *(("author.handle", one) for one in handles))
        return lambda seen: seen.values["author.id"] in ids or seen.values["author.handle"] in handles, (keys,)

    def _time(self, criterion: Criterion) -> Check:
        self.asked.add("time")
        for name in criterion.values:
            if name not in self._openings:
                self._openings[name] = Opening(self.document.calendars[name])
        asked = [
            self._openings[name].is_open if criterion.operator == "within" else self._openings[name].is_holiday
            for name in criterion.values
        ]
        return lambda seen: (at := seen.values["time"]) is not None and any(holds(at) for holds in asked)


def access(node: Node, frequency: Counter[Key]) -> Keys | None:
    """The rarest keys of which a message must have one; None: any message may satisfy it."""
    if isinstance(node, Leaf):
        ways: list[Keys] = list(node.access)
    elif node.is_all:
        ways = [keys for part in node.parts if (keys := access(part, frequency)) is not None]
    else:
        each = [access(part, frequency) for part in node.parts]
        ways = [] if None in each else [tuple(key for keys in each if keys is not None for key in keys)]
    if len(ways) > 1:
        return min(ways, key=lambda keys: _weight(keys, frequency))
    return ways[0] if ways else None


def rest(node: Node, keys: Keys | None) -> Check:
    """What is left to be checked where a message has one of the keys: a criterion that asks for just these holds."""
    parts = node.parts if isinstance(node, Branch) and node.is_all else (node,)
    left = [part.holds for part in parts if not (isinstance(part, Leaf) and _asks_for(part, keys))]
    if not left:
        return _anything
    return _group(tuple(left), is_all=True) if len(left) < len(parts) else node.holds


def _asks_for(leaf: Leaf, keys: Keys | None) -> bool:
    return len(leaf.access) == 1 and leaf.access[0] is keys


def _anything(_: Seen) -> bool:
    return True


def leaves(node: Node) -> Iterable[Leaf]:
    """Every leaf."""
    if isinstance(node, Leaf):
        return (node,)
    return (leaf for part in node.parts for leaf in leaves(part))


def _weight(keys: Keys, frequency: Counter[Key]) -> tuple[int, int]:
    return max((_RARITY[fact] for fact, _ in keys), default=0), sum(frequency[key] for key in keys)


def _cost(node: Node) -> int:
    if isinstance(node, Branch):
        return 2
    return int(node.criterion.fact in {"text", "lane"} or node.criterion.operator in {"regex", "wildcard"})


def _group(checks: tuple[Check, ...], *, is_all: bool) -> Check:
    match checks:
        case ():
            return lambda _: False
        case (one,):
            return one
        # Most groups are pairs, and asked for every rule that is looked at: a loop costs twice as much.
        case one, other:
            return (lambda seen: one(seen) and other(seen)) if is_all else (lambda seen: one(seen) or other(seen))

    def holds(seen: Seen) -> bool:
        for check in checks:
            if check(seen) is not is_all:
                return not is_all
        return is_all

    return holds


def _not(check: Check) -> Check:
    return lambda seen: not check(seen)


def _words(numbers: tuple[int, ...], *, is_all: bool) -> tuple[Check, tuple[Keys, ...]]:
    wanted = frozenset(numbers)
    keys = tuple((KEYWORD, number) for number in numbers)
    if is_all:
        return lambda seen: wanted <= seen.found.keys(), tuple((key,) for key in keys)
    return lambda seen: not wanted.isdisjoint(seen.found), (keys,)


def _lane(numbers: tuple[int, ...], lanes: tuple[Any, ...]) -> tuple[Check, tuple[Keys, ...]]:
    """One of the lanes' words is there, or the classifier says one of the lanes."""
    words, told = frozenset(numbers), frozenset(lanes)
    keys = (*((KEYWORD, number) for number in numbers), *(("lane", lane) for lane in lanes))
    return lambda seen: not words.isdisjoint(seen.found) or seen.values["lane"] in told, (keys,)


def _matches(wanted: frozenset[int]) -> Check:
    return lambda seen: not wanted.isdisjoint(seen.matched)


def _value(criterion: Criterion) -> tuple[Check, tuple[Keys, ...]]:
    """A fact that has one value or several; what is not set satisfies nothing but a negation."""
    fact, values = criterion.fact, criterion.values
    is_several = fact in SEVERAL
    keys = tuple((fact, value) for value in values) if fact in _RARITY else None
    match criterion.operator:
        case "in":
            wanted = frozenset(values)
            if is_several:
                return lambda seen: not wanted.isdisjoint(seen.values[fact]), (keys,) if keys else ()
            return lambda seen: seen.values[fact] in wanted, (keys,) if keys else ()
        case "all":
            wanted = frozenset(values)
            return lambda seen: wanted <= seen.values[fact], tuple((key,) for key in keys or ())
        case "set":
            return (lambda seen: bool(seen.values[fact]) if is_several else seen.values[fact] is not None), ()
        case operator:
            one = _test(operator, values)
    if is_several:
        return lambda seen: any(one(value) for value in seen.values[fact]), ()
    return lambda seen: (value := seen.values[fact]) is not None and one(value), ()


def _attribute(criterion: Criterion) -> Check:
    """A fact that may be a text, a number or a flag: what is of another kind than the operator's satisfies nothing."""
    fact, operator = criterion.fact, criterion.operator
    if operator == "set":
        return lambda seen: seen.values[fact] is not None
    if operator == "in":
        # To Python, true is 1.
        wanted = frozenset((isinstance(value, bool), value) for value in criterion.values)
        return lambda seen: (isinstance(value := seen.values[fact], bool), value) in wanted
    kinds = str if operator in {"starts", "regex", "wildcard"} else (int, float)
    one = _test(operator, criterion.values)

    def holds(seen: Seen) -> bool:
        value = seen.values[fact]
        return isinstance(value, kinds) and not isinstance(value, bool) and one(value)

    return holds


def _test(operator: str, values: tuple[Any, ...]) -> Callable[[Any], bool]:
    match operator:
        case "starts":
            return lambda value: value.startswith(values)
        case "regex" | "wildcard":
            searches = [patterns.compiled(patterns.source(one, operator, in_text=False)).search for one in values]
            return lambda value: any(search(value) for search in searches)
        case "between":
            return lambda value: any(low <= value <= high for low, high in values)
        case _:
            return _COMPARISONS[operator](values[0])


_COMPARISONS: Final[Mapping[str, Callable[[float], Callable[[Any], bool]]]] = {
    "gt": lambda least: lambda value: value > least,
    "gte": lambda least: lambda value: value >= least,
    "lt": lambda most: lambda value: value < most,
    "lte": lambda most: lambda value: value <= most,
}
SEVERAL: Final = frozenset(
    {
        "hashtags",
        "mentions",
        "links",
        "media",
        "ticket.tags",
        "ticket.changed",
        "customer.tags",
        "shift",
        "shift.change",
    }
)
"""Facts with several values."""
