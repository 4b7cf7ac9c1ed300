"""Conditions: what `when` says, as a tree of criteria in which only criteria are negated, and what is wrong with it."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from math import isfinite
from typing import Any, Final, Literal

from services.router.domain import patterns, text, vocabulary
from services.router.domain.patterns import Unreadable
from services.router.domain.vocabulary import ALIASES, CHANGED, FACTS, GROUPS, Fact

MAX_DEPTH: Final = 10
MAX_WORDS: Final = 500
MAX_VALUES: Final = 50_000
MAX_LENGTH: Final = 500
MAX_KEYWORD: Final = 200

Problem = dict[str, str]
_CANONICAL: Final = {
    "eq": "in",
    "ne": "in",
    "none": "any",
    "phrase": "any",
    "outside": "within",
    "workday": "holiday",
}
_NEGATIVE: Final = ("ne", "none", "outside", "workday")
_PREFIXES: Final = {
    "author.handle": ("@",),
    "hashtags": ("#",),
    "mentions": ("@",),
    "links": ("https://", "http://", "www."),
    "language": (),
    "media": (),
    "text": (),
}
"""Facts that are compared without case, and what may stand before their values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One thing that is asked: the fact has one of the values, in the way of the operator. `at`: its JSON pointer."""

    fact: str
    operator: str
    values: tuple[Any, ...]
    negated: bool = False
    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """All or any of its parts; without parts it matches nothing."""

    kind: Literal["all", "any"]
    parts: tuple["Condition", ...]


Condition = Criterion | Group


def parse(when: Any, *, at: str, names: Mapping[str, Collection[str]]) -> tuple[Condition, list[Problem]]:
    """The condition, and what is wrong with it. `names`: what the document's lists, lanes and calendars are called."""
    reader = _Reader(names)
    return reader.condition(when, at, negated=False, depth=0), reader.problems


def criteria(condition: Condition) -> Iterable[Criterion]:
    """Every criterion, in the order of the document."""
    if isinstance(condition, Criterion):
        yield condition
        return
    for part in condition.parts:
        yield from criteria(part)


def most(fact: Fact) -> int:
    """How many values one criterion may have."""
    return MAX_WORDS if fact.type == "text" else MAX_VALUES


def fold(fact: str, value: str) -> str:
    """A value as it is compared: names that people choose are folded, ids and kinds are as they are."""
    if fact not in _PREFIXES:
        return value
    folded = text.normalize(value)
    for prefix in _PREFIXES[fact]:
        folded = folded.removeprefix(prefix)
    return folded


