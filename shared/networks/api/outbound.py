"""To an integration: signed requests that hand it a reply or an operation on an item, and what its answers mean."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from shared.errors import Rejected
from shared.networks import bodies, responses
from shared.networks.api import signature
from shared.networks.api.payloads import (
    ANSWER,
    ModerationData,
    ModerationRequested,
    OutboundAttachment,
    ReplyData,
    ReplyRequested,
)
from shared.networks.port import (
    NOT_SUPPORTED,
    Account,
    Failed,
    HttpRequest,
    HttpResponse,
    OutboundModeration,
    OutboundReply,
    Outcome,
    Sent,
    Throttled,
    Unknown,
)

_CANNOT: Final = frozenset({405, 501})
"""How an integration says that it does not do such a thing."""

_UNDECIDED: Final = frozenset({408, 409, 425})
"""Refusals that may come from an attempt still under way."""


def reply(account: Account, reply: OutboundReply) -> HttpRequest:
    """The request that hands over this reply; its `webhook-id` is the correlation id, so that twice is once."""
    if not reply.text and not reply.attachments:
        raise Rejected("neither text nor attachment")
    return _signed(account, reply.correlation_id, _asked(reply), reply.attempted_at)


def moderate(account: Account, moderation: OutboundModeration) -> HttpRequest:
    """The request that hands over this operation, under its id."""
    data = ModerationData(id=moderation.id, operation=moderation.operation, message=moderation.external_id)
    return _signed(account, moderation.id, data, moderation.attempted_at)


def _signed(account: Account, webhook_id: str, data: ReplyData | ModerationData, at: datetime | None) -> HttpRequest:
    url = account.credentials.get("reply_url") or account.api_base_url
    if not url:
        raise Rejected("the channel has no reply_url")
    if not account.credentials.get("secret"):
        raise Rejected("the channel has no secret")
    if at is None:
        raise Rejected("the signature needs the time of the attempt")
    body = _body(data, at)
    signed = signature.headers(webhook_id, body, secrets=account.secrets("secret"), at=at)
    return HttpRequest(method="POST", url=url, headers={"content-type": "application/json", **signed}, body=body)


def _body(data: ReplyData | ModerationData, at: datetime) -> bytes:
    timestamp = at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(data, ModerationData):
        return msgspec.json.encode(ModerationRequested(type="moderation.requested", timestamp=timestamp, data=data))
    return msgspec.json.encode(ReplyRequested(type="reply.requested", timestamp=timestamp, data=data))


def _asked(reply: OutboundReply) -> ReplyData:
    attachments = tuple(
        OutboundAttachment(kind=attachment.kind, url=attachment.url, mime=attachment.mime)
        for attachment in reply.attachments
    )
    return ReplyData(
        id=reply.correlation_id,
        thread=reply.thread,
        in_reply_to=reply.in_reply_to_external_id,
        kind=reply.kind,
        text=reply.text,
        attachments=attachments,
        recipient=reply.recipient_external_id,
        template=reply.template,
    )


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


def interpret_moderation(response: HttpResponse) -> Outcome:
    """As of a reply; an integration may also say that it does no such thing."""
    if response.status in _CANNOT:
        return Failed(code=NOT_SUPPORTED, reason=f"HTTP {response.status}")
    outcome = interpret(response)
    return Sent(external_id=None) if isinstance(outcome, Sent) else outcome


def _external_id(body: bytes) -> str | None:
    try:
        answer: dict[str, Any] = bodies.decode(ANSWER, body)
    except Rejected:
        return None
    return bodies.identifier(answer.get("id"))
