"""Whether a reply of ours stands in a list that the Graph API answers with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, assert_never

from shared.networks import bodies
from shared.networks.meta import graph
from shared.networks.port import HttpResponse, NotThere, OutboundReply, Sent, Unknown

SKEW: Final = timedelta(seconds=5)
"""How far Meta's clock and ours may differ."""

DOUBT: Final = timedelta(minutes=5)
"""How long before the attempt an equal text of ours still makes us doubt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a list; `ours` is None where the list does not tell who wrote it."""

    external_id: str | None
    text: str
    created: datetime | None
    ours: bool | None


def find(
    response: HttpResponse, reply: OutboundReply, entry: Callable[[dict[str, Any], str], Entry]
) -> Sent | NotThere | Unknown:
    """Whether the reply is there: by our own account, with the same words, since the attempt.

    `entry` reads one entry, given our own account's id.
    """
    if reply.attempted_at is None or reply.sender_external_id is None:
        return Unknown(reason="without the time of the attempt and our own account nothing can be recognised")
    page = _page(response, direct=reply.kind == "private")
    if page is None:
        return Unknown(reason=f"HTTP {response.status}: no list")
    raw, more = page
    listed = [entry(bodies.mapping(one), reply.sender_external_id) for one in raw]
    doubtful = False
    for candidate in listed:
        match _judge(candidate, reply, reply.attempted_at):
            case "reply":
                return Sent(external_id=candidate.external_id)
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


def _page(response: HttpResponse, *, direct: bool) -> tuple[list[Any], bool] | None:
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
    return body["data"], "next" in bodies.mapping(body.get("paging"))


def _judge(candidate: Entry, reply: OutboundReply, attempted_at: datetime) -> Literal["reply", "doubtful", "other"]:
    if candidate.ours is False:
        return "other"
    same = bodies.normalized(candidate.text) == bodies.normalized(reply.text)
    if candidate.ours is None or candidate.created is None:
        return "doubtful" if same else "other"
    if candidate.created >= attempted_at - SKEW:
        # Other words of ours since the attempt may be this reply, as Meta rewrote it.
        return "reply" if same else "doubtful"
    return "doubtful" if same and candidate.created >= attempted_at - DOUBT else "other"


def _reaches_back(listed: Sequence[Entry], moment: datetime) -> bool:
    """Whether a list, newest first, goes on until before this moment."""
    known = [entry.created for entry in listed if entry.created is not None]
    return bool(known) and known == sorted(known, reverse=True) and known[-1] < moment