@dataclass(slots=True)
class _Reader:
    names: Mapping[str, Collection[str]]
    problems: list[Problem] = field(default_factory=list)

    def condition(self, when: Any, at: str, *, negated: bool, depth: int) -> Condition:
        """Everything that one object asks, which must all hold."""
        if not isinstance(when, dict):
            return self._wrong(at, "a condition is an object")
        if depth > MAX_DEPTH:
            return self._wrong(at, f"groups stand in groups at most {MAX_DEPTH} deep")
        before = len(self.problems)
        parts: list[Condition] = []
        for name, asked in when.items():
            where = f"{at}/{_escape(name)}"
            if name == "not":
                parts.append(self.condition(asked, where, negated=not negated, depth=depth + 1))
            elif name in GROUPS:
                parts.append(self._group(name, asked, where, negated=negated, depth=depth))
            elif name in ALIASES:
                parts += self._alias(name, asked, where, negated=negated)
            elif asked != [] or name not in vocabulary.MAY_BE_EMPTY:
                parts += self._fact(name, asked, where, negated=negated)
        if not parts:
            if len(self.problems) == before:
                self._wrong(at, "an empty condition matches nothing: ask something, or use the fallback")
            return Group(kind="any", parts=())
        return parts[0] if len(parts) == 1 else Group(kind="any" if negated else "all", parts=tuple(parts))

    def _group(self, name: str, asked: Any, at: str, *, negated: bool, depth: int) -> Condition:
        if not isinstance(asked, list) or not asked:
            return self._wrong(at, "a group is a list of conditions; an empty one matches nothing")
        parts = tuple(
            self.condition(one, f"{at}/{index}", negated=negated, depth=depth + 1) for index, one in enumerate(asked)
        )
        return Group(kind="all" if (name == "all") != negated else "any", parts=parts)

    def _alias(self, name: str, asked: Any, at: str, *, negated: bool) -> list[Condition]:
        """`keywords` {any, all, phrase, none} and `author` {ids, handles}; empty lists ask nothing."""
        known = ("any", "all", "phrase", "none") if name == "keywords" else ("ids", "handles")
        if not isinstance(asked, dict):
            return [self._wrong(at, f"an object with some of {', '.join(known)}")]
        for unknown in asked.keys() - set(known):
            self._wrong(f"{at}/{_escape(unknown)}", f"there is no {unknown!r} here, only {', '.join(known)}")
        found: dict[str, list[Condition]] = {}
        for key in known:
            if asked.get(key, []) == []:
                continue
            if not isinstance(asked[key], list):
                found[key] = [self._wrong(f"{at}/{key}", "a list")]
                continue
            fact, operator = ("text", key) if name == "keywords" else (f"author.{key.removesuffix('s')}", "in")
            found[key] = [self._criterion(fact, FACTS[fact], operator, asked[key], f"{at}/{key}", negated=negated)]
        either = ("any", "phrase") if name == "keywords" else known
        some = [part for key in either for part in found.pop(key, [])]
        if len(some) > 1:
            some = [Group(kind="all" if negated else "any", parts=tuple(some))]
        parts = some + [part for one in found.values() for part in one]
        if len(parts) > 1 and negated:
            return [Group(kind="any", parts=tuple(parts))]
        return parts

    def _fact(self, name: str, asked: Any, at: str, *, negated: bool) -> list[Condition]:
        fact = vocabulary.fact(name)
        if fact is None:
            near = get_close_matches(name, [*FACTS, *ALIASES, *GROUPS], n=1)
            return [self._wrong(at, f"there is no fact {name!r}{f': is it {near[0]!r}?' if near else ''}")]
        if not fact.fed:
            return [self._unavailable(at, f"the fact {name!r} ({fact.about})", name)]
        if not isinstance(asked, dict):
            return self._short(name, fact, asked, at, negated=negated)
        if not asked:
            return [self._wrong(at, "ask something of it, such as {'set': true}")]
        parts: list[Condition] = []
        for operator, value in asked.items():
            where = f"{at}/{_escape(operator)}"
            if operator == CHANGED and (aspect := vocabulary.aspect(name)) is not None:
                parts.append(self._changed(aspect, value, where, negated=negated))
            elif operator == CHANGED:
                parts.append(self._unavailable(where, f"the operator {CHANGED!r}", CHANGED))
            elif operator not in vocabulary.operators(fact):
                usual = ", ".join(vocabulary.operators(fact))
                parts.append(self._wrong(where, f"{name!r} knows no operator {operator!r}, only {usual}"))
            else:
                parts.append(self._criterion(name, fact, operator, value, where, negated=negated))
        return [Group(kind="any", parts=tuple(parts))] if negated and len(parts) > 1 else parts

    def _changed(self, aspect: str, given: Any, at: str, *, negated: bool) -> Condition:
        if not isinstance(given, bool):
            return self._wrong(at, "true or false")
        return Criterion(fact="ticket.changed", operator="in", values=(aspect,), negated=negated == given, at=at)

    def _short(self, name: str, fact: Fact, asked: Any, at: str, *, negated: bool) -> list[Condition]:
        """A value alone, or a list of which one is enough; in a text it is a word."""
        if fact.type in vocabulary.NEEDS_OPERATOR:
            return [self._wrong(at, f"ask it with an operator: {', '.join(vocabulary.operators(fact))}")]
        operator = "any" if fact.type == "text" else "in"
        return [self._criterion(name, fact, operator, asked, at, negated=negated)]

    def _criterion(self, name: str, fact: Fact, operator: str, given: Any, at: str, *, negated: bool) -> Condition:
        values = given if isinstance(given, list) else [given]
        if not 0 < len(values) <= most(fact):
            return self._wrong(at, f"between 1 and {most(fact)} values")
        if operator == "set":
            if not isinstance(given, bool):
                return self._wrong(at, "true or false")
            return Criterion(fact=name, operator="set", values=(True,), negated=negated == given, at=at)
        read = self._reading(name, fact, operator)
        found = []
        for index, value in enumerate(values):
            try:
                found.append(read(value))
            except Unreadable as error:
                self._wrong(f"{at}/{index}" if isinstance(given, list) else at, str(error))
        if operator == "between":
            if len(found) != 2 or found[0] > found[1]:
                return self._wrong(at, "the lowest and the highest value, as a list of two")
            found = [tuple(found)]
        elif operator in {"gt", "gte", "lt", "lte"} and isinstance(given, list):
            return self._wrong(at, "one number")
        canonical = _CANONICAL.get(operator, operator)
        if canonical == "any" and fact.type != "text":
            canonical = "in"
        return Criterion(
            fact=name,
            operator=canonical,
            # To Python, true is 1.
            values=tuple({(isinstance(value, bool), value): value for value in found}.values()),
            negated=negated != (operator in _NEGATIVE),
            at=at,
        )

    def _reading(self, name: str, fact: Fact, operator: str) -> Callable[[Any], Any]:
        """What reads one value, or raises what is wrong with it."""
        if fact.names is not None:
            part = fact.names
            return lambda value: _named(value, self.names[part], part)
        if operator in {"regex", "wildcard"}:
            is_text = fact.type == "text"
            as_it_is = is_text or operator == "regex"
            return lambda value: patterns.check(
                _word(value) if as_it_is else fold(name, _word(value)), operator, in_text=is_text
            )
        match fact.type:
            case "number" | "flag" | "attribute" as kind:
                return _exact(kind, operator)
            case "text" if operator not in {"eq", "in", "ne", "starts"}:
                return _keyword
            case _:
                return lambda value: fold(name, _word(value))

    def _wrong(self, at: str, detail: str) -> Condition:
        self.problems.append({"pointer": at, "detail": detail})
        return Group(kind="any", parts=())

    def _unavailable(self, at: str, what: str, name: str) -> Condition:
        self.problems.append(unavailable(at, what, name))
        return Group(kind="any", parts=())


