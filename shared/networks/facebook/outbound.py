"""To Facebook: the requests that send a reply and moderate a comment."""

from typing import Any, Final

from shared.errors import Rejected
from shared.events.messages import Kind
from shared.networks.meta import sending
from shared.networks.meta.graph import change, link, path_id, post
from shared.networks.port import Account, HttpRequest, OutboundModeration, OutboundReply

TEXT_LIMIT: Final = 2000
PUBLIC: Final = frozenset({"comment", "reply", "ad_comment", "mention", "review"})
COMMENTS: Final[frozenset[Kind]] = frozenset({"comment", "reply", "ad_comment"})


def reply(account: Account, reply: OutboundReply) -> HttpRequest:
    """The request that sends this reply; Rejected when Facebook takes no such reply."""
    if len(reply.text) > TEXT_LIMIT:
        raise Rejected(f"text has {len(reply.text)} characters, Facebook takes {TEXT_LIMIT}")
    sending.check(reply)
    if reply.kind == "private":
        return post(account, f"{path_id(account.external_id)}/messages", _private(account, reply))
    if reply.message_kind not in PUBLIC:
        raise Rejected(f"a {reply.message_kind} has no public answer")
    return post(account, f"{path_id(reply.in_reply_to_external_id)}/comments", _comment(reply))


def moderate(account: Account, moderation: OutboundModeration) -> HttpRequest:
    """The request that does this to a comment."""
    comment = path_id(moderation.external_id)
    match moderation.operation:
        case "delete":
            return change(account, "DELETE", comment)
        case "like":
            return change(account, "POST", f"{comment}/likes")
        case operation:
            return change(account, "POST", comment, {"is_hidden": "true" if operation == "hide" else "false"})


def _comment(reply: OutboundReply) -> dict[str, Any]:
    body: dict[str, Any] = {"message": reply.text} if reply.text else {}
    for attachment in reply.attachments:
        if sending.MEDIA.get(attachment.kind) != "image":
            raise Rejected(f"a comment takes images, not {attachment.kind}")
        body["attachment_url"] = link(attachment)
    return body


def _private(account: Account, reply: OutboundReply) -> dict[str, Any]:
    message = {**sending.message(reply), "metadata": reply.correlation_id}
    if reply.message_kind in sending.DIRECT:
        return {"recipient": _recipient(reply), **sending.messaging_type(reply), "message": message}
    if reply.message_kind not in PUBLIC - {"review"}:
        raise Rejected(f"a {reply.message_kind} has no private answer")
    sending.check_comment_window(reply)
    # A visitor's post is named by the Page it stands on; everything else here is a comment.
    on_page = reply.message_kind == "mention" and reply.in_reply_to_external_id.startswith(f"{account.external_id}_")
    return {"recipient": {"post_id" if on_page else "comment_id": reply.in_reply_to_external_id}, "message": message}


def _recipient(reply: OutboundReply) -> dict[str, str]:
    if not reply.recipient_external_id:
        raise Rejected("a direct message needs a recipient")
    prefix, _, guest = reply.recipient_external_id.partition("user_ref:")
    return {"user_ref": guest} if guest and not prefix else {"id": reply.recipient_external_id}
