"""Asking Facebook whether a reply arrived, and reading the list that it answers with."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, assert_never

from shared.networks import bodies
from shared.networks.facebook.outbound import DIRECT, PUBLIC
from shared.networks.meta import graph
from shared.networks.meta.graph import path_id
from shared.networks.port import Account, HttpRequest, HttpResponse, NotThere, OutboundReply, Sent, Unknown

SKEW: Final = timedelta(seconds=5)
"""How far Facebook's clock and ours may differ."""

DOUBT: Final = timedelta(minutes=5)
"""How long before the attempt an equal text of ours still makes us doubt."""

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
    """Whether the reply is in the list: by our own account, with the same words, since the attempt."""
    if reply.attempted_at is None or reply.sender_external_id is None:
        return Unknown(reason="without the time of the attempt and our own account nothing can be recognised")
    page = _page(response, direct=reply.kind == "private")
    if page is None:
        return Unknown(reason=f"HTTP {response.status}: no list")
    listed, more = page
    doubtful = False
    for candidate in listed:
        match _judge(candidate, reply, reply.attempted_at, reply.sender_external_id):
            case "reply":
                return Sent(external_id=bodies.identifier(candidate.get("id")))
            case "doubtful":
                doubtful = True
            case "other":
                pass
            case never:
                assert_never(never)
    if doubtful:
        return Unknown(reason="something of ours is there that may be this reply")
    if more and not _reaches_back(listed, reply.attempted_at - DOUBT):
        return Unknown(reason="the list ends after the attempt")
    return NotThere()


def _page(response: HttpResponse, *, direct: bool) -> tuple[list[dict[str, Any]], bool] | None:
    """The entries, and whether there are more on another page; None where the answer is no list."""
    if response.status != 200:
        return None
    body = graph.read(response)
    if direct:
        # A customer who wrote to us has a conversation: an empty answer is none.
        conversations = bodies.sequence(body.get("data"))
        body = bodies.mapping(bodies.mapping(conversations[0]).get("messages")) if conversations else {}
    if not isinstance(body.get("data"), list):
        return None
    listed = [bodies.mapping(entry) for entry in body["data"]]
    return listed, "next" in bodies.mapping(body.get("paging"))


def _judge(
    candidate: dict[str, Any], reply: OutboundReply, attempted_at: datetime, us: str
) -> Literal["reply", "doubtful", "other"]:
    writer = bodies.identifier(bodies.mapping(candidate.get("from")).get("id"))
    if writer is not None and writer != us:
        return "other"
    created = bodies.instant(candidate.get("created_time"))
    same = bodies.normalized(str(candidate.get("message") or "")) == bodies.normalized(reply.text)
    if writer is None or created is None:
        return "doubtful" if same else "other"
    if created >= attempted_at - SKEW:
        # Other words of ours since the attempt may be this reply, as Facebook rewrote it.
        return "reply" if same else "doubtful"
    return "doubtful" if same and created >= attempted_at - DOUBT else "other"


def _reaches_back(listed: Sequence[dict[str, Any]], moment: datetime) -> bool:
    """Whether a list, newest first, goes on until before this moment."""
    times = [bodies.instant(entry.get("created_time")) for entry in listed]
    known = [time for time in times if time is not None]
    return bool(known) and known == sorted(known, reverse=True) and known[-1] < moment
