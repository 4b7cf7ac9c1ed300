"""The page about the rule language: every fact, operator and action, made of the words that the parser knows."""

from collections.abc import Iterable, Mapping
from typing import Final

from services.router.domain.answers import PLACEHOLDERS
from services.router.domain.vocabulary import FACTS, FUTURE_ACTIONS, FUTURE_TRIGGERS, TRIGGERS, Fact, operators

MEANINGS: Final[Mapping[str, str]] = {
    "eq": "is it; with a list: is one of them. `in` and a value alone mean the same",
    "ne": "is not it, nor one of them; holds too for what is not set",
    "any": "has one of these; in a text: says one of these words",
    "phrase": "in a text: says one of these, taken as a whole",
    "all": "has every one of these",
    "none": "has not one of these",
    "starts": "begins so",
    "wildcard": "`*` is any letters, `?` is one; in a text within a word, elsewhere over the whole value",
    "regex": "an RE2 pattern; in a text anywhere, without case, `\\b` at its two ends only",
    "gt": "is more; `gte`: or equal; `lt`, `lte`: less",
    "between": "is in this range, both ends included",
    "set": "`true`: is known; `false`: is not",
    "within": "falls into the hours of a calendar; `outside`: does not",
    "changed": "`true`: changed just now; of a ticket's state, team, owner, priority and tags",
    "holiday": "is a holiday of a calendar; `workday`: is not",
}

ACTIONS: Final[Mapping[str, str]] = {
    "team": "the team that owns it",
    "agent": "an agent of that team to prefer, if eligible",
    "reroute": "`team`, `agent` or both: where an open ticket moves; on triggers about tickets only",
    "snooze": "`minutes` that an open ticket waits unless its customer writes; on triggers about tickets only",
    "priority": "the highest of all rules that hold; `normal` when none says anything",
    "tags": "added to the ticket",
    "lane": "what it is about, told with the decision",
    "ignore": "nobody owns it, and no ticket is made",
    "reason": "why it is ignored",
    "auto_reply": "what is said to it in public: `text`, with placeholders; `once_per` `ticket` (default) or "
    "`message`; `answers`: it takes the turn. The first of all rules that hold; on messages that come in only",
    "private_reply": "the same in private",
    "notify": "`text` for a `team`, some `agents` or both: `ticket.flagged`, by every rule that holds",
    "webhook": "`endpoint`: the id of one that gets that `ticket.flagged`, whatever it is subscribed to",
    "stop": "no rule after this one is asked",
    "like": "likes the message on its network; this and the next two only where a message leads to it",
    "hide": "hides it there from the public",
    "delete": "deletes it there",
}


def reference() -> str:
    """As markdown."""
    lines = [
        "# Rules",
        "",
        "[How to use them](../how-to/write-rules.md), and [the schema](ruleset.schema.json), which the API serves.",
        "",
        "## Triggers",
        "",
        "`on` says what a rule is asked about; without it, about messages that come in.",
        "",
        *_table(("trigger", "what happened"), ((f"`{name}`", told) for name, told in TRIGGERS.items())),
        "## Facts",
        "",
        *_table(
            ("fact", "what", "values", "operators"), (_row(name, fact) for name, fact in FACTS.items() if fact.fed)
        ),
        "## Operators",
        "",
        *_table(("operator", "holds where the fact"), ((f"`{name}`", told) for name, told in MEANINGS.items())),
        "## Actions",
        "",
        *_table(("action", "what"), ((f"`{name}`", told) for name, told in ACTIONS.items())),
        "## Placeholders",
        "",
        "In texts of answers: `{{author.name}}`, or `{{author.name|there}}` with what is said where it is not known.",
        "",
        *_table(("placeholder", "what"), ((f"`{{{{{name}}}}}`", told) for name, told in PLACEHOLDERS.items())),
        "## Not available yet",
        "",
        "Words of the language; a ruleset that uses one is refused by its name. So is `changed` of other facts.",
        "",
        *_table(
            ("word", "what"),
            (
                *((f"fact `{name}`", fact.about) for name, fact in FACTS.items() if not fact.fed),
                *((f"trigger `{name}`", about) for name, about in FUTURE_TRIGGERS.items()),
                *((f"action `{name}`", about) for name, about in FUTURE_ACTIONS.items()),
            ),
        ),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _row(name: str, fact: Fact) -> tuple[str, ...]:
    kind = {"words": "several words", "attribute": "a text, a number or a flag"}.get(fact.type, f"a {fact.type}")
    values = f"names in `{fact.names}`" if fact.names else ", ".join(f"`{one}`" for one in fact.known) or kind
    return f"`{name}`", fact.about, values, " ".join(operators(fact))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [head, ("---",) * len(head), *rows]
    return [*("| " + " | ".join(line) + " |" for line in lines), ""]
