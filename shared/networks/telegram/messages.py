"""What Telegram's updates say happened to messages."""

from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from shared.events.messages import Author, Kind, Post, Reaction
from shared.networks import bodies
from shared.networks.port import Item, Skipped
from shared.networks.telegram import content
from shared.networks.telegram.payloads import CALLBACK, CONTENT, DELETED, MESSAGE, REACTION, Chat, Message, User
from shared.networks.telegram.places import Place

_SUPERGROUP: Final = "-100"
_GROUPS: Final = frozenset({"group", "supergroup"})


def new(raw: msgspec.Raw) -> Iterator[Item | Skipped]:
    """A message to the bot, in a group that it is in, or to the business account that it works for."""
    yield _read(raw, verb="received")


def edited(raw: msgspec.Raw) -> Iterator[Item | Skipped]:
    """The same after its author changed it; Telegram counts no editions, so their times tell them apart."""
    yield _read(raw, verb="edited")


def channel_post(_: msgspec.Raw) -> Iterator[Item | Skipped]:
    """A post of a channel that the bot administers: comments on it come as messages of the linked group."""
    yield Skipped(code="own-post", detail="a post of the channel itself")


def deleted(raw: msgspec.Raw) -> Iterator[Item | Skipped]:
    """Messages that were deleted from a business account's chat; of no other chat Telegram tells that."""
    event = bodies.decode(DELETED, raw)
    place = Place.of(event.chat, event.business_connection_id)
    if not event.message_ids:
        yield Skipped(code="empty-update", detail="a deletion of nothing")
    for id_ in event.message_ids:
        message_id = bodies.identifier(id_)
        if place is None or message_id is None:
            yield Skipped(code="no-id", detail="a deleted message without id")
            continue
        yield Item(
            verb="deleted",
            kind="dm",
            # Whose it was is not said; the index of items knows.
            direction="in",
            origin="customer",
            external_id=place.message(message_id),
            account_external_id="",
            occurred_at=None,
            thread=str(place),
        )


def callback(raw: msgspec.Raw) -> Iterator[Item | Skipped]:
    """A button that somebody pressed: what it stands for is what they say."""
    query = bodies.decode(CALLBACK, raw)
    if bytes(query.message) == b"null":
        yield Skipped(code="inline", detail="a button under a message that was sent through the bot elsewhere")
        return
    message = bodies.decode(MESSAGE, query.message)
    place, query_id = Place.of(message.chat, message.business_connection_id), bodies.identifier(query.id)
    author = _person(query.author)
    if place is None or query_id is None or author is None:
        yield Skipped(code="no-id", detail="a button pressed by nobody, or nowhere")
        return
    message_id = bodies.identifier(message.message_id)
    yield Item(
        verb="received",
        kind=_kind(message),
        direction="in",
        origin="customer",
        external_id=place.message(f"callback-{query_id}"),
        account_external_id="",
        # The time of the message is not the time of the press, which Telegram does not tell.
        occurred_at=None,
        thread=_thread(message, place),
        parent_external_id=place.message(message_id) if message_id else None,
        author=author,
        text=bodies.text(query.data),
    )


def reaction(raw: msgspec.Raw) -> Iterator[Item | Skipped]:
    """What somebody put on a message and took from it, each for itself."""
    event = bodies.decode(REACTION, raw)
    place, message_id = Place.of(event.chat), bodies.identifier(event.message_id)
    if place is None or message_id is None:
        yield Skipped(code="no-id", detail="a reaction without message")
        return
    before, after = (_signs(signs) for signs in (event.old_reaction, event.new_reaction))
    author = _chat(event.actor_chat) or _person(event.user)
    changes: list[tuple[Literal["add", "remove"], str]] = [
        *(("remove", sign) for sign in before if sign not in after),
        *(("add", sign) for sign in after if sign not in before),
    ]
    if not changes:
        yield Skipped(code="unchanged", detail="a reaction as it was")
    stamp = bodies.identifier(event.date) or ""
    for action, sign in changes:
        yield Item(
            verb="reacted",
            kind="reaction",
            direction="in",
            origin="customer",
            external_id=place.message(message_id),
            account_external_id="",
            occurred_at=bodies.instant(event.date),
            thread=str(place),
            reaction=Reaction(action=action, emoji=sign or None, author=author),
            version=f"{stamp}:{author.external_id if author else ''}:{action}:{sign}",
        )


def _signs(reactions: Any) -> list[str]:
    found = [bodies.mapping(reaction) for reaction in bodies.sequence(reactions)]
    signs = [bodies.text(sign.get("emoji")) or bodies.text(sign.get("custom_emoji_id")) for sign in found]
    return list(dict.fromkeys(sign or "" for sign in signs))


