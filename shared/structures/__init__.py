"""Team structures as data: documents of teams, schedules and rules. Tickets applies the first two, router the last.

A structure is a file beside this one; adding one needs no code.
"""

from importlib.resources import files
from typing import Any, Final

import msgspec

from shared.errors import NotFound

_SUFFIX: Final = ".json"


class TeamPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A team that the structure needs."""

    id: str
    name: str


class Structure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a team works: who there is, when they work, and what goes to whom."""

    name: str = ""
    about: str
    teams: tuple[TeamPart, ...]
    schedules: dict[str, dict[str, Any]] = {}
    """By team; their zone is a matter of whoever applies it."""
    lanes: tuple[str, ...] = ()
    """Lanes that its rules ask for: a ruleset that lacks one gets the preset's words."""
    rules: tuple[dict[str, Any], ...]
    fallback: dict[str, Any] | None = None


def names() -> list[str]:
    """All structures."""
    return sorted(
        entry.name.removesuffix(_SUFFIX) for entry in files(__name__).iterdir() if entry.name.endswith(_SUFFIX)
    )


def load(name: str) -> Structure:
    """The structure of this name; NotFound."""
    if name not in names():
        raise NotFound(f"there is no structure {name}: one of {', '.join(names())}")
    text = files(__name__).joinpath(name + _SUFFIX).read_bytes()
    return msgspec.structs.replace(msgspec.json.decode(text, type=Structure), name=name)
