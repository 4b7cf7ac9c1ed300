"""What is wrong or wasted in a ruleset, found before it is in force, and what a decision by it will cost."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Final, get_args

import msgspec

from services.router.domain import conditions, criteria, implication, rules
from services.router.domain.answers import KINDS, Kind
from services.router.domain.compile import Compiled, Ruleset
from services.router.domain.conditions import Criterion, Problem
from services.router.domain.criteria import KEYWORD, PATTERN
from services.router.domain.rules import MAX_PROBLEMS, Action, Document, Rule, named_agents, named_teams
from services.router.domain.vocabulary import OF_MESSAGES, RECEIVED, Trigger, named
from shared.events import messages
from shared.events.messages import Operation
from shared.networks.port import Capabilities
from shared.networks.registry import NETWORKS

MAX_PAIRS: Final = 100_000
"""Pairs of rules that are compared; only a ruleset whose rules all look alike has more."""

_HITS: Final = 3
"""Keywords of rules that an average message holds."""

_WHY_UNTOLD: Final = {"volume.surge": "never holds: the workspace has no surge policy"}

_PER_MESSAGE: Final = 8.0
_PER_RULE: Final = 0.5
_FOR_PATTERNS: Final = 1.0
_FOR_LANGUAGE: Final = 65.0
"""Microseconds: whatever the rules are, for each rule that is looked at, for all patterns, for telling a language."""


_UNANSWERABLE: Final[Mapping[Kind, tuple[str, ...]]] = {
    "auto_reply": ("dm", "story_reply"),
    "private_reply": ("review",),
}
"""What no network lets anybody answer in that way."""

ASKED_FOR: Final = frozenset({"channel.purpose", "author.first", "sentiment", "urgency", "verb"})
"""Facts that are looked up for messages that come in, and for nothing else."""

OF_TRIGGERS: Final[Mapping[str, Trigger]] = {
    "ticket.changed": "ticket.changed",
    "shift.change": "shift.changed",
    "surge.change": "surge.changed",
    "surge.subject": "surge.changed",
}
"""Facts that only one trigger tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """`errors` are certain; `warnings` may be meant that way."""

    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    cost: dict[str, Any] = field(default_factory=dict)


def analyse(
    ruleset: Ruleset,
    *,
    teams: Collection[str],
    agents: Collection[str] = (),
    endpoints: Collection[str] = (),
    untold: Collection[str] = (),
) -> Analysis:
    """`teams`, `agents` and `endpoints`: those that exist. `untold`: facts that nothing tells here."""
    document = ruleset.document
    errors = [
        *_unknown_teams(document, teams),
        *_nobody_told(document, agents, endpoints),
        *_contradictions(document),
        *_impossible(document),
    ]
    warnings = chain(
        _unused(document),
        _unknown_agents(document, agents),
        _unknown_values(document),
        _never_on_shift(document, {*teams, *agents}),
        _untold(document, untold),
        _out_of_place(document),
        _never_said(document),
        *(_shadowed(one) for one in (ruleset, *ruleset.others)),
    )
    return Analysis(errors=errors[:MAX_PROBLEMS], warnings=list(islice(warnings, MAX_PROBLEMS)), cost=cost(ruleset))


def cost(ruleset: Ruleset) -> dict[str, Any]:
    """How the rules are found, and about how long one decision takes."""
    kinds = Counter("always" if keys is None else keys[0][0] if keys else "never" for keys in ruleset.filed)
    filed = Counter(key for keys in ruleset.filed for key in keys or () if key[0] == KEYWORD)
    length = sum(count * count for count in filed.values()) / max(filed.total(), 1)
    looked_at = kinds["always"] + _HITS * length
    microseconds = _PER_MESSAGE + _PER_RULE * looked_at
    if kinds[PATTERN]:
        microseconds += _FOR_PATTERNS
    if ruleset.asks("language"):
        microseconds += _FOR_LANGUAGE
    return {
        "rules": len(ruleset.rules),
        "filed_under": dict(kinds.most_common()),
        "looked_at_per_message": round(looked_at, 1),
        "microseconds_per_message": round(microseconds, 1),
    }


