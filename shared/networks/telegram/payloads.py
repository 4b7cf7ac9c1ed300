"""Telegram's updates as frozen values: strict where a mistake would change the meaning, tolerant elsewhere."""

from typing import Any, Final

import msgspec

from shared.networks.bodies import Identifier


class Chat(msgspec.Struct, frozen=True):
    """Where something was said: a private chat has the id of the person in it."""

    id: Identifier = None
    type: str | None = None
    title: str | None = None
    username: str | None = None


class User(msgspec.Struct, frozen=True):
    """A person or a bot."""

    id: Identifier = None
    first_name: str | None = None
    last_name: str | None = None
    username: str | None = None


class Message(msgspec.Struct, frozen=True, rename={"author": "from"}):
    """A message; its content is read from the keys beside these."""

    chat: Chat
    message_id: Identifier = None
    author: User | None = None
    sender_chat: Chat | None = None
    sender_business_bot: Any = None
    business_connection_id: Identifier = None
    message_thread_id: Identifier = None
    is_topic_message: bool | None = None
    is_automatic_forward: bool | None = None
    date: Any = None
    edit_date: Any = None
    reply_to_message: Any = None
    text: str | None = None
    caption: str | None = None


class DeletedBusinessMessages(msgspec.Struct, frozen=True):
    """Messages that were deleted from a business account's chat."""

    chat: Chat
    message_ids: list[Any]
    business_connection_id: Identifier = None


class CallbackQuery(msgspec.Struct, frozen=True, rename={"author": "from"}):
    """A button that somebody pressed under a message of the bot."""

    id: Identifier = None
    author: User | None = None
    message: msgspec.Raw = msgspec.Raw(b"null")
    data: str | None = None


class MessageReaction(msgspec.Struct, frozen=True):
    """What somebody's reactions to a message were, and are now."""

    chat: Chat
    message_id: Identifier = None
    user: User | None = None
    actor_chat: Chat | None = None
    date: Any = None
    old_reaction: Any = None
    new_reaction: Any = None


class Update(msgspec.Struct, frozen=True):
    """The number of an update, by which two deliveries of it are known for one."""

    update_id: int


UPDATE: Final = msgspec.json.Decoder(Update)
KEYS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
MESSAGE: Final = msgspec.json.Decoder(Message)
CONTENT: Final = msgspec.json.Decoder(dict[str, Any])
DELETED: Final = msgspec.json.Decoder(DeletedBusinessMessages)
CALLBACK: Final = msgspec.json.Decoder(CallbackQuery)
REACTION: Final = msgspec.json.Decoder(MessageReaction)
RAW: Final = msgspec.json.Decoder(msgspec.Raw)
