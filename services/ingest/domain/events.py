"""From one item of a body to message events: what it means beside what is known already."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Literal

from msgspec.structs import replace

from services.ingest.domain.changes import Change, Emission, Named, Place, View
from services.ingest.domain.index import Known
from services.ingest.domain.options import reply_options
from shared import ids
from shared.events import messages
from shared.events.messages import Message, MessageEvent, Verb
from shared.networks.port import Item, Skipped

CONTENT: Final[frozenset[Verb]] = frozenset({"received", "edited"})
"""Verbs that carry content, which a later parser may read differently."""

_PLAIN: Final[Mapping[str, type[MessageEvent]]] = {
    "received": messages.MessageReceived,
    "edited": messages.MessageEdited,
    "deleted": messages.MessageDeleted,
    "hidden": messages.MessageHidden,
    "unhidden": messages.MessageUnhidden,
    "corrected": messages.MessageCorrected,
}


def apply(named: Named, view: View, place: Place) -> Change:
    """What the item means, given what is known."""
    if view.published:
        return _again(named, view, place)
    if view.repeated:
        return _skip("duplicate", named, "was said by another delivery")
    known = view.known
    if known is not None and known.state == "deleted":
        if named.item.verb == "deleted":
            return _skip("duplicate", named, "was deleted before")
        return _skip("deleted-before", named, "was deleted, and does not come back")
    return _BY_VERB[named.item.verb](named, view, place)


def _received(named: Named, view: View, place: Place) -> Change:
    known = view.known
    if known is not None and known.state == "present":
        return _completed(named, known, place)
    return _arrived(named, view, place)


def _arrived(named: Named, view: View, place: Place, *, edited_at: datetime | None = None) -> Change:
    """The first that we see of an item itself, as a create or as an edit of what never came."""
    message = _message(named, view, place, replayed=place.replayed)
    announced = view.known or Known(message=message)
    emissions = [_emission(named, place, "received", message)]
    if announced.hidden:
        # It was hidden before it came: whoever reads the events in order must see it hidden in the end.
        event_id = ids.digest("evt", named.message_id, "hidden", named.event_id)
        emissions.append(_emission(named, place, "hidden", message, event_id=event_id))
    after = replace(
        announced,
        message=message,
        state="present",
        partial=edited_at is not None,
        content_from=place.inbox_id,
        edited_at=edited_at,
    )
    return Change(known=after, emissions=tuple(emissions))


def _completed(named: Named, known: Known, place: Place) -> Change:
    """A second announcement of a known item adds what was missing, and takes nothing away."""
    item, old = named.item, known.message
    new = replace(
        old,
        author=old.author or item.author,
        parent_external_id=old.parent_external_id or item.parent_external_id,
        permalink=old.permalink or item.permalink,
        post=old.post or item.post,
        rating=old.rating if old.rating is not None else item.rating,
        correlation_id=old.correlation_id or item.correlation_id,
    )
    if known.partial:
        occurred_at = min(old.occurred_at, item.occurred_at or old.occurred_at)
        new = replace(
            new,
            attachments=old.attachments or item.attachments,
            occurred_at=occurred_at,
            reply_options=reply_options(item, place.capabilities, occurred_at),
        )
    if new == old:
        return _skip("duplicate", named, "was received before")
    after = replace(known, message=new, partial=False)
    emission = _emission(named, place, "corrected", new, event_id=_completion_id(named))
    return Change(known=after, emissions=(emission,))


def _edited(named: Named, view: View, place: Place) -> Change:
    known, item = view.known, named.item
    at = item.occurred_at or place.received_at
    if known is None or known.state == "announced":
        return _edited_first(named, view, place, at)
    if known.edited_at is not None and at < known.edited_at:
        return _skip("stale", named, "was edited again since")
    new = _with_content(known.message, item)
    if new == known.message:
        # Its time counts all the same: an edit before it must not win.
        return _skip("unchanged", named, "has this content already", known=replace(known, edited_at=at))
    after = replace(known, message=new, content_from=place.inbox_id, edited_at=at)
    return Change(known=after, emissions=(_emission(named, place, "edited", new),))


def _edited_first(named: Named, view: View, place: Place, at: datetime) -> Change:
    """An edit of what never came. A customer's is the first that we see of a message, and must be answered."""
    item = named.item
    if item.direction == "out":
        # Our own old answer, changed: it answers nothing now.
        return Change(emissions=(_emission(named, place, "edited", _message(named, view, place)),))
    if not item.text and not item.attachments:
        return _skip("unknown-item", named, "was edited to nothing, and never came itself")
    return _arrived(named, view, place, edited_at=at)


def _with_content(message: Message, item: Item) -> Message:
    """An edit says the whole text; attachments and the rest only where it has them."""
    return replace(
        message,
        text=item.text,
        attachments=item.attachments or message.attachments,
        rating=item.rating if item.rating is not None else message.rating,
        permalink=item.permalink or message.permalink,
        post=message.post or item.post,
        author=message.author or item.author,
    )


def _deleted(named: Named, view: View, place: Place) -> Change:
    known = view.known
    message = _message(named, view, place) if known is None or known.state == "announced" else known.message
    gone = replace(message, text=None, attachments=(), reply_options=())
    return Change(
        known=Known(message=gone, state="deleted", content_from=place.inbox_id),
        emissions=(_emission(named, place, "deleted", gone),),
    )