def unavailable(at: str, what: str, name: str) -> Problem:
    """A word of the language that does not work yet."""
    return {"pointer": at, "detail": f"{what} is part of the language, but not available yet", "unavailable": name}


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _word(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_LENGTH:
        raise Unreadable(f"a text of 1 to {MAX_LENGTH} characters")
    return value


def _keyword(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_KEYWORD:
        raise Unreadable(f"a text of 1 to {MAX_KEYWORD} characters")
    pattern = text.normalize(value)
    if not pattern.strip("* "):
        raise Unreadable("nothing is left of this keyword once normalized")
    return pattern


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise Unreadable("a number")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unreadable("true or false")
    return value


def _exact(kind: str, operator: str) -> Callable[[Any], Any]:
    """What reads a value that is no name; an attribute is compared with what its operator is for."""
    if kind == "flag":
        return _flag
    if kind == "number" or operator in {"gt", "gte", "lt", "lte", "between"}:
        return _number
    return _word if operator == "starts" else _anything


def _anything(value: Any) -> str | float | bool:
    if isinstance(value, str):
        return _word(value)
    return value if isinstance(value, bool) else _number(value)


def _named(value: Any, names: Collection[str], part: str) -> str:
    if not isinstance(value, str) or value not in names:
        raise Unreadable(f"the document has no {value!r} under {part!r}")
    return value