def _unknown_teams(document: Document, teams: Collection[str]) -> Iterable[Problem]:
    for at, action in _actions(document):
        for place, name in named_teams(action):
            if name not in teams:
                yield _problem(f"{at}/{place}", "unknown-team", f"there is no team {name}")


def _nobody_told(document: Document, agents: Collection[str], endpoints: Collection[str]) -> Iterable[Problem]:
    for at, action in _actions(document):
        for index, name in enumerate(action.notify.agents if action.notify else ()):
            if name not in agents:
                yield _problem(f"{at}/notify/agents/{index}", "unknown-agent", f"there is no agent {name}")
        if action.webhook and action.webhook.endpoint not in endpoints:
            detail = f"there is no endpoint {action.webhook.endpoint}"
            yield _problem(f"{at}/webhook/endpoint", "unknown-endpoint", detail)


def _unknown_agents(document: Document, agents: Collection[str]) -> Iterable[Problem]:
    # Agents leave; the team owns all the same.
    for at, action in _actions(document):
        for place, name in named_agents(action):
            if name not in agents:
                yield _problem(f"{at}/{place}", "unknown-agent", f"there is no agent {name}")


def _actions(document: Document) -> Iterable[tuple[str, Action]]:
    yield "/fallback", document.fallback
    for index, rule in enumerate(document.rules):
        yield f"/rules/{index}/then", rule.then


def _contradictions(document: Document) -> Iterable[Problem]:
    for index, rule in enumerate(document.rules):
        if rule.enabled and (why := implication.contradiction(rule.when)):
            yield _problem(f"/rules/{index}/when", "contradictory", f"this can never hold: {why}")


def _impossible(document: Document) -> Iterable[Problem]:
    """What a rule does to messages although no network that it asks for can do that to any."""
    for index, rule in enumerate(document.rules):
        if not rule.enabled or implication.contradiction(rule.when):
            continue
        for operation in rule.then.operations:
            able = [(name, _able(network.capabilities, operation)) for name, network in NETWORKS.items()]
            if all(implication.contradiction(rule.when, _items(name, kinds)) for name, kinds in able if kinds):
                detail = f"no network that it asks for can {operation} such a message"
                yield _problem(f"/rules/{index}/then/{operation}", "never-done", detail)


def _able(capabilities: Capabilities, operation: Operation) -> tuple[str, ...]:
    return tuple(kind for kind in get_args(messages.Kind) if capabilities.moderates(operation, kind))


def _items(network: str, kinds: tuple[str, ...]) -> list[Criterion]:
    return [
        Criterion(fact="network", operator="in", values=(network,)),
        Criterion(fact="kind", operator="in", values=kinds),
    ]


def _shadowed(ruleset: Ruleset) -> Iterable[Problem]:
    """Rules that an earlier one leaves nothing to: it takes all that they would."""
    places = {rule.name: index for index, rule in enumerate(ruleset.document.rules)}
    filed: dict[criteria.Key | None, list[Compiled]] = {}
    pairs = 0
    for rank, later in enumerate(ruleset.rules):
        witness: list[criteria.Key | None] = [None, *_witness(later.node)]
        for earlier in (one for key in witness for one in filed.get(key, ())):
            pairs += 1
            if _takes_all(earlier, later) and implication.implies(later.rule.when, earlier.rule.when):
                yield _wasted(f"/rules/{places[later.rule.name]}", earlier, later)
                break
        if pairs > MAX_PAIRS:
            yield _problem("/rules", "not-compared", f"too many look alike: compared up to {later.rule.name!r}")
            return
        keys = ruleset.filed[rank]
        for key in (None,) if keys is None else dict.fromkeys(keys):
            filed.setdefault(key, []).append(later)


