"""Asking Instagram whether a reply arrived, and reading the list that it answers with."""

from typing import Any, Final

from shared.networks import bodies
from shared.networks.instagram.outbound import BASE_URL
from shared.networks.meta import graph, lists
from shared.networks.meta.graph import path_id
from shared.networks.meta.sending import DIRECT
from shared.networks.port import Account, HttpRequest, HttpResponse, NotThere, OutboundReply, Sent, Unknown

NEWEST: Final = 20
"""How many messages of a conversation Instagram tells the content of."""

_TOP_LEVEL: Final = frozenset({"comment", "ad_comment"})


def query(account: Account, reply: OutboundReply) -> HttpRequest | None:
    """The request that lists what stands where this reply would; None where Instagram offers no such list."""
    if not reply.text:
        return None
    if reply.kind == "public":
        return _comments(account, reply)
    if reply.message_kind not in DIRECT or not reply.recipient_external_id:
        # The conversation that a private answer to a comment opened cannot be found from the comment.
        return None
    messages = f"messages.limit({NEWEST}){{id,message,from,created_time}}"
    fields = {"platform": "instagram", "user_id": reply.recipient_external_id, "fields": messages}
    return graph.get(account, "me/conversations", fields, base_url=BASE_URL)


def _comments(account: Account, reply: OutboundReply) -> HttpRequest | None:
    """An answer to a reply lands under the comment above, which a reply does not name."""
    if reply.message_kind not in _TOP_LEVEL:
        return None
    fields = {"limit": "100", "fields": "id,text,from,timestamp"}
    return graph.get(account, f"{path_id(reply.in_reply_to_external_id)}/replies", fields, base_url=BASE_URL)


def interpret_query(response: HttpResponse, reply: OutboundReply) -> Sent | NotThere | Unknown:
    """Whether the reply is in the list."""

    def message(listed: dict[str, Any], _: str) -> lists.Entry:
        # Two take part in a conversation, and the customer's id is certain; ours differs by login.
        writer = _writer(listed)
        return lists.Entry(
            external_id=bodies.identifier(listed.get("id")),
            text=str(listed.get("message") or ""),
            created=bodies.instant(listed.get("created_time")),
            ours=None if writer is None else writer != reply.recipient_external_id,
        )

    return lists.find(response, reply, message if reply.kind == "private" else _comment)


def _comment(listed: dict[str, Any], us: str) -> lists.Entry:
    # Our own comments may name us by another id than the account's: whoever is not us may be us.
    return lists.Entry(
        external_id=bodies.identifier(listed.get("id")),
        text=str(listed.get("text") or ""),
        created=bodies.instant(listed.get("timestamp")),
        ours=True if _writer(listed) == us else None,
    )


def _writer(listed: dict[str, Any]) -> str | None:
    return bodies.identifier(bodies.mapping(listed.get("from")).get("id"))
