"""Why a message went where it went: rules that held with what they saw, and rules that missed it by little."""

from collections.abc import Iterable
from datetime import datetime
from heapq import nsmallest
from typing import Any, Final

import msgspec

from services.router.domain import criteria, patterns, text
from services.router.domain.compile import Ruleset
from services.router.domain.conditions import Criterion
from services.router.domain.criteria import Leaf, Node, Seen
from services.router.domain.facts import DERIVED, SLOW, Facts
from services.router.domain.outcome import Outcome
from services.router.domain.speaking import explained
from services.router.domain.surging import of_decision
from services.router.domain.vocabulary import ATTRIBUTES

MAX_MISSED: Final = 20
MAX_SHOWN: Final = 20


def explain(ruleset: Ruleset, facts: Facts) -> dict[str, Any]:
    """The facts as the rules saw them, every rule that held with its evidence, and those that missed, nearest first.

    Rules that would hold and were not asked, because the owner was decided or a rule had stopped, say so.
    """
    seen = ruleset.see(facts)
    verdict = ruleset.decide(facts)
    matched = verdict.matched
    origins = text.origins(facts.text) if facts.text else []
    held, late, missed = [], [], []
    for order, one in enumerate(ruleset.rules):
        failed = _failed(one.node, seen)
        if one.rule.name in matched:
            found = [_found(leaf, seen, facts, origins) for leaf in _held(one.node, seen)]
            held.append({"rule": one.rule.name, "evidence": [place for places in found for place in places]})
        elif not failed:
            late.append({"rule": one.rule.name})
        else:
            is_far = len(failed) == sum(1 for _ in criteria.leaves(one.node))
            missed.append((is_far, len(failed), order, failed))
    return {
        "facts": _facts(ruleset, facts, seen.words),
        "enrichment": _enrichment(facts),
        "surge": _surge(facts, verdict.action),
        "answers": explained(ruleset, verdict, facts),
        "matched": held,
        "moderation": [msgspec.to_builtins(one) for one in ruleset.moderation(matched)],
        "late": late[:MAX_MISSED],
        "missed": [
            {"rule": ruleset.rules[order].rule.name, "failed": [_asked(leaf, seen) for leaf in failed]}
            for _, _, order, failed in nsmallest(MAX_MISSED, missed, key=lambda entry: entry[:3])
        ],
    }


def _facts(ruleset: Ruleset, facts: Facts, words: str) -> dict[str, Any]:
    """All that is set, as rules saw it; the text as it was written, because places are places in that."""
    told = {fact: derive(facts, words) for fact, derive in DERIVED.items() if fact not in SLOW or ruleset.asks(fact)}
    told |= {
        f"{ATTRIBUTES}{name}": value for name, value in (facts.customer.attributes if facts.customer else {}).items()
    }
    told["text"] = facts.text
    return {fact: _shown(value) for fact, value in told.items() if value is not None and value != frozenset()}


def _enrichment(facts: Facts) -> dict[str, Any]:
    """What was asked of others about the message: what came of it, and how long it waited for that."""
    if facts.classified is None:
        return {}
    return {"classifier": {"outcome": facts.classified.outcome, "milliseconds": facts.classified.milliseconds}}


def _surge(facts: Facts, action: Outcome) -> dict[str, Any]:
    """The surges that concerned it, and what their policy made of what rules had decided."""
    if facts.surging is None:
        return {}
    during = facts.surging.during
    found = of_decision(action, facts.surging, lane=facts.told_lane)
    if not found:
        return {}
    made = {} if during is None or action.ignore else msgspec.to_builtins(during)
    made = {name: value for name, value in made.items() if value}
    told = {"surges": found, "during": made}
    return told | {"duplicate": facts.surging.duplicate} if facts.surging.duplicate else told


def _failed(node: Node, seen: Seen) -> list[Leaf]:
    """The fewest criteria that would have to be otherwise for it to hold."""
    if isinstance(node, Leaf):
        return [] if node.holds(seen) else [node]
    each = [_failed(part, seen) for part in node.parts]
    return [leaf for failed in each for leaf in failed] if node.is_all else min(each, key=len)


def _held(node: Node, seen: Seen) -> Iterable[Leaf]:
    """The criteria by which it holds, in the order of the document."""
    return sorted(_holding(node, seen), key=lambda leaf: leaf.criterion.at)


def _holding(node: Node, seen: Seen) -> Iterable[Leaf]:
    if not node.holds(seen):
        return ()
    if isinstance(node, Leaf):
        return (node,)
    return (leaf for part in node.parts for leaf in _holding(part, seen))


def _found(leaf: Leaf, seen: Seen, facts: Facts, origins: list[tuple[int, int]]) -> Iterable[dict[str, Any]]:
    """What satisfied a criterion: its places in the text as the customer wrote it, or the value."""
    criterion = leaf.criterion
    places = [] if criterion.negated else sorted(_places(leaf, seen))
    told = {"pointer": criterion.at, "fact": criterion.fact}
    for start, end in places:
        first, last = origins[start][0], origins[end - 1][1]
        yield {**told, "found": (facts.text or "")[first:last], "start": first, "end": last}
    if not places:
        yield {**told, **_was(criterion, seen)}


def _places(leaf: Leaf, seen: Seen) -> Iterable[tuple[int, int]]:
    """In the normalized text."""
    criterion = leaf.criterion
    if leaf.keywords:
        return {seen.found[number] for number in leaf.keywords if number in seen.found}
    if leaf.patterns:
        return {place for one in leaf.patterns if (place := patterns.place(one, seen.words)) is not None}
    if criterion.fact == "text":
        return {(0, len(one) if criterion.operator == "starts" else len(seen.words)) for one in criterion.values[:1]}
    if criterion.fact in {"hashtags", "mentions", "links"}:
        has = [value for value in seen.values[criterion.fact] if value in criterion.values]
        return {(at, at + len(value)) for value in has if (at := seen.words.find(value)) >= 0}
    return ()


def _asked(leaf: Leaf, seen: Seen) -> dict[str, Any]:
    criterion = leaf.criterion
    asked = list(criterion.values[:MAX_SHOWN])
    return {
        "pointer": criterion.at,
        "fact": criterion.fact,
        "operator": criterion.operator,
        "negated": criterion.negated,
        "asked": asked,
        **_was(criterion, seen),
    }


def _was(criterion: Criterion, seen: Seen) -> dict[str, Any]:
    """What the fact was; the text is shown once, with the facts."""
    if criterion.fact == "author.list":
        return {"was": [seen.values["author.id"], seen.values["author.handle"]]}
    return {"was": _shown(seen.values[criterion.fact])} if criterion.fact in seen.values else {}


def _shown(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return sorted(value) if isinstance(value, frozenset) else value
