"""What a decision says to a message, by which rule, and what keeps it from saying it."""

from typing import Any

from services.router.domain.answers import KINDS, Answer, filled
from services.router.domain.compile import FALLBACK, Ruleset, Verdict
from services.router.domain.facts import Facts
from shared.events.routing import RuleReply


def replies(verdict: Verdict, facts: Facts) -> tuple[RuleReply, ...]:
    """As the decision tells it. On what was understood only afterwards automations stay off."""
    if facts.replayed or not verdict.said_by:
        return ()
    found: list[RuleReply] = []
    for kind, how in KINDS.items():
        answer: Answer | None = getattr(verdict.action, kind)
        if answer is not None:
            found.append(
                RuleReply(
                    kind=how,
                    text=filled(answer.text, _known(facts)),
                    rule=verdict.said_by[kind],
                    once_per=answer.once_per,
                    answers=answer.answers,
                )
            )
    return tuple(found)


def explained(ruleset: Ruleset, verdict: Verdict, facts: Facts) -> list[dict[str, Any]]:
    """The same for who asks why: with what is left out."""
    found = []
    for kind, rule in verdict.said_by.items():
        answer: Answer = getattr(_action(ruleset, rule), kind)
        left_out = "replayed" if facts.replayed else None
        if getattr(verdict.action, kind) is None:
            left_out = "paused by surge"
        found.append({"action": kind, "rule": rule, "text": filled(answer.text, _known(facts)), "left_out": left_out})
    return found


def _action(ruleset: Ruleset, rule: str) -> Any:
    named = next((one.rule.then for one in ruleset.rules if one.rule.name == rule and one.rule.then.speaks), None)
    return ruleset.fallback if named is None and rule == FALLBACK else named


def _known(facts: Facts) -> dict[str, str | None]:
    return {"author.name": facts.name, "author.handle": facts.handle, "network": facts.network}
