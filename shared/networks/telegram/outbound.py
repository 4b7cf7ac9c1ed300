"""To Telegram: the requests that send a reply and moderate a message, and what the answers to them mean."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from shared.errors import Rejected
from shared.events.messages import Attachment, Kind
from shared.networks import bodies, responses
from shared.networks.port import (
    NOT_THERE,
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
from shared.networks.telegram.payloads import Chat
from shared.networks.telegram.places import Place

BASE_URL: Final = "https://api.telegram.org"
TEXT_LIMIT: Final = 4096
CAPTION_LIMIT: Final = 1024
IN_GROUPS: Final[frozenset[Kind]] = frozenset({"comment", "reply"})
LIKE: Final = "👍"

_METHODS: Final = {"image": "Photo", "photo": "Photo", "video": "Video", "audio": "Audio"}
_GONE: Final = ("message to delete not found", "message to react not found")
_JSON: Final = msgspec.json.Decoder(dict[str, Any])
_TOKEN: Final = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{1,200}")
_NUMBER: Final = re.compile(r"-?[0-9]{1,19}")


def reply(account: Account, reply: OutboundReply) -> HttpRequest:
    """The request that sends this reply; Rejected when Telegram takes no such reply."""
    if not reply.text and not reply.attachments:
        raise Rejected("neither text nor attachment")
    if len(reply.attachments) > 1:
        raise Rejected("Telegram takes one attachment per message")
    target = _target(reply)
    for attachment in reply.attachments:
        return _send(account, *_file(attachment, reply.text), target)
    _check(reply.text, TEXT_LIMIT)
    return _send(account, "Message", {"text": reply.text}, target)


def moderate(account: Account, moderation: OutboundModeration) -> HttpRequest:
    """The request that does this to a message in a group."""
    found = Place.read(moderation.external_id)
    if found is None or found[0].connection or not _NUMBER.fullmatch(found[1]):
        raise Rejected("the message has no id of a group")
    target = {"chat_id": _number(found[0].chat), "message_id": int(found[1])}
    if moderation.operation == "delete":
        return _call(account, "deleteMessage", target)
    return _call(account, "setMessageReaction", {**target, "reaction": [{"type": "emoji", "emoji": LIKE}]})


def _target(reply: OutboundReply) -> dict[str, Any]:
    found = Place.read(reply.in_reply_to_external_id)
    if found is None:
        raise Rejected("the message has no id of Telegram")
    place, message = found
    if reply.kind == "public" and reply.message_kind == "dm":
        raise Rejected("a dm has no public answer")
    if reply.kind == "private" and reply.message_kind != "dm":
        # Works with those only who have opened a chat with the bot.
        return {"chat_id": _person(reply)}
    target: dict[str, Any] = {"chat_id": _number(place.chat)}
    if place.connection:
        target["business_connection_id"] = place.connection
    if _NUMBER.fullmatch(message):
        quoted: dict[str, Any] = {"message_id": int(message)}
        if reply.message_kind == "dm":
            # The customer may have deleted the message and waits for the answer all the same. In a group the answer
            # would land in another topic without it.
            quoted["allow_sending_without_reply"] = True
        target["reply_parameters"] = quoted
    return target


def _person(reply: OutboundReply) -> int:
    recipient = _number(reply.recipient_external_id or "")
    if recipient < 0:
        raise Rejected("who speaks as a group or channel cannot be answered privately")
    return recipient


def _file(attachment: Attachment, caption: str) -> tuple[str, dict[str, Any]]:
    if not attachment.url:
        raise Rejected(f"the {attachment.kind} has no url")
    _check(caption, CAPTION_LIMIT)
    method = _METHODS.get(attachment.kind, "Document")
    return method, {method.lower(): attachment.url, **({"caption": caption} if caption else {})}


def _check(text: str, limit: int) -> None:
    # Telegram counts as its clients' languages do: an emoji is two.
    length = len(text.encode("utf-16-le", "surrogatepass")) // 2
    if length > limit:
        raise Rejected(f"as Telegram counts, the text has {length} characters; it takes {limit}")


def interpret(response: HttpResponse) -> Outcome:
    """What the answer to a reply means; whatever does not clearly say so is Unknown, never Failed."""
    body = _body(response)
    if 200 <= response.status < 300:
        external_id = _sent(bodies.mapping(body.get("result"))) if body.get("ok") is True else None
        return Sent(external_id=external_id) if external_id else Unknown(reason="a success without an id")
    return _unsent(response, body)


def interpret_moderation(response: HttpResponse) -> Outcome:
    """What the answer to an operation means: a success says `true`."""
    body = _body(response)
    if not 200 <= response.status < 300:
        return _unsent(response, body)
    is_done = body.get("ok") is True and body.get("result") is True
    return Sent(external_id=None) if is_done else Unknown(reason="a success that does not say what was done")


def _unsent(response: HttpResponse, body: Mapping[str, Any]) -> Outcome:
    said = bodies.text(body.get("description")) or "no reason given"
    reason = f"HTTP {response.status}: {said[: responses.LONGEST_REASON]}"
    parameters = bodies.mapping(body.get("parameters"))
    if response.status == 429:
        return Throttled(retry_after=_wait(response, parameters), reason=reason)
    if not 400 <= response.status < 500 or response.status == 408:
        return Unknown(reason=reason)
    return _refused(response.status, said, parameters, reason)


def _refused(status: int, said: str, parameters: Mapping[str, Any], reason: str) -> Failed:
    # A token that Telegram does not know makes the whole address unknown.
    if status == 401 or (status == 404 and said == "Not Found"):
        return Failed(code="unauthorized", reason=reason, unauthorized=True)
    if "migrate_to_chat_id" in parameters:
        return Failed(code="chat-migrated", reason=reason)
    if "chat not found" in said:
        return Failed(code="chat-not-found", reason=reason)
    if any(words in said for words in _GONE):
        return Failed(code=NOT_THERE, reason=reason)
    return Failed(code="blocked" if status == 403 else f"http-{status}", reason=reason)


def _sent(message: Mapping[str, Any]) -> str | None:
    chat = Chat(id=bodies.identifier(bodies.mapping(message.get("chat")).get("id")))
    place, message_id = Place.of(chat, message.get("business_connection_id")), message.get("message_id")
    found = bodies.identifier(message_id)
    return place.message(found) if place and found else None


def _wait(response: HttpResponse, parameters: Mapping[str, Any]) -> float:
    seconds = parameters.get("retry_after")
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool):
        return responses.bounded(seconds)
    return responses.retry_after(response.headers) or responses.DEFAULT_WAIT


def _body(response: HttpResponse) -> dict[str, Any]:
    try:
        return bodies.decode(_JSON, response.body)
    except Rejected:
        return {}


def _send(account: Account, method: str, content: Mapping[str, Any], target: Mapping[str, Any]) -> HttpRequest:
    return _call(account, f"send{method}", {**target, **content})


def _call(account: Account, method: str, content: Mapping[str, Any]) -> HttpRequest:
    token = account.credentials.get("bot_token", "")
    if not _TOKEN.fullmatch(token):
        raise Rejected("the channel has no bot_token that could be one")
    base = (account.api_base_url or BASE_URL).rstrip("/")
    return HttpRequest(
        method="POST",
        # Telegram takes the token nowhere else.
        url=f"{base}/bot{token}/{method}",
        headers={"content-type": "application/json"},
        body=msgspec.json.encode(content),
    )


def _number(external_id: str) -> int:
    if not _NUMBER.fullmatch(external_id):
        raise Rejected("the chat has no id of Telegram")
    return int(external_id)
