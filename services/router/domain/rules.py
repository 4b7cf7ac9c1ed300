"""Rule documents: what a community manager writes, as frozen values, and what makes one invalid."""

from typing import Annotated, Any, Final

import msgspec

from services.router.domain import text
from shared.errors import Invalid
from shared.events.routing import Priority

MAX_RULES: Final = 20_000
MAX_KEYWORDS: Final = 500
MAX_DOCUMENT_BYTES: Final = 8 * 1024 * 1024

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
TeamId = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
Keyword = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Keywords(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Words in the text. A word ends where its script says so; a trailing `*` lets it go on (`cat*`: cats)."""

    any: tuple[Keyword, ...] = ()
    """At least one of these."""
    all: tuple[Keyword, ...] = ()
    """Every one of these, in any order."""
    phrase: tuple[Keyword, ...] = ()
    """At least one of these, each taken as a whole, white space aside."""
    none: tuple[Keyword, ...] = ()
    """Not one of these."""


class AuthorCondition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who wrote it: at least one of the ids or handles. Handles are compared without case and without `@`."""

    ids: tuple[str, ...] = ()
    handles: tuple[str, ...] = ()


class Condition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a message must be; every part that is given must hold, and an empty condition is refused."""

    network: tuple[str, ...] = ()
    channel: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    keywords: Keywords | None = None
    author: AuthorCondition | None = None


class Action(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where it goes: a team, or `ignore`."""

    team: TeamId | None = None
    priority: Priority = "normal"
    tags: tuple[Name, ...] = ()
    agent: str | None = None
    ignore: bool = False


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One rule; the first that matches decides."""

    name: Name
    when: Condition
    then: Action
    enabled: bool = True


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A whole ruleset. `fallback` owns every message that no rule matches, so nothing is ever unowned."""

    fallback: Action
    rules: tuple[Rule, ...] = ()


def parse(document: Any) -> Document:
    """The document as values; Invalid names every problem by its JSON pointer."""
    try:
        parsed = msgspec.convert(document, Document)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise Invalid("the ruleset is not valid", errors=[{"pointer": _pointer(path), "detail": message}]) from error
    if problems := _problems(parsed):
        raise Invalid("the ruleset is not valid", errors=problems)
    return parsed


def teams(document: Document) -> frozenset[str]:
    """Every team that some rule or the fallback sends to."""
    actions = [document.fallback, *(rule.then for rule in document.rules)]
    return frozenset(action.team for action in actions if action.team is not None)


def _problems(document: Document) -> list[dict[str, str]]:
    found = []
    if document.fallback.ignore or document.fallback.team is None:
        found.append({"pointer": "/fallback", "detail": "the fallback needs a team: it must always own"})
    if len(document.rules) > MAX_RULES:
        found.append({"pointer": "/rules", "detail": f"at most {MAX_RULES} rules"})
    seen: dict[str, int] = {}
    for index, rule in enumerate(document.rules):
        at = f"/rules/{index}"
        if rule.name in seen:
            found.append({"pointer": f"{at}/name", "detail": f"rule {seen[rule.name]} has the same name"})
        seen.setdefault(rule.name, index)
        found += [{"pointer": f"{at}{pointer}", "detail": detail} for pointer, detail in _rule_problems(rule)]
    return found


def _rule_problems(rule: Rule) -> list[tuple[str, str]]:
    found = []
    if rule.then.ignore == (rule.then.team is not None):
        found.append(("/then", "a rule either names a team or ignores"))
    condition = rule.when
    keywords = condition.keywords
    if keywords is not None:
        groups = {"any": keywords.any, "all": keywords.all, "phrase": keywords.phrase, "none": keywords.none}
        if sum(map(len, groups.values())) > MAX_KEYWORDS:
            found.append(("/when/keywords", f"at most {MAX_KEYWORDS} keywords"))
        found += [
            (f"/when/keywords/{group}/{index}", "nothing is left of this keyword once normalized")
            for group, words in groups.items()
            for index, word in enumerate(words)
            if not text.normalize(word).strip("* ")
        ]
    author = condition.author
    parts: list[Any] = [condition.network, condition.channel, condition.kind]
    if keywords is not None:
        parts += [keywords.any, keywords.all, keywords.phrase, keywords.none]
    if author is not None:
        parts += [author.ids, author.handles]
    if not any(parts):
        found.append(("/when", "an empty condition would match everything: use the fallback"))
    return found


def _pointer(path: str) -> str:
    return "/" + path.rstrip("`").lstrip(".").replace("[", "/").replace("]", "").replace(".", "/") if path else ""
