"""What a team knows of a customer: attributes and tags, their limits, and what becomes of them when people join."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from shared.errors import Invalid
from shared.events.customers import ATTRIBUTE_NAME

MOST_ATTRIBUTES: Final = 50
MOST_TAGS: Final = 50
MOST_BYTES: Final = 4_096
"""Of all attributes as JSON: events carry them, and decisions that ask for them keep them."""

LONGEST_TEXT: Final = 200
KEY: Final = f"^{ATTRIBUTE_NAME}$"

Attribute = str | int | float | bool


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """Attributes by name, and tags."""

    attributes: Mapping[str, Attribute] = {}
    tags: tuple[str, ...] = ()


def amended(known: Known, *, attributes: Mapping[str, Attribute | None], tags: Sequence[str] | None) -> Known:
    """With these attributes set, or gone where they are None, and these tags instead; Invalid beyond the limits."""
    after = {name: value for name, value in {**known.attributes, **attributes}.items() if value is not None}
    if problem := _problem(after):
        raise Invalid(
            "that is more than is kept of a customer", errors=[{"pointer": "#/attributes", "detail": problem}]
        )
    return Known(attributes=after, tags=known.tags if tags is None else tuple(dict.fromkeys(tags)))


def inherited(known: Known, other: Known) -> Known:
    """With what another one brings who turns out to be the same person.

    Where both say something, it stays as it is; what is more than fits is left out, by name.
    """
    attributes = dict(known.attributes)
    for name in sorted(other.attributes.keys() - attributes.keys()):
        more = attributes | {name: other.attributes[name]}
        if _problem(more) is None:
            attributes = more
    return Known(attributes=attributes, tags=tuple(dict.fromkeys((*known.tags, *other.tags)))[:MOST_TAGS])


def differences(before: Known, after: Known) -> dict[str, Any]:
    """What is otherwise: each attribute before and after (None: not set), and tags that came and went."""
    names = sorted(before.attributes.keys() | after.attributes.keys())
    pairs = {name: (before.attributes.get(name), after.attributes.get(name)) for name in names}
    attributes = {
        name: {"before": old, "after": new} for name, (old, new) in pairs.items() if _exactly(old) != _exactly(new)
    }
    tags = {"added": _without(after.tags, before.tags), "removed": _without(before.tags, after.tags)}
    found: dict[str, Any] = {"attributes": attributes} if attributes else {}
    return found | ({"tags": tags} if tags["added"] or tags["removed"] else {})


def _problem(attributes: Mapping[str, Attribute]) -> str | None:
    if len(attributes) > MOST_ATTRIBUTES:
        return f"at most {MOST_ATTRIBUTES} attributes"
    if len(msgspec.json.encode(attributes)) > MOST_BYTES:
        return f"at most {MOST_BYTES} bytes of attributes"
    return None


def _exactly(value: Attribute | None) -> tuple[bool, Attribute | None]:
    # To Python, true is 1.
    return isinstance(value, bool), value


def _without(tags: Iterable[str], others: Sequence[str]) -> list[str]:
    return [tag for tag in tags if tag not in others]
