"""Other ways to find the first of many rules that holds: a loop over them, and two rule engines that people use."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import rule_engine
import zen

from services.router.domain import compile as index
from services.router.domain import text
from services.router.domain.facts import Facts

Rules = Sequence[dict[str, Any]]


class Loop:
    """The usual way: every rule in turn, every keyword by search; normalized once, like ours."""

    def __init__(self, rules: Rules) -> None:
        self._rules = [(rule["name"], rule["when"], _Words(rule["when"])) for rule in rules]

    def decide(self, facts: Facts) -> str:
        """The name of the first rule that holds."""
        body = text.normalize(facts.text or "")
        for name, when, words in self._rules:
            if (
                ("network" not in when or facts.network in when["network"])
                and ("kind" not in when or facts.kind in when["kind"])
                and ("author" not in when or facts.author_id in when["author"]["ids"])
                and ("author.followers" not in when or (facts.followers or 0) >= when["author.followers"]["gte"])
                and words.hold(body)
            ):
                return name
        return index.FALLBACK


class Expressions:
    """A rule engine in a loop. A keyword is any part of the text for it: words would cost it more."""

    def __init__(self, rules: Rules, *, quote: Callable[[str, str], str], ready: Callable[[str], Callable[..., Any]]):
        self._rules = [(rule["name"], ready(_expression(rule["when"], quote))) for rule in rules]

    def decide(self, facts: Facts) -> str:
        """The name of the first rule that holds."""
        thing = {
            "network": facts.network,
            "kind": facts.kind,
            "author_id": facts.author_id,
            "followers": facts.followers,
            "text": text.normalize(facts.text or ""),
        }
        return next((name for name, holds in self._rules if holds(thing)), index.FALLBACK)


def by_rule_engine(rules: Rules) -> Expressions:
    """rule-engine: expressions in Python."""
    return Expressions(
        rules,
        quote=lambda how, word: f"text =~~ '{word}'" if how == "regex" else f"'{word}' in text",
        ready=lambda expression: rule_engine.Rule(expression).matches,
    )


def by_zen(rules: Rules) -> Expressions:
    """zen-engine: expressions compiled by Rust."""
    return Expressions(
        rules,
        quote=lambda how, word: f"{'matches' if how == 'regex' else 'contains'}(text, '{word}')",
        ready=lambda expression: zen.compile_expression(expression).evaluate,
    )


def _expression(when: dict[str, Any], quote: Callable[[str, str], str]) -> str:
    words = when.get("keywords", {})
    terms = [f"{fact} in {when[fact]}" for fact in ("network", "kind") if fact in when]
    if "author" in when:
        terms.append(f"author_id in {when['author']['ids']}")
    if "author.followers" in when:
        terms.append(f"followers >= {when['author.followers']['gte']}")
    if "text" in when:
        terms.append(quote("regex", when["text"]["regex"]))
    terms += [quote("word", text.normalize(word)) for word in words.get("all", ())]
    some = [quote("word", text.normalize(word)) for word in (*words.get("any", ()), *words.get("phrase", ()))]
    if some:
        terms.append(f"({' or '.join(some)})")
    terms += [f"not ({quote('word', text.normalize(word))})" for word in words.get("none", ())]
    return " and ".join(terms)


class _Words:
    def __init__(self, when: dict[str, Any]) -> None:
        words = when.get("keywords", {})
        self._all = [_prepared(word) for word in words.get("all", ())]
        self._any = [_prepared(word) for word in (*words.get("any", ()), *words.get("phrase", ()))]
        self._none = [_prepared(word) for word in words.get("none", ())]
        self._pattern = re.compile(when["text"]["regex"]) if "text" in when else None

    def hold(self, body: str) -> bool:
        return (
            all(_stands_in(body, word) for word in self._all)
            and (not self._any or any(_stands_in(body, word) for word in self._any))
            and not any(_stands_in(body, word) for word in self._none)
            and (self._pattern is None or self._pattern.search(body) is not None)
        )


_Prepared = tuple[str, bool, bool]


def _prepared(word: str) -> _Prepared:
    pattern = text.normalize(word)
    return pattern, text.needs_left_boundary(pattern[0]), text.needs_right_boundary(pattern[-1])


def _stands_in(body: str, word: _Prepared) -> bool:
    pattern, left, right = word
    at = body.find(pattern)
    while at >= 0:
        end = at + len(pattern)
        if (not left or text.begins_word(body, at)) and (not right or text.ends_word(body, end)):
            return True
        at = body.find(pattern, at + 1)
    return False
