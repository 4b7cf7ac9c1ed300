"""X's webhook bodies as frozen values: the X Activity API's envelope of one event, and the older one of lists."""

from typing import Any, Final

import msgspec

from shared.networks.bodies import Identifier


class Activity(msgspec.Struct, frozen=True):
    """One event of the X Activity API; `filter` names the account whose subscription brought it."""

    event_type: str
    payload: msgspec.Raw
    filter: Any = None
    includes: Any = None


class Envelope(msgspec.Struct, frozen=True):
    """A body of the X Activity API."""

    data: Activity


class Name(msgspec.Struct, frozen=True):
    """What the X Activity API calls an event."""

    event_uuid: Identifier


class Named(msgspec.Struct, frozen=True):
    """As much of a body as tells two deliveries apart."""

    data: Name


class OldPost(msgspec.Struct, frozen=True):
    """A post as the Account Activity API writes it: ids as text beside ids as numbers, which may have lost digits."""

    id: Any = None
    id_str: Identifier = None
    text: str | None = None
    full_text: str | None = None
    extended_tweet: Any = None
    created_at: Any = None
    timestamp_ms: Any = None
    user: Any = None
    in_reply_to_status_id: Any = None
    in_reply_to_status_id_str: Identifier = None
    in_reply_to_user_id: Any = None
    in_reply_to_user_id_str: Identifier = None
    display_text_range: Any = None
    entities: Any = None
    extended_entities: Any = None
    quoted_status: Any = None
    quoted_status_id: Any = None
    quoted_status_id_str: Identifier = None
    retweeted_status: Any = None


class NewPost(msgspec.Struct, frozen=True):
    """A post as the X Activity API writes it."""

    id: Identifier = None
    text: str | None = None
    note_tweet: Any = None
    author_id: Identifier = None
    created_at: Any = None
    conversation_id: Identifier = None
    in_reply_to_user_id: Identifier = None
    in_reply_to_tweet_id: Identifier = None
    referenced_tweets: Any = None
    edit_history_tweet_ids: Any = None
    display_text_range: Any = None
    entities: Any = None
    attachments: Any = None


class OldDeletion(msgspec.Struct, frozen=True):
    """A post that its author deleted."""

    status: Any = None
    timestamp_ms: Any = None


class DirectMessage(msgspec.Struct, frozen=True):
    """A direct message, in the form that both APIs share."""

    id: Identifier = None
    type: str | None = None
    created_timestamp: Any = None
    message_create: Any = None


class FlatMessage(msgspec.Struct, frozen=True):
    """A direct message as the look-ups of the new API write it, or the shell of an encrypted one."""

    id: Identifier = None
    text: str | None = None
    sender_id: Identifier = None
    conversation_id: Identifier = None
    dm_conversation_id: Identifier = None
    participant_ids: Any = None
    created_at: Any = None
    created_at_msec: Any = None
    entities: Any = None


ENVELOPE: Final = msgspec.json.Decoder(Envelope)
NAMED: Final = msgspec.json.Decoder(Named)
KEYS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])
OLD_POST: Final = msgspec.json.Decoder(OldPost)
NEW_POST: Final = msgspec.json.Decoder(NewPost)
OLD_DELETION: Final = msgspec.json.Decoder(OldDeletion)
DIRECT_MESSAGE: Final = msgspec.json.Decoder(DirectMessage)
FLAT_MESSAGE: Final = msgspec.json.Decoder(FlatMessage)
ANYTHING: Final = msgspec.json.Decoder(Any)
RAW: Final = msgspec.json.Decoder(msgspec.Raw)
