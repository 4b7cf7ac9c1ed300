"""To Facebook: the request that sends a reply, and what the answer to it means."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from shared.errors import Rejected
from shared.events.messages import Attachment
from shared.networks import bodies, responses
from shared.networks.port import (
    Account,
    Failed,
    HttpRequest,
    HttpResponse,
    OutboundReply,
    Outcome,
    Sent,
    Throttled,
    Unknown,
)

BASE_URL: Final = "https://graph.facebook.com/v24.0"
TEXT_LIMIT: Final = 2000
WINDOW: Final = timedelta(hours=24)
LONG_WINDOW: Final = timedelta(days=7)
"""For humans in a direct message, and for the one private answer to a comment."""

DIRECT: Final = frozenset({"dm", "story_reply"})
PUBLIC: Final = frozenset({"comment", "reply", "ad_comment", "mention", "review"})
_MEDIA: Final = {"image": "image", "photo": "image", "sticker": "image", "video": "video", "audio": "audio"}
_JSON: Final = msgspec.json.Decoder(dict[str, Any])

RATE_LIMITS: Final = frozenset({4, 17, 32, 341, 613, *range(80000, 80015)})
UNAUTHORIZED: Final = frozenset({102, 190})
TRANSIENT: Final = frozenset({1, 2, 1200})
"""Codes that say "something went wrong" and leave open whether it went wrong before or after the effect."""

OUTSIDE_WINDOW: Final = frozenset({2018065, 2018278})
"""Subcodes of code 10: the customer's last message is too long ago."""


_ID: Final = re.compile(r"[A-Za-z0-9_:\-]+")


def reply(account: Account, reply: OutboundReply) -> HttpRequest:
    """The request that sends this reply; Rejected when Facebook takes no such reply."""
    if len(reply.text) > TEXT_LIMIT:
        raise Rejected(f"text has {len(reply.text)} characters, Facebook takes {TEXT_LIMIT}")
    if not reply.text and not reply.attachments:
        raise Rejected("neither text nor attachment")
    if len(reply.attachments) > 1:
        raise Rejected("Facebook takes one attachment per message")
    if reply.kind == "private":
        return _post(account, f"{path_id(account.external_id)}/messages", _private(account, reply))
    if reply.message_kind not in PUBLIC:
        raise Rejected(f"a {reply.message_kind} has no public answer")
    return _post(account, f"{path_id(reply.in_reply_to_external_id)}/comments", _comment(reply))


def _comment(reply: OutboundReply) -> dict[str, Any]:
    body: dict[str, Any] = {"message": reply.text} if reply.text else {}
    for attachment in reply.attachments:
        if _MEDIA.get(attachment.kind) != "image":
            raise Rejected(f"a comment takes images, not {attachment.kind}")
        body["attachment_url"] = _url(attachment)
    return body


def _private(account: Account, reply: OutboundReply) -> dict[str, Any]:
    if reply.text and reply.attachments:
        raise Rejected("Messenger takes text or an attachment in one message, not both")
    message: dict[str, Any] = {"text": reply.text} if reply.text else {}
    for attachment in reply.attachments:
        kind = _MEDIA.get(attachment.kind, "file")
        message["attachment"] = {"type": kind, "payload": {"url": _url(attachment)}}
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


def interpret(response: HttpResponse) -> Outcome:
    """What the answer to a reply means; whatever does not clearly say so is Unknown, never Failed."""
    body = _body(response)
    error = bodies.mapping(body.get("error"))
    if 200 <= response.status < 300:
        external_id = bodies.identifier(body.get("message_id")) or bodies.identifier(body.get("id"))
        return Sent(external_id=external_id) if external_id else Unknown(reason="a success without an id")
    code, subcode = _number(error.get("code")), _number(error.get("error_subcode"))
    reason = _reason(response.status, error)
    if response.status == 429 or code in RATE_LIMITS:
        return Throttled(retry_after=_wait(response), reason=reason)
    refused = 400 <= response.status < 500 and response.status != 408
    if not refused or code in TRANSIENT or error.get("is_transient") is True:
        return Unknown(reason=reason)
    if response.status == 401 or code in UNAUTHORIZED:
        return Failed(code="unauthorized", reason=reason, unauthorized=True)
    if subcode in OUTSIDE_WINDOW:
        return Failed(code="window-closed", reason=reason)
    return Failed(code=str(code) if code is not None else f"http-{response.status}", reason=reason)


def _body(response: HttpResponse) -> dict[str, Any]:
    try:
        return bodies.decode(_JSON, response.body)
    except Rejected:
        return {}


def _number(value: object) -> int | None:
    found = bodies.identifier(value)
    return int(found) if found and found.isascii() and found.isdigit() else None


def _reason(status: int, error: Mapping[str, Any]) -> str:
    numbers = [str(error[name]) for name in ("code", "error_subcode") if _number(error.get(name)) is not None]
    where = f", code {'/'.join(numbers)}" if numbers else ""
    said = bodies.text(error.get("message")) or "no reason given"
    return f"HTTP {status}{where}: {said[: responses.LONGEST_REASON]}"


def _wait(response: HttpResponse) -> float:
    """The longest of what Facebook estimates; its usage headers count in minutes."""
    waits = [wait] if (wait := responses.retry_after(response.headers)) is not None else []
    raw = responses.header(response.headers, "x-business-use-case-usage") or ""
    try:
        usage = bodies.decode(_JSON, raw.encode("utf-8", "replace"))
    except Rejected:
        usage = {}
    for uses in usage.values():
        for use in bodies.sequence(uses):
            minutes = bodies.mapping(use).get("estimated_time_to_regain_access")
            if isinstance(minutes, (int, float)) and minutes > 0:
                waits.append(responses.bounded(minutes * 60))
    return max(waits, default=responses.DEFAULT_WAIT)


def _post(account: Account, path: str, body: Mapping[str, Any]) -> HttpRequest:
    headers = {**authorization(account), "content-type": "application/json"}
    return HttpRequest(method="POST", url=f"{base(account)}/{path}", headers=headers, body=msgspec.json.encode(body))


def base(account: Account) -> str:
    """Where the Graph API is, without a slash at the end."""
    return (account.api_base_url or BASE_URL).rstrip("/")


def authorization(account: Account) -> dict[str, str]:
    """The token goes into a header: URLs end up in logs."""
    token = account.credentials.get("access_token")
    if not token:
        raise Rejected("the channel has no access_token")
    return {"authorization": f"Bearer {token}"}


def path_id(external_id: str) -> str:
    """An id that may stand in a path; a foreign id must not lead to another resource."""
    if not _ID.fullmatch(external_id):
        raise Rejected("the id cannot be part of a URL")
    return external_id


def _url(attachment: Attachment) -> str:
    if not attachment.url:
        raise Rejected(f"the {attachment.kind} has no url")
    return attachment.url
