"""What a reply through Meta's Send API says, whichever product it leaves from."""

from datetime import timedelta
from typing import Any, Final

from shared.errors import Rejected
from shared.networks.meta.graph import link
from shared.networks.port import OutboundReply

WINDOW: Final = timedelta(hours=24)
LONG_WINDOW: Final = timedelta(days=7)
"""For humans in a direct message, and for the one private answer to a comment."""

DIRECT: Final = frozenset({"dm", "story_reply"})
MEDIA: Final = {"image": "image", "photo": "image", "sticker": "image", "video": "video", "audio": "audio"}


def check(reply: OutboundReply) -> None:
    """Rejected where there is nothing to say, or more than one message takes."""
    if not reply.text and not reply.attachments:
        raise Rejected("neither text nor attachment")
    if len(reply.attachments) > 1:
        raise Rejected("one attachment per message is all that is taken")


def message(reply: OutboundReply) -> dict[str, Any]:
    """The content of a direct message."""
    if reply.text and reply.attachments:
        raise Rejected("text or an attachment in one message, not both")
    content: dict[str, Any] = {"text": reply.text} if reply.text else {}
    for attachment in reply.attachments:
        kind = MEDIA.get(attachment.kind, "file")
        content["attachment"] = {"type": kind, "payload": {"url": link(attachment)}}
    return content


def messaging_type(reply: OutboundReply) -> dict[str, str]:
    """By which right a direct message is sent; Rejected where there is none any more."""
    if reply.message_age <= WINDOW:
        return {"messaging_type": "RESPONSE"}
    if not reply.human:
        raise Rejected("window closed: only a human may answer a direct message after 24 hours")
    if reply.message_age > LONG_WINDOW:
        raise Rejected("window closed: a direct message can be answered for 7 days")
    return {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"}


def check_comment_window(reply: OutboundReply) -> None:
    """Rejected where a comment is too old for its private answer."""
    if reply.message_age > LONG_WINDOW:
        raise Rejected("window closed: a comment can be answered privately for 7 days")
