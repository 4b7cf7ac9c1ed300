"""What an Instagram account's fields say, as frozen values."""

from typing import Final

import msgspec

from shared.networks.bodies import Identifier


class Writer(msgspec.Struct, frozen=True):
    """Who wrote a comment; `self_ig_scoped_id` is there when the account itself did."""

    id: Identifier = None
    username: str | None = None
    self_ig_scoped_id: Identifier = None


class Media(msgspec.Struct, frozen=True):
    """What was commented on; `ad_id` where it was shown as an advertisement."""

    id: Identifier = None
    ad_id: Identifier = None


class Comment(msgspec.Struct, frozen=True, rename={"author": "from"}):
    """A new comment; nothing tells of its edits or its end. It has no time of its own."""

    id: Identifier = None
    text: str | None = None
    author: Writer | None = None
    media: Media | None = None
    parent_id: Identifier = None


class Mention(msgspec.Struct, frozen=True):
    """Where somebody named the account, in a caption or in a comment; by whom and how is not said."""

    media_id: Identifier = None
    comment_id: Identifier = None


COMMENT: Final = msgspec.json.Decoder(Comment)
MENTION: Final = msgspec.json.Decoder(Mention)
