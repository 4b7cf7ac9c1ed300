"""To an integration: the signed request that hands it a reply, and what its answer means."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from shared.errors import Rejected
from shared.networks import bodies, responses
from shared.networks.api import signature
from shared.networks.api.payloads import ANSWER, OutboundAttachment, ReplyData, ReplyRequested
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

_UNDECIDED: Final = frozenset({408, 409, 425})
"""Refusals that may come from an attempt still under way."""


def reply(account: Account, reply: OutboundReply) -> HttpRequest:
    """The request that hands over this reply; its `webhook-id` is the correlation id, so that twice is once."""
    url = account.credentials.get("reply_url") or account.api_base_url
    if not url:
        raise Rejected("the channel has no reply_url")
    if not account.credentials.get("secret"):
        raise Rejected("the channel has no secret")
    if reply.attempted_at is None:
        raise Rejected("the signature needs the time of the attempt")
    if not reply.text and not reply.attachments:
        raise Rejected("neither text nor attachment")
    body = _body(reply, reply.attempted_at)
    signed = signature.headers(reply.correlation_id, body, secrets=account.secrets("secret"), at=reply.attempted_at)
    return HttpRequest(method="POST", url=url, headers={"content-type": "application/json", **signed}, body=body)


def _body(reply: OutboundReply, at: datetime) -> bytes:
    attachments = tuple(
        OutboundAttachment(kind=attachment.kind, url=attachment.url, mime=attachment.mime)
        for attachment in reply.attachments
    )
    data = ReplyData(
        id=reply.correlation_id,
        thread=reply.thread,
        in_reply_to=reply.in_reply_to_external_id,
        kind=reply.kind,
        text=reply.text,
        attachments=attachments,
        recipient=reply.recipient_external_id,
        template=reply.template,
    )
    timestamp = at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return msgspec.json.encode(ReplyRequested(type="reply.requested", timestamp=timestamp, data=data))


def interpret(response: HttpResponse) -> Outcome:
    """Any 2xx took it; a refusal is final; the rest may have taken it, and is asked again under the same id."""
    status = response.status
    reason = f"HTTP {status}"
    if 200 <= status < 300:
        return Sent(external_id=_external_id(response.body))
    wait = responses.retry_after(response.headers)
    if status == 429 or (status == 503 and wait is not None):
        return Throttled(retry_after=responses.DEFAULT_WAIT if wait is None else wait, reason=reason)
    if status in _UNDECIDED or not 400 <= status < 500:
        return Unknown(reason=reason)
    return Failed(code=f"http-{status}", reason=reason, unauthorized=status == 401)


def _external_id(body: bytes) -> str | None:
    try:
        answer: dict[str, Any] = bodies.decode(ANSWER, body)
    except Rejected:
        return None
    return bodies.identifier(answer.get("id"))
