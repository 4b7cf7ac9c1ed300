"""To WhatsApp: the requests that send a reply or a reaction, and what the answer to them means."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from shared.errors import Rejected
from shared.events.messages import Attachment
from shared.networks import bodies
from shared.networks.meta import graph
from shared.networks.port import (
    Account,
    HttpRequest,
    HttpResponse,
    OutboundModeration,
    OutboundReply,
    Outcome,
    Throttled,
)
from shared.networks.whatsapp.people import USER_ID

TEXT_LIMIT: Final = 4096
CAPTION_LIMIT: Final = 1024
WINDOW: Final = timedelta(hours=24)
"""Since the customer's last message; afterwards only templates, whoever writes."""

LIKE: Final = "👍"

DEFAULT_LANGUAGE: Final = "en_US"
PAIR_WAIT: Final = 6.0
"""Seconds between two messages to one person, once too many were sent; a wait of the whole channel, so no more."""

_PAIR_LIMIT: Final = 131056
_CODES: Final = replace(
    graph.CODES,
    rate_limits=graph.CODES.rate_limits | {130429, 131048, _PAIR_LIMIT},
    unauthorized=graph.CODES.unauthorized | {0},
    transient=graph.CODES.transient | {131000, 131016, 131057, 133004},
    outside_window=frozenset({131047}),
)
_CORRELATION: Final = "baton:"
"""What our correlation ids begin with in `biz_opaque_callback_data`, which other senders use as they like."""

_MEDIA: Final = {
    "image": "image",
    "photo": "image",
    "video": "video",
    "audio": "audio",
    "voice": "audio",
    "sticker": "sticker",
}
_CAPTIONED: Final = frozenset({"image", "video", "document"})
_PHONE: Final = re.compile(r"\+?[0-9]{1,20}")
_TEMPLATE: Final = re.compile(r"(?P<name>[a-z0-9_]{1,512})(?::(?P<language>[A-Za-z_]{2,10}))?")


def reply(account: Account, reply: OutboundReply) -> HttpRequest:
    """The request that sends this reply; Rejected when WhatsApp takes no such reply."""
    if reply.kind != "private":
        raise Rejected("WhatsApp takes no public replies: who wrote in a group is answered privately")
    if reply.message_kind not in {"dm", "comment"}:
        raise Rejected(f"a {reply.message_kind} has no answer on WhatsApp")
    if reply.template is None and reply.message_age > WINDOW:
        raise Rejected("window closed: 24 hours after the customer's last message only a template may be sent")
    body = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **_recipient(reply.recipient_external_id),
        **_message(reply),
        "biz_opaque_callback_data": f"{_CORRELATION}{reply.correlation_id}",
    }
    return graph.post(account, f"{graph.path_id(account.external_id)}/messages", body)


def correlation_of(callback_data: object) -> str | None:
    """The correlation id that we sent along; None where somebody else did, or nobody."""
    said = bodies.identifier(callback_data) or ""
    return said.removeprefix(_CORRELATION) or None if said.startswith(_CORRELATION) else None


def moderate(account: Account, moderation: OutboundModeration) -> HttpRequest:
    """A like is a message that reacts; a second one takes the place of the first."""
    body = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **_recipient(moderation.author_external_id),
        "type": "reaction",
        "reaction": {"message_id": moderation.external_id, "emoji": LIKE},
    }
    return graph.post(account, f"{graph.path_id(account.external_id)}/messages", body)


def _recipient(external_id: str | None) -> dict[str, str]:
    """A user id goes into a field of its own: in `to` it is taken with a 200, and nobody gets the message."""
    recipient = external_id or ""
    if USER_ID.fullmatch(recipient):
        return {"recipient": recipient}
    if _PHONE.fullmatch(recipient):
        return {"to": recipient}
    raise Rejected("the recipient is neither a user id nor a phone number")


def _message(reply: OutboundReply) -> dict[str, Any]:
    if reply.template is not None:
        if reply.attachments:
            raise Rejected("a template takes no attachments")
        return {"type": "template", "template": _template(reply.template, reply.text)}
    if len(reply.attachments) > 1:
        raise Rejected("WhatsApp takes one attachment per message")
    if reply.attachments:
        return _media(reply.attachments[0], reply.text)
    if not reply.text:
        raise Rejected("neither text nor attachment")
    if len(reply.text) > TEXT_LIMIT:
        raise Rejected(f"text has {len(reply.text)} characters, WhatsApp takes {TEXT_LIMIT}")
    return {"type": "text", "text": {"body": reply.text}}


def _template(name: str, text: str) -> dict[str, Any]:
    found = _TEMPLATE.fullmatch(name)
    if found is None:
        raise Rejected("a template is named as `name` or `name:language`")
    template: dict[str, Any] = {
        "name": found["name"],
        "language": {"code": found["language"] or DEFAULT_LANGUAGE},
    }
    if text:
        template["components"] = [{"type": "body", "parameters": [{"type": "text", "text": text}]}]
    return template


def _media(attachment: Attachment, text: str) -> dict[str, Any]:
    kind = _MEDIA.get(attachment.kind, "document")
    link = graph.link(attachment)
    if not link.startswith(("https://", "http://")):
        raise Rejected(f"WhatsApp cannot fetch the {attachment.kind} from its url")
    media = {"link": link}
    if text and kind not in _CAPTIONED:
        raise Rejected(f"WhatsApp takes no text beside {kind}")
    if len(text) > CAPTION_LIMIT:
        raise Rejected(f"text has {len(text)} characters, WhatsApp takes {CAPTION_LIMIT} beside an attachment")
    if text:
        media["caption"] = text
    return {"type": kind, kind: media}


def interpret(response: HttpResponse) -> Outcome:
    """What the answer to a reply means; accepted is not delivered, which only statuses tell."""
    outcome = graph.interpret(response, codes=_CODES, made=_message_id)
    error = bodies.mapping(graph.read(response).get("error"))
    if isinstance(outcome, Throttled) and bodies.identifier(error.get("code")) == str(_PAIR_LIMIT):
        return Throttled(retry_after=PAIR_WAIT, reason=outcome.reason)
    return outcome


def _message_id(answer: Mapping[str, Any]) -> str | None:
    sent = next(map(bodies.mapping, bodies.sequence(answer.get("messages"))), {})
    return bodies.identifier(sent.get("id"))
