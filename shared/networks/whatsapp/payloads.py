"""WhatsApp's webhook values as frozen Structs: strict where a mistake would change the meaning, tolerant elsewhere."""

from typing import Any, Final

import msgspec

from shared.networks.bodies import Identifier


class Value(msgspec.Struct, frozen=True):
    """What a change of a phone number holds; messages and statuses stay raw, each to be read for itself."""

    metadata: Any = None
    contacts: Any = None
    messages: list[msgspec.Raw] | None = None
    message_echoes: list[msgspec.Raw] | None = None
    statuses: list[msgspec.Raw] | None = None
    errors: list[Any] | None = None


class Content(msgspec.Struct, frozen=True):
    """What somebody wrote: `type` names the key that holds it."""

    type: str = ""
    text: Any = None
    image: Any = None
    video: Any = None
    audio: Any = None
    document: Any = None
    sticker: Any = None
    location: Any = None
    contacts: Any = None
    interactive: Any = None
    button: Any = None
    order: Any = None


class Change(msgspec.Struct, frozen=True):
    """An edit or a revocation of a message that came before."""

    original_message_id: Identifier = None
    message: Content | None = None


class Reaction(msgspec.Struct, frozen=True):
    """An emoji on a message; without one it was taken back."""

    message_id: Identifier = None
    emoji: str | None = None


class Message(Content, frozen=True, rename={"sender": "from"}):
    """A message, an edit, a reaction: from a customer, or as an echo from the business app to one."""

    id: Identifier = None
    sender: Identifier = None
    from_user_id: Identifier = None
    to: Identifier = None
    to_user_id: Identifier = None
    group_id: Identifier = None
    timestamp: Any = None
    context: Any = None
    referral: Any = None
    reaction: Reaction | None = None
    edit: Change | None = None
    revoke: Change | None = None
    system: Any = None


class Status(msgspec.Struct, frozen=True):
    """What became of a message that was sent through the API, by us or by somebody else."""

    status: str
    id: Identifier = None
    timestamp: Any = None
    recipient_id: Identifier = None
    recipient_user_id: Identifier = None
    recipient_type: Any = None
    biz_opaque_callback_data: Any = None
    errors: Any = None


VALUE: Final = msgspec.json.Decoder(Value)
MESSAGE: Final = msgspec.json.Decoder(Message)
STATUS: Final = msgspec.json.Decoder(Status)
OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
