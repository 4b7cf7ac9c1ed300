"""To Instagram: the requests that send a reply and moderate a comment."""

from typing import Any, Final

from shared.errors import Rejected
from shared.events.messages import Kind
from shared.networks.instagram.inbound import BETWEEN
from shared.networks.meta import graph, sending
from shared.networks.meta.graph import path_id
from shared.networks.port import Account, HttpRequest, OutboundModeration, OutboundReply

BASE_URL: Final = "https://graph.instagram.com/v24.0"
"""For tokens of Instagram's own login; those of a Facebook Page name the other host in the channel's address."""

TEXT_LIMIT: Final = 2200
DIRECT_TEXT_BYTES: Final = 1000
COMMENTS: Final[frozenset[Kind]] = frozenset({"comment", "reply", "ad_comment"})

CODES: Final = graph.Codes(outside_window=graph.CODES.outside_window | {2534022})


def reply(account: Account, reply: OutboundReply) -> HttpRequest:
    """The request that sends this reply; Rejected when Instagram takes no such reply."""
    sending.check(reply)
    if reply.kind == "private":
        # Whichever login the token is from, it knows its account; the id that it goes by differs.
        return graph.post(account, "me/messages", _private(reply), base_url=BASE_URL)
    if len(reply.text) > TEXT_LIMIT:
        raise Rejected(f"text has {len(reply.text)} characters, a comment takes {TEXT_LIMIT}")
    if reply.attachments:
        raise Rejected("a comment takes text alone")
    if reply.message_kind == "mention":
        return graph.post(account, f"{path_id(account.external_id)}/mentions", _mention(reply), base_url=BASE_URL)
    if reply.message_kind not in COMMENTS:
        raise Rejected(f"a {reply.message_kind} has no public answer")
    path = f"{path_id(reply.in_reply_to_external_id)}/replies"
    return graph.post(account, path, {"message": reply.text}, base_url=BASE_URL)


def moderate(account: Account, moderation: OutboundModeration) -> HttpRequest:
    """The request that does this to a comment."""
    comment = path_id(moderation.external_id)
    if moderation.operation == "delete":
        return graph.change(account, "DELETE", comment, base_url=BASE_URL)
    hide = "true" if moderation.operation == "hide" else "false"
    return graph.change(account, "POST", comment, {"hide": hide}, base_url=BASE_URL)


def _mention(reply: OutboundReply) -> dict[str, Any]:
    media, _, comment = reply.in_reply_to_external_id.partition(BETWEEN)
    return {"media_id": media, **({"comment_id": comment} if comment else {}), "message": reply.text}


def _private(reply: OutboundReply) -> dict[str, Any]:
    size = len(reply.text.encode("utf-8", "surrogatepass"))
    if size > DIRECT_TEXT_BYTES:
        raise Rejected(f"text has {size} bytes, a direct message takes {DIRECT_TEXT_BYTES}")
    message = sending.message(reply)
    if reply.message_kind in sending.DIRECT:
        if not reply.recipient_external_id:
            raise Rejected("a direct message needs a recipient")
        recipient = {"id": reply.recipient_external_id}
        return {"recipient": recipient, **sending.messaging_type(reply), "message": message}
    if reply.message_kind not in COMMENTS:
        raise Rejected(f"a {reply.message_kind} has no private answer")
    sending.check_comment_window(reply)
    return {"recipient": {"comment_id": reply.in_reply_to_external_id}, "message": message}
