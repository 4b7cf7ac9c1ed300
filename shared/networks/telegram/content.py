"""What a message on Telegram holds: its words, and files that are fetched by their ids."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.events.messages import Attachment
from shared.networks import bodies

SERVICE: Final = frozenset(
    {
        *("new_chat_members", "new_chat_member", "new_chat_participant", "left_chat_member", "left_chat_participant"),
        *("new_chat_title", "new_chat_photo", "delete_chat_photo", "group_chat_created", "supergroup_chat_created"),
        *("channel_chat_created", "message_auto_delete_timer_changed", "migrate_to_chat_id", "migrate_from_chat_id"),
        *("pinned_message", "successful_payment", "refunded_payment", "users_shared", "user_shared", "chat_shared"),
        *("connected_website", "write_access_allowed", "passport_data", "proximity_alert_triggered", "boost_added"),
        *("chat_background_set", "checklist_tasks_done", "checklist_tasks_added", "direct_message_price_changed"),
        *("forum_topic_created", "forum_topic_edited", "forum_topic_closed", "forum_topic_reopened"),
        *("general_forum_topic_hidden", "general_forum_topic_unhidden", "giveaway_created", "giveaway"),
        *("giveaway_winners", "giveaway_completed", "paid_message_price_changed", "video_chat_scheduled"),
        *("video_chat_started", "video_chat_ended", "video_chat_participants_invited", "voice_chat_scheduled"),
        *("voice_chat_started", "voice_chat_ended", "voice_chat_participants_invited", "gift", "unique_gift"),
    }
)
"""What happened to the chat rather than was said in it."""

_FILES: Final = {
    "animation": "video",
    "document": "file",
    "video": "video",
    "video_note": "video",
    "audio": "audio",
    "voice": "audio",
    "sticker": "sticker",
}
_CARDS: Final = ("poll", "dice", "game", "story", "invoice", "checklist", "paid_media")
_PHONE: Final = re.compile(r"\+?[0-9]{3,20}")
_LARGEST: Final = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The words and files of a message."""

    text: str | None
    attachments: tuple[Attachment, ...]


def read(message: Mapping[str, Any]) -> Content | None:
    """What a message holds; None where it holds nothing that is known."""
    form = bodies.mapping(message.get("web_app_data"))
    card = next((card for name in _CARDS if (card := bodies.mapping(message.get(name)))), {})
    said = (message.get("text"), message.get("caption"), form.get("data"))
    titles = (card.get("question"), card.get("title"), card.get("emoji"))
    text = next((found for found in map(bodies.text, (*said, *titles)) if found), None)
    attachments = tuple(_attachments(message))
    return Content(text=text, attachments=attachments) if text or attachments else None


def _attachments(message: Mapping[str, Any]) -> Iterator[Attachment]:
    photos = [bodies.mapping(size) for size in bodies.sequence(message.get("photo"))]
    if photos:
        # The same picture in several sizes, the largest last.
        yield _file("image", photos[-1])
    for name, kind in _FILES.items():
        # A moving picture comes as a document too, for clients that do not know better.
        if name in message and not (name == "document" and "animation" in message):
            yield _file(kind, bodies.mapping(message[name]))
    if place := bodies.mapping(message.get("venue")).get("location") or message.get("location"):
        yield Attachment(kind="location", url=_point(bodies.mapping(place)))
    if contact := bodies.mapping(message.get("contact")):
        phone = bodies.text(contact.get("phone_number")) or ""
        yield Attachment(kind="contact", url=f"tel:{phone}" if _PHONE.fullmatch(phone) else None)
    for name in _CARDS:
        if name in message:
            yield Attachment(kind=name)


def _file(kind: str, file: Mapping[str, Any]) -> Attachment:
    """A file as Telegram names it: where it lies can be asked for, and holds the bot's token."""
    name, size = bodies.identifier(file.get("file_id")), file.get("file_size")
    return Attachment(
        kind=kind,
        url=f"urn:telegram:file:{name}" if name else None,
        mime=bodies.text(file.get("mime_type")),
        size=size if type(size) is int and 0 <= size < _LARGEST else None,
    )


def _point(place: Mapping[str, Any]) -> str | None:
    latitude, longitude = place.get("latitude"), place.get("longitude")
    if isinstance(latitude, (int, float)) and isinstance(longitude, (int, float)):
        return f"geo:{latitude},{longitude}"
    return None
