"""Meta's direct messages as frozen values: strict where a mistake would change the meaning, tolerant elsewhere."""

from typing import Any, Final

import msgspec

from shared.networks.bodies import Identifier


class Person(msgspec.Struct, frozen=True):
    """Somebody, as far as the account may know; `user_ref` names a guest of a Page's chat plugin."""

    id: Identifier = None
    name: str | None = None
    user_ref: Identifier = None


class Message(msgspec.Struct, frozen=True):
    """A direct message, or what is left of it."""

    mid: Identifier = None
    text: str | None = None
    attachments: Any = None
    is_echo: bool | None = None
    is_deleted: bool | None = None
    is_unsupported: bool | None = None
    metadata: Any = None
    reply_to: Any = None


class MessageEdit(msgspec.Struct, frozen=True):
    """A direct message after its author changed it for the `num_edit`th time."""

    mid: Identifier = None
    text: str | None = None
    num_edit: Identifier = None


class MessageReaction(msgspec.Struct, frozen=True):
    """An emoji that somebody put on a direct message, or took from it."""

    action: str
    mid: Identifier = None
    emoji: str | None = None
    reaction: str | None = None


class Postback(msgspec.Struct, frozen=True):
    """A button that the customer pressed; there is no payload while another app owns the thread."""

    mid: Identifier = None
    title: str | None = None
    payload: Any = None


class Messaging(msgspec.Struct, frozen=True):
    """One event of a conversation: which of the last four keys exists says what it is."""

    sender: Person | None = None
    recipient: Person | None = None
    timestamp: Any = None
    message: Message | None = None
    message_edit: MessageEdit | None = None
    reaction: MessageReaction | None = None
    postback: Postback | None = None


MESSAGING: Final = msgspec.json.Decoder(Messaging)