def _shown(named: Named, view: View, place: Place) -> Change:
    known, item = view.known, named.item
    hidden = item.verb == "hidden"
    verb: Literal["hidden", "unhidden"] = "hidden" if hidden else "unhidden"
    at = item.occurred_at or place.received_at
    if known is None:
        known = Known(message=_message(named, view, place), state="announced")
    elif known.hidden_at is not None and at < known.hidden_at:
        return _skip("stale", named, "was hidden or shown again since")
    elif known.hidden == hidden:
        return _skip("unchanged", named, f"is {verb} already", known=replace(known, hidden_at=at))
    after = replace(known, hidden=hidden, hidden_at=at)
    return Change(known=after, emissions=(_emission(named, place, verb, known.message),))


def _reacted(named: Named, view: View, place: Place) -> Change:
    known = view.known
    message = known.message if known is not None else _message(named, view, place)
    if named.item.reaction is None:
        raise ValueError("a reaction without a reaction")
    data = messages.MessageReacted(
        workspace_id=place.workspace_id,
        message=_stamped(message, place),
        provider_version=named.item.version,
        reaction=named.item.reaction,
    )
    return Change(emissions=(Emission(event_id=named.event_id, part=named.part, data=data),))


def _again(named: Named, view: View, place: Place) -> Change:
    """The same part of the same delivery, read once more: nothing, or a correction where it reads differently."""
    *before, last = view.published
    if last in ({_correction_id(named, before[-1])} if before else {named.event_id, _completion_id(named)}):
        return Change()
    known = view.known
    if named.item.verb not in CONTENT or known is None or known.state != "present":
        return Change()
    new = _corrected(named, known, view, place)
    if new == known.message:
        return Change()
    emission = _emission(named, place, "corrected", new, event_id=_correction_id(named, last))
    return Change(known=replace(known, message=new), emissions=(emission,))


def _corrected(named: Named, known: Known, view: View, place: Place) -> Message:
    """The item as this reading has it. Text that came later stays, and so does the conversation: it has its order."""
    old = known.message
    if named.item.verb == "edited" and not known.partial:
        return _with_content(old, named.item) if known.content_from == place.inbox_id else old
    new = _message(named, view, place)
    owns = known.content_from == place.inbox_id
    return replace(
        new,
        conversation_id=old.conversation_id,
        received_at=old.received_at,
        inbox_id=old.inbox_id,
        replayed=old.replayed,
        text=new.text if owns else old.text,
        attachments=new.attachments if owns else old.attachments,
        author=new.author or old.author,
        parent_external_id=new.parent_external_id or old.parent_external_id,
        permalink=new.permalink or old.permalink,
        post=new.post or old.post,
        rating=new.rating if new.rating is not None else old.rating,
        correlation_id=new.correlation_id or old.correlation_id,
    )


def _completion_id(named: Named) -> str:
    return ids.digest("evt", named.message_id, "corrected", named.event_id)


def _correction_id(named: Named, previous: str) -> str:
    """Chained, so that a reading that comes back after another one is an event again."""
    return ids.digest("evt", named.message_id, "corrected", named.event_id, previous)


def _undelivered(named: Named, view: View, place: Place) -> Change:
    known = view.known
    message = known.message if known is not None else _message(named, view, place)
    data = messages.MessageUndelivered(
        workspace_id=place.workspace_id,
        message=_stamped(message, place),
        provider_version=named.item.version,
        reason=named.item.reason,
    )
    return Change(emissions=(Emission(event_id=named.event_id, part=named.part, data=data),))


def _message(named: Named, view: View, place: Place, *, replayed: bool = False) -> Message:
    item = named.item
    occurred_at = item.occurred_at or place.received_at
    conversation_id = view.parent_conversation or ids.digest("cnv", place.channel_id, item.thread or item.external_id)
    if view.known is not None and view.known.state == "present":
        conversation_id = view.known.message.conversation_id
    return Message(
        workspace_id=place.workspace_id,
        id=named.message_id,
        channel_id=place.channel_id,
        network=place.network,
        kind=item.kind,
        direction=item.direction,
        origin=item.origin,
        external_id=item.external_id,
        conversation_id=conversation_id,
        occurred_at=occurred_at,
        received_at=place.received_at,
        inbox_id=place.inbox_id,
        parent_external_id=item.parent_external_id,
        author=item.author,
        text=item.text,
        attachments=item.attachments,
        permalink=item.permalink,
        post=item.post,
        rating=item.rating,
        reply_options=reply_options(item, place.capabilities, occurred_at),
        correlation_id=item.correlation_id,
        replayed=replayed,
    )


def _emission(named: Named, place: Place, verb: Verb, message: Message, *, event_id: str | None = None) -> Emission:
    data = _PLAIN[verb](
        workspace_id=place.workspace_id,
        message=_stamped(message, place),
        provider_version=named.item.version,
    )
    return Emission(event_id=event_id or named.event_id, part=named.part, data=data)


def _stamped(message: Message, place: Place) -> Message:
    """The message as this delivery's event carries it."""
    if message.inbox_id == place.inbox_id and message.replayed >= place.replayed:
        return message
    changes: dict[str, Any] = {"inbox_id": place.inbox_id, "replayed": message.replayed or place.replayed}
    return replace(message, **changes)


def _skip(code: str, named: Named, why: str, *, known: Known | None = None) -> Change:
    return Change(known=known, skipped=Skipped(code=code, detail=f"{named.item.external_id} {why}"))


_BY_VERB: Final[Mapping[Verb, Callable[[Named, View, Place], Change]]] = {
    "received": _received,
    "edited": _edited,
    "deleted": _deleted,
    "hidden": _shown,
    "unhidden": _shown,
    "reacted": _reacted,
    "undelivered": _undelivered,
}
"""What networks say; `corrected` is our own word."""
