"""What another version makes of messages: how one message differs, and what many differences add up to."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar, get_args

from services.router.domain.answers import summary
from services.router.domain.compile import Verdict
from services.router.domain.facts import Facts
from services.router.domain.outcome import Outcome

EXCERPT: Final = 140
"""Characters of a text that an example shows."""

EXAMPLES: Final = 3
MAX_KINDS: Final = 2_000
"""Kinds of changes, and pairs of rules, that one report counts apart with examples; memory is bounded by it."""

MAX_RULES: Final = 50_000
"""Rules whose use one report counts: of two versions there are no more, of a long past there may be."""

MAX_SHOWN: Final = 100
MAX_LABEL: Final = 300
"""Characters of what is counted: counts are found by it."""

Aspect = Literal[
    "outcome", "team", "agent", "priority", "lane", "auto_reply", "private_reply", "tag", "flag", "moderation"
]
_VALUED: Final[tuple[Aspect, ...]] = ("outcome", "team", "agent", "priority", "lane", "auto_reply", "private_reply")
ELSEWHERE: Final = frozenset({"outcome", "team", "agent"})
"""What decides where a message goes; the others are about how it is treated there."""


class Change(NamedTuple):
    """One thing that is otherwise; a tag, flag or operation that is new comes from None, a removed one goes there."""

    aspect: Aspect
    before: str | None
    after: str | None


class Sum(NamedTuple):
    """What is counted: an aspect and how it changed, or `messages`, `different` and `elsewhere` of all."""

    aspect: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A message of which two versions make different things."""

    message_id: str
    decided_at: datetime | None
    network: str
    text: str
    changed: tuple[Aspect, ...]
    before: Mapping[str, Any]
    after: Mapping[str, Any]


def changes(before: Outcome, after: Outcome) -> list[Change]:
    """What is otherwise; nothing where both do the same, however they say it."""
    if before == after:
        return []
    one, other = _values(before), _values(after)
    found = [Change(aspect, one[aspect], other[aspect]) for aspect in _VALUED if one[aspect] != other[aspect]]
    found += _gone_and_come("tag", before.tags, after.tags)
    found += _gone_and_come("moderation", before.operations, after.operations)
    return found + _gone_and_come("flag", _flags(before), _flags(after)) if before.flags or after.flags else found


Kind = TypeVar("Kind", bound=Hashable)


@dataclass(slots=True)
class Counted:
    """How often, with the first examples."""

    messages: int = 0
    examples: list[Difference] = field(default_factory=list)


@dataclass(slots=True)
class Counts(Generic[Kind]):
    """By kind, no more kinds than memory is given for."""

    by_kind: dict[Kind, Counted] = field(default_factory=dict)
    left_out: int = 0
    """Of kinds that came when there were too many."""

    def add(self, kind: Kind, example: Difference) -> None:
        """One more."""
        counted = self.by_kind.get(kind)
        if counted is None:
            if len(self.by_kind) >= MAX_KINDS:
                self.left_out += 1
                return
            counted = self.by_kind[kind] = Counted()
        counted.messages += 1
        if len(counted.examples) < EXAMPLES:
            counted.examples.append(example)

    def most(self) -> list[tuple[Kind, Counted]]:
        """The most frequent first."""
        return sorted(self.by_kind.items(), key=lambda item: -item[1].messages)


@dataclass(slots=True)
class Use:
    """How many messages a rule decided, and to how many it added."""

    decided: int = 0
    added: int = 0


