"""The JSON Schema of rulesets, made of the same words that the parser knows."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from services.router.domain import vocabulary
from services.router.domain.conditions import MAX_KEYWORD, MAX_LENGTH, MAX_VALUES, MAX_WORDS, most
from services.router.domain.rules import MAX_RULES, Action, Document, Language, Minutes, Name, PartName, People, Words
from services.router.domain.vocabulary import (
    ATTRIBUTE,
    FACTS,
    FUTURE_ACTIONS,
    FUTURE_TRIGGERS,
    MAY_BE_EMPTY,
    NEEDS_OPERATOR,
    RECEIVED,
    TRIGGERS,
    Fact,
)
from shared.calendars import Calendar
from shared.events.customers import ATTRIBUTE_NAME
from shared.events.routing import Lane

Schema = dict[str, Any]
_LONGER: Final = ("eq", "in", "ne", "starts", "wildcard", "regex")
"""Operators that take more of a text than a keyword."""

LATER: Final = "Not available yet: refused when a version is kept."


def schema() -> Schema:
    """Every word of the language; those that are refused on save say so."""
    (action, people, calendar, name, part, language, words, lane, minutes), definitions = (
        msgspec.json.schema_components(
            [Action, People, Calendar, Name, PartName, Language, Words, Lane, Minutes], ref_template="#/$defs/{name}"
        )
    )
    for future, about in FUTURE_ACTIONS.items():
        definitions["Action"]["properties"][future] = {"description": f"{_sentence(about)} {LATER}"}
    rule = _object(
        {
            "name": name,
            "on": _triggers(),
            "after_minutes": {**minutes, "description": "Of a timer: how long nobody must have answered."},
            "when": _to("Condition"),
            "then": action,
            "enabled": {"type": "boolean", "default": True},
        },
        required=["name", "when", "then"],
    )
    lanes = _object({one: _map(language, words) for one in lane["enum"]})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "/schemas/ruleset.json",
        "title": "Ruleset",
        "description": Document.__doc__,
        **_object(
            {
                "fallback": action,
                "rules": {"type": "array", "items": _to("Rule"), "maxItems": MAX_RULES},
                "lists": _map(part, people),
                "lanes": lanes,
                "calendars": _map(part, calendar),
            },
            required=["fallback"],
        ),
        "$defs": {**definitions, "Rule": rule, "Condition": _condition(), **_aliases()},
    }


def _triggers() -> Schema:
    known = [{"const": name, "description": _sentence(about)} for name, about in TRIGGERS.items()]
    later = [{"const": name, "description": f"{_sentence(about)} {LATER}"} for name, about in FUTURE_TRIGGERS.items()]
    return {"description": "What the rule is asked about.", "default": RECEIVED, "oneOf": [*known, *later]}


def _condition() -> Schema:
    group = {"type": "array", "items": _to("Condition"), "minItems": 1}
    facts = {name: _fact(name, fact) for name, fact in FACTS.items() if name != ATTRIBUTE}
    groups = {
        "all": {**group, "description": "All of these hold."},
        "any": {**group, "description": "At least one of these holds."},
        "not": {**_to("Condition"), "description": "This does not hold."},
    }
    return {
        "description": "What a message must be; everything that is named must hold.",
        **_object({**groups, "keywords": _to("Keywords"), "author": _to("Author"), **facts}),
        "patternProperties": {rf"^customer\.attributes\.{ATTRIBUTE_NAME}$": _fact(ATTRIBUTE, FACTS[ATTRIBUTE])},
        "minProperties": 1,
    }


def _aliases() -> Mapping[str, Schema]:
    words = {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": MAX_KEYWORD}}
    some = {**words, "maxItems": MAX_WORDS}
    people = {"type": "array", "items": {"type": "string"}, "maxItems": MAX_VALUES}
    return {
        "Keywords": {
            "description": "Words in the text: one of `any` or `phrase`, every one of `all`, not one of `none`.",
            **_object(dict.fromkeys(("any", "all", "phrase", "none"), some)),
        },
        "Author": {
            "description": "One of these ids or handles.",
            **_object({"ids": people, "handles": people}),
        },
    }


def _fact(name: str, fact: Fact) -> Schema:
    if not fact.fed:
        return {"description": f"{_sentence(fact.about)} {LATER}"}
    value = _value(fact)
    listed = _list(value, most(fact))
    either = {"anyOf": [value, listed]}
    longer = {**value, "maxLength": MAX_LENGTH} if fact.type == "text" else value
    number = {"type": "number"}
    special = {
        "set": {"type": "boolean"},
        "between": {"type": "array", "items": number, "minItems": 2, "maxItems": 2},
        **dict.fromkeys(("gt", "gte", "lt", "lte"), number),
        **{
            one: {"anyOf": [longer, _list(longer, most(fact))]}
            for one in ("eq", "in", "ne", "starts", "wildcard", "regex")
        },
    }
    asked: Schema = {
        "type": "object",
        "properties": {one: special.get(one, either) for one in vocabulary.operators(fact)},
        "additionalProperties": False,
        "minProperties": 1,
    }
    is_told = vocabulary.aspect(name) is not None
    asked["properties"][vocabulary.CHANGED] = {"type": "boolean"} if is_told else {"description": LATER}
    short = [] if fact.type in NEEDS_OPERATOR else [value, {**listed, "minItems": int(name not in MAY_BE_EMPTY)}]
    return {"description": f"{_sentence(fact.about)}", "anyOf": [*short, asked]}


def _list(value: Schema, longest: int) -> Schema:
    return {"type": "array", "items": value, "minItems": 1, "maxItems": longest}


def _value(fact: Fact) -> Schema:
    if fact.type in {"number", "flag"}:
        return {"type": "number" if fact.type == "number" else "boolean"}
    if fact.type == "attribute":
        return {"type": ["string", "number", "boolean"], "minLength": 1, "maxLength": MAX_LENGTH}
    if fact.known:
        return {"type": "string", "examples": list(fact.known)}
    return {"type": "string", "minLength": 1, "maxLength": MAX_KEYWORD if fact.type == "text" else MAX_LENGTH}


def _object(properties: Mapping[str, Any], required: list[str] | None = None) -> Schema:
    found = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    return found | ({"required": required} if required else {})


def _map(names: Schema, values: Schema) -> Schema:
    return {"type": "object", "propertyNames": names, "additionalProperties": values}


def _to(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _sentence(about: str) -> str:
    return f"{about[0].upper()}{about[1:]}."
