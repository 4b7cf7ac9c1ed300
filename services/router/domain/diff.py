"""What is different between two versions of a ruleset, rule by rule."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, Final

Json = Mapping[str, Any]
_PARTS: Final = ("lists", "lanes", "calendars")


def diff(before: Json, after: Json) -> dict[str, Any]:
    """Rules are known by their names. `moved`: the fewest rules whose moves give the new order."""
    old = {rule["name"]: rule for rule in before.get("rules", ())}
    new = {rule["name"]: rule for rule in after.get("rules", ())}
    found: dict[str, Any] = {
        "rules": {
            "added": [name for name in new if name not in old],
            "removed": [name for name in old if name not in new],
            "changed": [
                {"rule": name, **changes} for name in new if name in old and (changes := _changes(old[name], new[name]))
            ],
            "moved": _moved([name for name in old if name in new], [name for name in new if name in old]),
        }
    }
    if before["fallback"] != after["fallback"]:
        found["fallback"] = {"before": before["fallback"], "after": after["fallback"]}
    for part in _PARTS:
        if changes := _changes(before.get(part, {}), after.get(part, {})):
            found[part] = changes
    return found


def _changes(before: Json, after: Json) -> dict[str, Any]:
    """Each key whose value changed, with both values; None stands for what is not there."""
    return {
        key: {"before": before.get(key), "after": after.get(key)}
        for key in dict.fromkeys((*before, *after))
        if before.get(key) != after.get(key)
    }


def _moved(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Whatever is not in the longest run that kept its order."""
    places = {name: place for place, name in enumerate(before)}
    ends: list[int] = []
    lasts: list[str] = []
    previous: dict[str, str | None] = {}
    for name in after:
        length = bisect_left(ends, places[name])
        previous[name] = lasts[length - 1] if length else None
        ends[length : length + 1] = [places[name]]
        lasts[length : length + 1] = [name]
    kept: set[str] = set()
    last = lasts[-1] if lasts else None
    while last is not None:
        kept.add(last)
        last = previous[last]
    return [name for name in after if name not in kept]