def _wasted(at: str, earlier: Compiled, later: Compiled) -> Problem:
    name = earlier.rule.name
    if implication.implies(earlier.rule.when, later.rule.when):
        return _problem(at, "duplicate", f"rule {name!r} before it asks the same")
    code = "shadowed" if not earlier.rule.then.stop or earlier.owns else "unreachable"
    return _problem(at, code, f"rule {name!r} before it takes all that it asks for")


def _takes_all(earlier: Compiled, later: Compiled) -> bool:
    """Whether the later rule has no effect wherever the earlier one holds."""
    if earlier.rule.then.stop and not earlier.owns:
        return True
    return (
        later.rule.then == earlier.rule.then or (earlier.owns and later.owns) or _only_repeats(earlier.rule, later.rule)
    )


def _only_repeats(earlier: Rule, later: Rule) -> bool:
    """Whether the later one only answers, and the earlier one has always done so already."""
    if earlier.then.owns or not later.then.speaks:
        return False
    said = {kind: None for kind in KINDS if getattr(earlier.then, kind) is not None}
    return msgspec.structs.replace(later.then, **said) == Action()


def _witness(node: criteria.Node) -> Iterable[criteria.Key]:
    """Keys of one message that satisfies it: every rule that includes it is filed under one of these."""
    if isinstance(node, criteria.Leaf):
        return [keys[0] for keys in node.access if keys]
    parts = node.parts if node.is_all else node.parts[:1]
    return dict.fromkeys(key for part in parts for key in _witness(part))


def _unused(document: Document) -> Iterable[Problem]:
    asked = [one for rule in document.rules for one in conditions.criteria(rule.when)]
    used = {(named(one.fact).names, value) for one in asked for value in one.values}
    for part in ("lists", "lanes", "calendars"):
        for name in getattr(document, part):
            if (part, name) not in used:
                yield _problem(f"/{part}/{name}", "unused", f"no rule asks for {name!r}")


def _unknown_values(document: Document) -> Iterable[Problem]:
    for rule in document.rules:
        for one in conditions.criteria(rule.when):
            known = named(one.fact).known
            if known and one.operator == "in" and (unknown := [value for value in one.values if value not in known]):
                yield _problem(one.at, "unknown-value", f"{one.fact} is never {unknown[0]!r}, only {', '.join(known)}")


def _never_on_shift(document: Document, existing: Collection[str]) -> Iterable[Problem]:
    for at, name in rules.on_shift(document):
        if name not in existing:
            yield _problem(at, "never-on-shift", f"there is no team or agent {name}")


def _untold(document: Document, untold: Collection[str]) -> Iterable[Problem]:
    for rule in document.rules:
        for one in conditions.criteria(rule.when):
            if one.fact in untold:
                why = _WHY_UNTOLD.get(one.fact, "is never set: no classifier is configured")
                yield _problem(one.at, "never-told", f"{one.fact} {why}")


def _out_of_place(document: Document) -> Iterable[Problem]:
    """Facts that nothing tells of what the rule is asked about."""
    for rule in document.rules:
        for one in conditions.criteria(rule.when):
            if not _is_told(one.fact, rule.on):
                yield _problem(one.at, "never-told", f"{one.fact} is never set on {rule.on}")


def _never_said(document: Document) -> Iterable[Problem]:
    for index, rule in enumerate(document.rules):
        for action, kinds in _UNANSWERABLE.items():
            asked = Criterion(fact="kind", operator="in", values=kinds)
            if getattr(rule.then, action) is not None and implication.implies(rule.when, asked):
                why = f"no network takes such an answer to a {' or a '.join(kinds)}"
                yield _problem(f"/rules/{index}/then/{action}", "never-said", why)


def _is_told(fact: str, on: Trigger) -> bool:
    if fact in OF_TRIGGERS:
        return on == OF_TRIGGERS[fact]
    if on == RECEIVED:
        return True
    return fact not in (ASKED_FOR if on in {"message.edited", "customer.replied"} else OF_MESSAGES)


def _problem(at: str, code: str, detail: str) -> Problem:
    return {"pointer": at, "code": code, "detail": detail}
