"""To Facebook: the request that sends a reply."""

from datetime import timedelta
from typing import Any, Final

from shared.errors import Rejected
from shared.networks.meta.graph import link, path_id, post
from shared.networks.port import Account, HttpRequest, OutboundReply

TEXT_LIMIT: Final = 2000
WINDOW: Final = timedelta(hours=24)
LONG_WINDOW: Final = timedelta(days=7)
"""For humans in a direct message, and for the one private answer to a comment."""

DIRECT: Final = frozenset({"dm", "story_reply"})
PUBLIC: Final = frozenset({"comment", "reply", "ad_comment", "mention", "review"})
_MEDIA: Final = {"image": "image", "photo": "image", "sticker": "image", "video": "video", "audio": "audio"}


def reply(account: Account, reply: OutboundReply) -> HttpRequest:
    """The request that sends this reply; Rejected when Facebook takes no such reply."""
    if len(reply.text) > TEXT_LIMIT:
        raise Rejected(f"text has {len(reply.text)} characters, Facebook takes {TEXT_LIMIT}")
    if not reply.text and not reply.attachments:
        raise Rejected("neither text nor attachment")
    if len(reply.attachments) > 1:
        raise Rejected("Facebook takes one attachment per message")
    if reply.kind == "private":
        return post(account, f"{path_id(account.external_id)}/messages", _private(account, reply))
    if reply.message_kind not in PUBLIC:
        raise Rejected(f"a {reply.message_kind} has no public answer")
    return post(account, f"{path_id(reply.in_reply_to_external_id)}/comments", _comment(reply))


def _comment(reply: OutboundReply) -> dict[str, Any]:
    body: dict[str, Any] = {"message": reply.text} if reply.text else {}
    for attachment in reply.attachments:
        if _MEDIA.get(attachment.kind) != "image":
            raise Rejected(f"a comment takes images, not {attachment.kind}")
        body["attachment_url"] = link(attachment)
    return body


def _private(account: Account, reply: OutboundReply) -> dict[str, Any]:
    if reply.text and reply.attachments:
        raise Rejected("Messenger takes text or an attachment in one message, not both")
    message: dict[str, Any] = {"text": reply.text} if reply.text else {}
    for attachment in reply.attachments:
        kind = _MEDIA.get(attachment.kind, "file")
        message["attachment"] = {"type": kind, "payload": {"url": link(attachment)}}
    message["metadata"] = reply.correlation_id
    if reply.message_kind in DIRECT:
        return {"recipient": _recipient(reply), **_messaging_type(reply), "message": message}
    if reply.message_kind not in PUBLIC - {"review"}:
        raise Rejected(f"a {reply.message_kind} has no private answer")
    if reply.message_age > LONG_WINDOW:
        raise Rejected("window closed: a comment can be answered privately for 7 days")
    # A visitor's post is named by the Page it stands on; everything else here is a comment.
    on_page = reply.message_kind == "mention" and reply.in_reply_to_external_id.startswith(f"{account.external_id}_")
    return {"recipient": {"post_id" if on_page else "comment_id": reply.in_reply_to_external_id}, "message": message}


def _recipient(reply: OutboundReply) -> dict[str, str]:
    if not reply.recipient_external_id:
        raise Rejected("a direct message needs a recipient")
    prefix, _, guest = reply.recipient_external_id.partition("user_ref:")
    return {"user_ref": guest} if guest and not prefix else {"id": reply.recipient_external_id}


def _messaging_type(reply: OutboundReply) -> dict[str, str]:
    if reply.message_age <= WINDOW:
        return {"messaging_type": "RESPONSE"}
    if not reply.human:
        raise Rejected("window closed: only a human may answer a direct message after 24 hours")
    if reply.message_age > LONG_WINDOW:
        raise Rejected("window closed: a direct message can be answered for 7 days")
    return {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"}
