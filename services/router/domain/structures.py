"""A structure's rules put into a ruleset: in front of what is there, in place of its own rules from before."""

from typing import Any

from services.router.domain import preset
from shared.structures import Structure


def merged(document: dict[str, Any], structure: Structure) -> dict[str, Any]:
    """The ruleset with the structure in it; the same again when it is in it already.

    Rules of the same name keep their place, new ones are asked before all others: of several structures the one that
    was applied last decides first. Words of a lane that the ruleset has are left as they are.
    """
    ours = {rule["name"]: rule for rule in structure.rules}
    theirs = document.get("rules", [])
    known = {rule["name"] for rule in theirs}
    rules = [rule for name, rule in ours.items() if name not in known]
    rules += [ours.get(rule["name"], rule) for rule in theirs]
    changed = {**document, "rules": rules}
    if structure.fallback is not None:
        changed["fallback"] = structure.fallback
    lanes = document.get("lanes", {})
    if missing := [lane for lane in structure.lanes if lane not in lanes]:
        words = preset.document()["lanes"]
        changed["lanes"] = {**lanes, **{lane: words[lane] for lane in missing}}
    return changed
