"""A network's item as the ticket keeps it, and what edits, deletions and reactions make of it, in any order."""

from typing import Final, Literal

import msgspec

from shared.events.messages import Message, Verb
from shared.events.payload import Actor
from shared.events.routing import MessageRouted

State = Literal["visible", "hidden", "deleted"]


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One item. `received` False: only an edit or a deletion of it was seen so far, which its arrival will respect."""

    id: str
    workspace_id: str
    ticket_id: str | None = None
    """None: no ticket holds it, because a rule ignored it or because it has not arrived yet."""
    seq: int | None = None
    received: bool
    state: State = "visible"
    text: str | None
    provider_version: str = ""
    reactions: dict[str, str] = {}
    """Who reacted, and with what."""
    message: Message


def arrived(event: MessageRouted, before: Stored | None) -> Stored:
    """The item as it is on arrival: what was heard of it earlier stands."""
    message = event.message
    stored = Stored(
        id=message.id,
        workspace_id=event.workspace_id,
        received=True,
        text=message.text,
        provider_version=event.provider_version,
        message=message,
    )
    if before is None:
        return stored
    stored = msgspec.structs.replace(stored, state=before.state, reactions=before.reactions)
    if before.state == "deleted":
        return _emptied(stored)
    if before.text is None:
        return stored
    edited = msgspec.structs.replace(message, text=before.text)
    return msgspec.structs.replace(stored, text=before.text, provider_version=before.provider_version, message=edited)


def blank(event: MessageRouted) -> Stored:
    """An item that has not arrived: what happens to it is kept until then."""
    message = msgspec.structs.replace(event.message, text=None, attachments=())
    return Stored(id=message.id, workspace_id=event.workspace_id, received=False, text=None, message=message)


def revised(event: MessageRouted, stored: Stored) -> Stored | None:
    """What an event other than the arrival makes of an item; None when it changes nothing.

    A deletion is final. An older version never replaces a newer one.
    """
    match event.verb:
        case "edited" | "corrected" if stored.state != "deleted":
            return _rewritten(event, stored)
        case "reacted":
            return _reacted(event, stored)
        case verb:
            return turned(verb, stored)


def turned(verb: Verb, stored: Stored) -> Stored | None:
    """The item once it is hidden, shown again or deleted, whoever tells; None where it is so already."""
    match verb:
        case "deleted" if stored.state != "deleted":
            return _emptied(msgspec.structs.replace(stored, state="deleted"))
        case "hidden" if stored.state == "visible":
            return msgspec.structs.replace(stored, state="hidden")
        case "unhidden" if stored.state == "hidden":
            return msgspec.structs.replace(stored, state="visible")
        case _:
            return None


def author(event: MessageRouted, customer_id: str | None) -> Actor:
    """Who is behind an event: the customer who wrote the item, or the network where nobody is named."""
    writer = event.message.author
    if event.message.direction == "out" or event.verb in ("hidden", "unhidden"):
        return Actor(kind="system", name=event.message.network)
    return Actor(kind="customer", id=customer_id, name=(writer.name or writer.handle) if writer else None)


def _rewritten(event: MessageRouted, stored: Stored) -> Stored | None:
    if _is_older(event.provider_version, stored.provider_version):
        return None
    same = (event.message.text, event.message.attachments) == (stored.text, stored.message.attachments)
    if same and event.provider_version == stored.provider_version:
        return None
    return msgspec.structs.replace(
        stored, text=event.message.text, provider_version=event.provider_version, message=event.message
    )


def _reacted(event: MessageRouted, stored: Stored) -> Stored | None:
    reaction = event.reaction
    if reaction is None:
        return None
    who = reaction.author.external_id if reaction.author else ""
    reactions = {name: emoji for name, emoji in stored.reactions.items() if name != who}
    if reaction.action == "add":
        reactions[who] = reaction.emoji or ""
    return None if reactions == stored.reactions else msgspec.structs.replace(stored, reactions=reactions)


def _emptied(stored: Stored) -> Stored:
    # What its author took back is not kept: networks demand it.
    message = msgspec.structs.replace(stored.message, text=None, attachments=())
    return msgspec.structs.replace(stored, text=None, message=message)


_DIGITS: Final = frozenset("0123456789.")


def _is_older(version: str, than: str) -> bool:
    # Edit counts and epoch times can be compared; whatever else a network says only tells same from different.
    if not version or not than or not _DIGITS.issuperset(version + than):
        return False
    try:
        return float(version) < float(than)
    except ValueError:
        return False