def _read(raw: msgspec.Raw, *, verb: Literal["received", "edited"]) -> Item | Skipped:
    message = bodies.decode(MESSAGE, raw)
    place, message_id = Place.of(message.chat, message.business_connection_id), bodies.identifier(message.message_id)
    if place is None or message_id is None:
        return Skipped(code="no-id", detail="a message without id")
    if message.is_automatic_forward:
        return Skipped(code="own-post", detail=f"{message_id}: a post of the linked channel")
    fields: dict[str, Any] = bodies.decode(CONTENT, raw)
    found = content.read(fields)
    if found is None:
        return _empty(fields, message_id)
    author = _chat(message.sender_chat) or _person(message.author)
    if author is None:
        return Skipped(code="no-sender", detail=f"{message_id}: a message from nobody")
    own = _is_own(message, place, author)
    answered = bodies.mapping(message.reply_to_message)
    parent = bodies.identifier(answered.get("message_id"))
    edited_at = bodies.identifier(message.edit_date) if verb == "edited" else None
    return Item(
        verb=verb,
        kind=_kind(message),
        direction="out" if own else "in",
        origin=("bot" if message.sender_business_bot else "native") if own else "customer",
        external_id=place.message(message_id),
        account_external_id="",
        occurred_at=bodies.instant(message.edit_date if edited_at else message.date),
        thread=_thread(message, place),
        parent_external_id=place.message(parent) if parent else None,
        author=author,
        text=found.text,
        attachments=found.attachments,
        permalink=_permalink(message.chat, message_id),
        post=Post(external_id=place.message(parent)) if parent and answered.get("is_automatic_forward") else None,
        version=edited_at or "",
    )


def _empty(fields: dict[str, Any], message_id: str) -> Skipped:
    if service := next((name for name in fields if name in content.SERVICE), None):
        return Skipped(code="service-message", detail=f"{message_id}: {service}")
    strange = sorted(name[:40] for name in fields)
    return Skipped(code="unknown-content", detail=f"{message_id}: nothing known among {', '.join(strange[:12])}")


def _is_own(message: Message, place: Place, author: Author) -> bool:
    """Whether the brand wrote: as the group itself, or from the account that the bot works for.

    A bot does not see its own messages, and who else is staff in a group nobody says.
    """
    if place.connection is not None:
        return bool(message.sender_business_bot) or author.external_id != place.chat
    return message.sender_chat is not None and author.external_id == place.chat


def _kind(message: Message) -> Kind:
    if not _is_group(message.chat):
        return "dm"
    answered = bodies.mapping(message.reply_to_message)
    # The post that began a thread, or a topic's opening, is no comment to be replied to.
    opening = answered.get("is_automatic_forward") or "forum_topic_created" in answered
    return "reply" if answered and not opening else "comment"


def _is_group(chat: Chat) -> bool:
    """Only people have positive ids, so a group is known even where its type is new."""
    return chat.type in _GROUPS or (bodies.identifier(chat.id) or "").startswith("-")


def _thread(message: Message, place: Place) -> str:
    thread = bodies.identifier(message.message_thread_id)
    return f"{place}:{thread}" if thread and _is_group(message.chat) else str(place)


def _person(user: User | None) -> Author | None:
    external_id = bodies.identifier(user.id) if user else None
    if user is None or external_id is None:
        return None
    names = [name for name in (bodies.text(user.first_name), bodies.text(user.last_name)) if name]
    return Author(external_id=external_id, handle=bodies.text(user.username), name=" ".join(names) or None)


def _chat(chat: Chat | None) -> Author | None:
    """Who speaks as a group or as a channel is known as no person."""
    external_id = bodies.identifier(chat.id) if chat else None
    if chat is None or external_id is None:
        return None
    return Author(external_id=external_id, handle=bodies.text(chat.username), name=bodies.text(chat.title))


def _permalink(chat: Chat, message_id: str) -> str | None:
    """Where members, or everybody, can see a message; only large groups have such a place."""
    chat_id, name = bodies.identifier(chat.id) or "", bodies.text(chat.username)
    if chat.type != "supergroup" or not message_id.isdigit():
        return None
    if name and name.isascii() and name.replace("_", "").isalnum():
        return f"https://t.me/{name}/{message_id}"
    inner = chat_id.removeprefix(_SUPERGROUP)
    return f"https://t.me/c/{inner}/{message_id}" if inner != chat_id and inner.isdigit() else None
