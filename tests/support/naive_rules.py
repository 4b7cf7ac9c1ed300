"""The rule language once more, as plainly as it can be said: one condition after the other, one place after the other."""

import re
import unicodedata
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from services.router.domain.facts import Facts

INVISIBLE = {
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2065),
    0x00AD,
    0xFE0E,
    0xFE0F,
    0xFEFF,
    0x034F,
    0x180E,
}
UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "THAI", "LAO", "KHMER", "MYANMAR")
PYTHON = {
    r"\bref\w*": r"(?<!\w)ref\w*",
    r"[0-9]{2,}": r"[0-9]{2,}",
    r"order #?\d+": r"order #?\d+",
    r"über|straße\b": r"(über|straße)(?!\w)",
    "退.": "退.",
    r"^help": r"^help",
}
"""Patterns of rules and what Python calls them."""


def plain(text: str | None) -> str:
    folded = unicodedata.normalize("NFKC", text or "").casefold().replace("i\u0307", "i")
    visible = "".join(character for character in folded if ord(character) not in INVISIBLE)
    return " ".join(unicodedata.normalize("NFC", visible).split())


def decide(document, facts: Facts) -> tuple[str, dict, list[str]]:
    """The rule that owns, what becomes of the message, and all rules that hold."""
    owner, owning, held, tags, priorities, lanes = "fallback", None, [], [], [], []
    said: dict = {}
    for rule in document["rules"]:
        then = rule["then"]
        owns = "team" in then or then.get("ignore", False)
        if not rule.get("enabled", True) or (owns and owning is not None):
            continue
        if not holds(rule["when"], facts, document):
            continue
        held.append(rule["name"])
        said = {kind: then[kind] for kind in ("auto_reply", "private_reply") if kind in then} | said
        if owns:
            owner, owning = rule["name"], then
        else:
            tags += [tag for tag in then.get("tags", []) if tag not in tags]
            priorities.append(then.get("priority"))
            lanes.append(then.get("lane"))
        if then.get("stop"):
            break
    deciding = owning or document["fallback"]
    priorities.append(deciding.get("priority"))
    if owning is None:
        said = {kind: deciding[kind] for kind in ("auto_reply", "private_reply") if kind in deciding} | said
    order = [None, "low", "normal", "high", "urgent"]
    own = deciding.get("tags", [])
    made = {
        "team": deciding.get("team"),
        "ignore": deciding.get("ignore", False),
        "priority": max(priorities, key=order.index),
        "tags": own + [tag for tag in tags if tag not in own],
        "lane": next((lane for lane in [deciding.get("lane"), *lanes] if lane), None),
        **({} if deciding.get("ignore") else said),
    }
    return owner, made, held


def holds(when, facts: Facts, document) -> bool:
    return all(part(name, asked, facts, document) for name, asked in when.items())


def part(name: str, asked, facts: Facts, document) -> bool:
    match name:
        case "not":
            return not holds(asked, facts, document)
        case "all":
            return all(holds(one, facts, document) for one in asked)
        case "any":
            return any(holds(one, facts, document) for one in asked)
        case "keywords":
            return of_keywords(asked, facts.text)
        case "author":
            return not (asked.get("ids") or asked.get("handles")) or is_one_of(facts, asked)
    if not isinstance(asked, dict):
        asked = {"any" if name == "text" else "in": asked}
    return asked == {"in": []} or all(operator(name, how, value, facts, document) for how, value in asked.items())


def of_keywords(asked, text: str | None) -> bool:
    some = asked.get("any", []) + asked.get("phrase", [])
    return (
        (not some or any(contains(text, word) for word in some))
        and all(contains(text, word) for word in asked.get("all", []))
        and not any(contains(text, word) for word in asked.get("none", []))
    )


def is_one_of(facts: Facts, people) -> bool:
    handles = [plain(handle).removeprefix("@") for handle in people.get("handles", [])]
    known = facts.author_id in people.get("ids", [])
    return known or (facts.handle is not None and plain(facts.handle).removeprefix("@") in handles)


def operator(name: str, how: str, value, facts: Facts, document) -> bool:
    values = value if isinstance(value, list) else [value]
    if how in {"ne", "none", "outside", "workday"}:
        positive = {"ne": "in", "none": "any", "outside": "within", "workday": "holiday"}[how]
        return not operator(name, positive, value, facts, document)
    by_name = {
        "text": lambda: of_text(how, values, facts.text),
        "lane": lambda: any(
            of_lane(document["lanes"][lane], facts.text) or (facts.classified and facts.classified.lane == lane)
            for lane in values
        ),
        "author.list": lambda: any(is_one_of(facts, document["lists"][one]) for one in values),
        "time": lambda: any(of_time(how, document["calendars"][one], facts.at) for one in values),
        "hashtags": lambda: several(
            how, [one if one in (True, False) else plain(one).removeprefix("#") for one in values], hashtags(facts.text)
        ),
        "media": lambda: several(how, values, list(facts.media)),
        "customer.tags": lambda: several(how, values, list(facts.customer.tags) if facts.customer else []),
        "customer.attributes.plan": lambda: of_attribute(how, values, facts),
        "shift": lambda: several(how, values, list(facts.shift or ())),
        "shift.change": lambda: several(how, values, list(facts.shifted)),
        "ticket.tags": lambda: several(how, values, list(facts.ticket.tags) if facts.ticket else []),
    }
    return by_name[name]() if name in by_name else scalar(how, values, value_of(name, facts))


