"""Asking X whether a direct message arrived. Of a public answer its echo tells, or a person."""

from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from shared.networks import bodies
from shared.networks.port import Account, HttpRequest, HttpResponse, NotThere, OutboundReply, Sent, Unknown
from shared.networks.x import words
from shared.networks.x.outbound import authorization, base, body_of, number

SKEW: Final = timedelta(seconds=5)
"""How far X's clock and ours may differ."""

DOUBT: Final = timedelta(minutes=5)
"""How long before the attempt an equal text of ours still makes us doubt."""

_FIELDS: Final = {
    "event_types": "MessageCreate",
    "max_results": "100",
    "dm_event.fields": "id,text,sender_id,created_at,entities",
}


def query(account: Account, reply: OutboundReply) -> HttpRequest | None:
    """The request that lists the messages with this person, newest first; None for what no such list would show."""
    if reply.kind != "private" or not reply.recipient_external_id:
        return None
    path = f"2/dm_conversations/with/{number(reply.recipient_external_id, 'the recipient')}/dm_events"
    url = f"{base(account)}/{path}?{urlencode(_FIELDS, safe=',')}"
    return HttpRequest(method="GET", url=url, headers=authorization(account))


def interpret_query(response: HttpResponse, reply: OutboundReply) -> Sent | NotThere | Unknown:
    """Whether the reply is in the list: by our own account, with the same words, since the attempt."""
    attempted_at, us = reply.attempted_at, reply.sender_external_id
    if attempted_at is None or us is None:
        return Unknown(reason="without the time of the attempt and our own account nothing can be recognised")
    body = body_of(response)
    listed = [bodies.mapping(entry) for entry in bodies.sequence(body.get("data"))]
    if response.status != 200 or not listed:
        return Unknown(reason=f"HTTP {response.status}: no list")
    doubtful = False
    for entry in listed:
        if bodies.identifier(entry.get("sender_id")) not in {us, None}:
            continue
        created, same = bodies.instant(entry.get("created_at")), _is_same(entry, reply)
        sender = bodies.identifier(entry.get("sender_id"))
        if same and sender == us and created is not None and created >= attempted_at - SKEW:
            return Sent(external_id=bodies.identifier(entry.get("id")))
        # Other words of ours since the attempt may be this reply, as X rewrote it.
        since = attempted_at - (DOUBT if same else SKEW)
        doubtful = doubtful or ((created is None or created >= since) and (same or sender == us))
    if doubtful:
        return Unknown(reason="something of ours is there that may be this reply")
    more = "next_token" in bodies.mapping(body.get("meta"))
    if more and not _reaches_back(listed, attempted_at - DOUBT):
        return Unknown(reason="the list ends after the attempt")
    return NotThere()


def _is_same(entry: dict[str, Any], reply: OutboundReply) -> bool:
    text = words.as_written(bodies.text(entry.get("text")) or "", entry.get("entities"), None, is_reply=False)
    return bodies.normalized(text) == bodies.normalized(reply.text)


def _reaches_back(listed: list[dict[str, Any]], moment: datetime) -> bool:
    """Whether a list, newest first, goes on until before this moment."""
    times = [time for entry in listed if (time := bodies.instant(entry.get("created_at"))) is not None]
    return bool(times) and times == sorted(times, reverse=True) and times[-1] < moment