@dataclass(slots=True)
class Tally:
    """What two versions make of many messages; as large for a million as for a thousand."""

    messages: int = 0
    different: int = 0
    elsewhere: int = 0
    changes: Counts[Change] = field(default_factory=Counts)
    rules: Counts[tuple[str, str]] = field(default_factory=Counts)
    """Which rule decided a message before and after, where that made a difference."""
    used_before: dict[str, Use] = field(default_factory=dict)
    used_after: dict[str, Use] = field(default_factory=dict)

    def add(
        self, message_id: str, decided_at: datetime | None, facts: Facts, before: Verdict, after: Verdict
    ) -> Difference | None:
        """Counts one message; the difference, if there is one."""
        self.messages += 1
        _use(self.used_before, before)
        _use(self.used_after, after)
        changed = changes(before.action, after.action)
        if not changed:
            return None
        found = Difference(
            message_id=message_id,
            decided_at=decided_at,
            network=facts.network,
            text=(facts.text or "")[:EXCERPT],
            changed=tuple(dict.fromkeys(change.aspect for change in changed)),
            before=_side(before),
            after=_side(after),
        )
        self.different += 1
        self.elsewhere += not ELSEWHERE.isdisjoint(found.changed)
        for change in changed:
            self.changes.add(change, found)
        self.rules.add((before.rule, after.rule), found)
        return found

    def sums(self) -> dict[Sum, int]:
        """All that was counted, as one list: what several processes count is added up later."""
        totals = {"messages": self.messages, "different": self.different, "elsewhere": self.elsewhere}
        sums = {Sum(name, None, None): count for name, count in totals.items() if count}
        return sums | {Sum(*change): counted.messages for change, counted in self.changes.by_kind.items()}

    def report(self) -> dict[str, Any]:
        """The sums, the most frequent changes first, each with examples."""
        by_aspect: dict[Aspect, list[Any]] = {aspect: [] for aspect in get_args(Aspect)}
        for change, counted in self.changes.most():
            if len(by_aspect[change.aspect]) < MAX_SHOWN:
                by_aspect[change.aspect].append(_shown(change.before, change.after, counted))
        return {
            "messages": self.messages,
            "different": self.different,
            "elsewhere": self.elsewhere,
            "changes": by_aspect,
            "decided_by": [_shown(*rules, counted) for rules, counted in self.rules.most()[:MAX_SHOWN]],
            "rules": self._rules(),
            "left_out": self.changes.left_out + self.rules.left_out,
        }

    def _rules(self) -> list[dict[str, Any]]:
        """Those whose use differs most first."""
        nothing = Use()
        rows = [
            (name, self.used_before.get(name, nothing), self.used_after.get(name, nothing))
            for name in dict.fromkeys((*self.used_before, *self.used_after))
        ]
        rows.sort(key=lambda row: -abs(row[1].decided - row[2].decided) - abs(row[1].added - row[2].added))
        return [{"rule": name, "before": before, "after": after} for name, before, after in rows[:MAX_SHOWN]]


def _use(used: dict[str, Use], verdict: Verdict) -> None:
    for name in dict.fromkeys((verdict.rule, *verdict.matched)):
        use = used.get(name)
        if use is None:
            if len(used) >= MAX_RULES:
                continue
            use = used[name] = Use()
        if name == verdict.rule:
            use.decided += 1
        else:
            use.added += 1


def _gone_and_come(aspect: Aspect, before: Sequence[str], after: Sequence[str]) -> list[Change]:
    gone = [Change(aspect, _cut(one), None) for one in before if one not in after]
    return gone + [Change(aspect, None, _cut(one)) for one in after if one not in before]


def _cut(label: str) -> str:
    return label if len(label) <= MAX_LABEL else f"{label[: MAX_LABEL - 1]}…"


def _flags(action: Outcome) -> tuple[str, ...]:
    """Who is told what, in words: which rule does it is no difference."""
    told = []
    for flag in action.flags:
        whom = ", ".join(one for one in (flag.team, *flag.agents, flag.endpoint) if one is not None)
        told.append(f"{whom}: {flag.text}" if flag.text else whom)
    return tuple(told)


def _values(action: Outcome) -> dict[str, str | None]:
    return {
        "outcome": "ignore" if action.ignore else "route",
        "team": action.team,
        "agent": action.agent,
        "priority": action.priority or "normal",
        "lane": action.lane,
        "auto_reply": summary(action.auto_reply, longest=EXCERPT),
        "private_reply": summary(action.private_reply, longest=EXCERPT),
    }


def _side(verdict: Verdict) -> dict[str, Any]:
    action = verdict.action
    return {
        **_values(action),
        "tags": action.tags,
        "flags": _flags(action),
        "moderation": action.operations,
        "rule": verdict.rule,
        "rules": verdict.matched,
    }


def _shown(before: str | None, after: str | None, counted: Counted) -> dict[str, Any]:
    return {"before": before, "after": after, "messages": counted.messages, "examples": counted.examples}
