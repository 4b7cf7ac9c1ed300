"""Who is meant: a person has a user id that stays (BSUID), and a phone number that may be hidden, empty or change."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.events.messages import Author
from shared.networks import bodies

USER_ID: Final = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]+")
"""A business-scoped user id: country, and for a parent's `ENT`, before what names the person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A person as the delivery introduces them; each id may be missing, never both."""

    user_id: str | None
    phone: str | None
    name: str | None
    handle: str | None

    @property
    def external_id(self) -> str | None:
        """The id that names this person to us."""
        return self.user_id or self.phone


def contacts(value: object) -> tuple[Contact, ...]:
    """Those whom a delivery introduces; who has no id is nobody that a message could be from."""
    return tuple(_introduced(value))


def _introduced(value: object) -> Iterator[Contact]:
    for entry in map(bodies.mapping, bodies.sequence(value)):
        profile = bodies.mapping(entry.get("profile"))
        contact = Contact(
            user_id=bodies.identifier(entry.get("user_id")),
            phone=bodies.identifier(entry.get("wa_id")),
            name=bodies.text(profile.get("name")),
            handle=_handle(profile),
        )
        if contact.external_id:
            yield contact


def _handle(profile: Mapping[str, Any]) -> str | None:
    found = bodies.text(profile.get("username"))
    return (found.removeprefix("@") or None) if found else None


def person(user_id: object, phone: object, known: tuple[Contact, ...]) -> Author | None:
    """The person with these ids, completed by what the delivery says of them; the only one where none is named."""
    user, number = bodies.identifier(user_id), bodies.identifier(phone)
    if user is None and number is None:
        found = known[0] if len(known) == 1 else None
    else:
        by_user = (contact for contact in known if user is not None and contact.user_id == user)
        by_number = (contact for contact in known if number is not None and contact.phone == number)
        found = next(by_user, None) or next(by_number, None)
    external_id = user or (found.external_id if found else None) or number
    if external_id is None:
        return None
    return Author(external_id=external_id, handle=found.handle if found else None, name=found.name if found else None)
