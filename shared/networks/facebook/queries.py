"""Asking Facebook whether a reply arrived, and reading the list that it answers with."""

from typing import Any, Final

from shared.networks import bodies
from shared.networks.facebook.outbound import PUBLIC
from shared.networks.meta import graph, lists
from shared.networks.meta.graph import path_id
from shared.networks.meta.sending import DIRECT
from shared.networks.port import Account, HttpRequest, HttpResponse, NotThere, OutboundReply, Sent, Unknown

_FIELDS: Final = "id,message,from,created_time"


def query(account: Account, reply: OutboundReply) -> HttpRequest | None:
    """The request that lists what stands where this reply would; None where Facebook offers no such list."""
    if not reply.text:
        return None
    if reply.kind == "public":
        if reply.message_kind not in PUBLIC:
            return None
        path = f"{path_id(reply.in_reply_to_external_id)}/comments"
        fields = {"order": "reverse_chronological", "filter": "stream", "limit": "100", "fields": _FIELDS}
        return graph.get(account, path, fields)
    recipient = reply.recipient_external_id
    if reply.message_kind not in DIRECT or not recipient or recipient.startswith("user_ref:"):
        # The conversation that a private answer to a comment opened cannot be found from the comment.
        return None
    fields = {"platform": "messenger", "user_id": recipient, "fields": f"messages.limit(50){{{_FIELDS}}}"}
    return graph.get(account, f"{path_id(account.external_id)}/conversations", fields)


def interpret_query(response: HttpResponse, reply: OutboundReply) -> Sent | NotThere | Unknown:
    """Whether the reply is in the list."""
    return lists.find(response, reply, _entry)


def _entry(listed: dict[str, Any], us: str) -> lists.Entry:
    writer = bodies.identifier(bodies.mapping(listed.get("from")).get("id"))
    return lists.Entry(
        external_id=bodies.identifier(listed.get("id")),
        text=str(listed.get("message") or ""),
        created=bodies.instant(listed.get("created_time")),
        ours=None if writer is None else writer == us,
    )