def of_attribute(how: str, values, facts: Facts) -> bool:
    has = facts.customer.attributes.get("plan") if facts.customer else None
    kind = {bool: "flag", int: "number", float: "number", str: "text", type(None): "nothing"}[type(has)]
    if how in {"eq", "in"}:
        return scalar(how, [one for one in values if isinstance(one, bool) == (kind == "flag")], has)
    needs = {"set": kind, "starts": "text", "wildcard": "text", "regex": "text"}.get(how, "number")
    return kind == needs and scalar(how, values, has)


def of_lane(languages, text: str | None) -> bool:
    return any(contains(text, word) for words in languages.values() for word in words)


def hashtags(text: str | None) -> list[str]:
    return re.findall(r"#(\w+)", plain(text))


def value_of(name: str, facts: Facts):
    field = {
        "author.followers": "followers",
        "author.verified": "verified",
        "author.id": "author_id",
        "author.first": "first",
        "post.ad": "ad",
        "ticket.open": "has_ticket",
    }
    if name == "sentiment":
        return facts.classified.sentiment if facts.classified else None
    if name in {"surge.change", "surge.subject"}:
        return getattr(facts.surge, name.removeprefix("surge.")) if facts.surge else None
    if name == "volume.surge":
        lane = facts.classified.lane if facts.classified else None
        found = set(facts.surging.open) & {"workspace", "channel:c1", f"lane:{lane}"} if facts.surging else set()
        return None if facts.surging is None else bool(found)
    if name == "ticket.team":
        return facts.ticket.team if facts.ticket else None
    if name == "ticket.answered":
        answered = facts.ticket.answered_at if facts.ticket else None
        return None if answered is None or facts.at is None else max((facts.at - answered) / timedelta(minutes=1), 0)
    return getattr(facts, field.get(name, name))


def scalar(how: str, values, has) -> bool:
    if how == "set" or has is None:
        return (has is not None) == values[0] if how == "set" else False
    by_operator = {
        "eq": lambda: has in values,
        "in": lambda: has in values,
        "starts": lambda: any(has.startswith(one) for one in values),
        "wildcard": lambda: any(fnmatchcase(has, one) for one in values),
        "between": lambda: values[0] <= has <= values[1],
        "gt": lambda: has > values[0],
        "gte": lambda: has >= values[0],
        "lt": lambda: has < values[0],
        "lte": lambda: has <= values[0],
    }
    return by_operator[how]()


def several(how: str, values, has) -> bool:
    match how:
        case "set":
            return bool(has) == values[0]
        case "all":
            return all(one in has for one in values)
        case "starts":
            return any(one.startswith(start) for one in has for start in values)
    return any(one in has for one in values)


def of_text(how: str, values, text: str | None) -> bool:
    words = plain(text)
    by_operator = {
        "any": lambda: any(contains(text, word) for word in values),
        "phrase": lambda: any(contains(text, word) for word in values),
        "all": lambda: all(contains(text, word) for word in values),
        "eq": lambda: words in [plain(one) for one in values],
        "starts": lambda: bool(words) and any(words.startswith(plain(one)) for one in values),
        "regex": lambda: any(re.search(PYTHON[one], words, re.IGNORECASE) for one in values),
        "wildcard": lambda: any(contains(text, one, wild="*?") for one in values),
        "set": lambda: bool(words) == values[0],
    }
    return by_operator["eq" if how == "in" else how]()


def contains(text: str | None, keyword: str, *, wild: str = "") -> bool:
    """Every place is looked at: does the keyword stand there, and is it a word there?"""
    words, pattern = plain(text), plain(keyword)
    goes_on = not wild and pattern.endswith("*")
    pattern = pattern[:-1] if goes_on else pattern
    lengths = range(len(words) + 1) if wild else [len(pattern)]
    for start in range(len(words)):
        for end in {start + length for length in lengths if start + length <= len(words)}:
            if not (stands(pattern, words[start:end]) if wild else words[start:end] == pattern):
                continue
            left = start == 0 or is_edge(words[start - 1]) or not (is_word(pattern[0]) or pattern[0] in wild)
            right = end == len(words) or is_edge(words[end]) or not (is_word(pattern[-1]) or pattern[-1] in wild)
            if (left or is_unspaced(pattern[0])) and (right or goes_on or goes_without_end(pattern[-1])):
                return True
    return False


def stands(pattern: str, words: str) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "*":
        return stands(pattern[1:], words) or (bool(words) and is_word(words[0]) and stands(pattern, words[1:]))
    return (
        bool(words)
        and (words[0] == pattern[0] or (pattern[0] == "?" and is_word(words[0])))
        and stands(pattern[1:], words[1:])
    )


def is_word(character: str) -> bool:
    return character == "_" or unicodedata.category(character)[0] in "LNM"


def is_unspaced(character: str) -> bool:
    return unicodedata.name(character, "").startswith(UNSPACED)


def goes_without_end(character: str) -> bool:
    return is_unspaced(character) or unicodedata.name(character, "").startswith("HANGUL")


def is_edge(character: str) -> bool:
    return not is_word(character) or is_unspaced(character)


def of_time(how: str, calendar, at: datetime | None) -> bool:
    if at is None:
        return False
    local = at.astimezone(ZoneInfo(calendar["zone"]))
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    dates = calendar.get("holidays", {}).get("dates", [])
    if how == "holiday":
        return local.date().isoformat() in dates
    for back in (0, 1):
        day = local.date() - timedelta(days=back)
        minute = local.hour * 60 + local.minute + back * 1440
        for first, last in calendar["hours"].get(days[day.weekday()], []):
            start, end = (int(one[:2]) * 60 + int(one[3:]) for one in (first, last))
            if day.isoformat() not in dates and start <= minute < (end if end > start else end + 1440):
                return True
    return False
