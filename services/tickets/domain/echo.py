"""Whether an outbound item of a network is our own reply coming back, or somebody's answer in the network's own app."""

from collections.abc import Iterable, Sequence

import msgspec

from services.tickets.domain import text
from services.tickets.domain.outcome import UNFINISHED, Outcome, ReplyState
from shared.events.messages import Message
from shared.events.payload import Actor

REPLY_PREFIX = "rpl"
"""What ids of our replies begin with; everything else that answers a turn is a native item."""


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """A reply of ours that an item may be the echo of."""

    id: str
    seq: int
    state: ReplyState
    channel_id: str
    conversation_id: str
    correlation_id: str
    normalized_text: str
    has_files: bool = False
    external_id: str | None = None
    is_fresh: bool = True
    """Whether it was settled so lately that an echo may still be on its way."""


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """It is this reply. `is_news`: nobody knew its id on the network, or whether it had left."""

    reply: Own
    is_news: bool


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """It says the same as this reply, of which nobody knows yet whether it left: asked to stay, it will tell."""

    reply: Own


class Native(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody answered in the network's own app."""

    contradicts: Own | None = None
    """A reply of which we thought that it had not left."""


def judge(item: Message, ours: Sequence[Own], *, awaited: Iterable[str] = ()) -> Matched | Waits | Native:
    """What an item is. `awaited`: replies that another item already waits for."""
    by_name = named(item, ours)
    if by_name is not None:
        return _judge_named(by_name)
    taken = set(awaited)
    same = [
        own
        for own in sorted(ours, key=lambda own: own.seq)
        if own.conversation_id == item.conversation_id and own.id not in taken and _says(own, item)
    ]
    # First those that surely left: a reply that still waits may say the same again.
    for own in same:
        if own.state == "sent" and own.external_id is None and own.is_fresh:
            return Matched(reply=own, is_news=True)
    for own in same:
        if own.state == "unknown":
            return Matched(reply=own, is_news=True)
        if own.state in UNFINISHED:
            return Waits(reply=own)
    return Native()


def named(item: Message, ours: Sequence[Own]) -> Own | None:
    """The reply that an item names as itself, by our id or by the network's; in whichever conversation it appears."""
    for own in ours:
        if item.correlation_id is not None and item.correlation_id == own.correlation_id:
            return own
    for own in ours:
        if own.external_id == item.external_id and own.channel_id == item.channel_id:
            return own
    return None


def is_own(*, echo_external_id: str, outcome: Outcome, external_id: str | None) -> bool:
    """Whether the item that waited for a reply was that reply, now that its outcome is known."""
    if outcome == "unknown":
        return True
    return outcome == "sent" and external_id in (None, echo_external_id)


def is_native_answer(answer_id: str | None) -> bool:
    """Whether the answer of a turn is an item of the network rather than one of our replies."""
    return answer_id is not None and not answer_id.startswith(f"{REPLY_PREFIX}_")


def writer(item: Message) -> Actor:
    """Who answered in the network's own app, as far as it says: never one of our agents by id."""
    author = item.author
    name = (author.name or author.handle) if author else None
    return Actor(kind="bot" if item.origin == "bot" else "agent", name=name)


def _judge_named(own: Own) -> Matched | Native:
    if own.state in UNFINISHED:
        return Matched(reply=own, is_news=True)
    if own.state == "sent":
        return Matched(reply=own, is_news=own.external_id is None)
    return Native(contradicts=own)


def _says(own: Own, item: Message) -> bool:
    return text.is_same(
        own.normalized_text,
        text.normalize(item.text),
        ours_has_files=own.has_files,
        theirs_has_files=bool(item.attachments),
    )
