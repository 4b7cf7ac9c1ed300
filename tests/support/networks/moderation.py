"""What may be done to items, for the contract suite: by network the exact requests, and what the answers mean."""

from collections.abc import Mapping
from typing import Final

from shared.events.messages import Operation
from shared.networks.port import (
    NOT_SUPPORTED,
    NOT_THERE,
    Failed,
    HttpResponse,
    OutboundModeration,
    Outcome,
    Sent,
    Throttled,
    Unknown,
)
from tests.support.networks.sample import NOW, PAGE, Json, encode
from tests.support.networks.telegram import BOT, GROUP

Request = tuple[OutboundModeration, str, str, bytes]
Answer = tuple[Operation, HttpResponse, Outcome]

DONE: Final = Sent(external_id=None)
SILENT: Final = Unknown(reason="a success that does not say what was done")
NAMELESS: Final = Unknown(reason="a success without an id")


def asked(operation: Operation, **more: Json) -> OutboundModeration:
    """Something to be done to a customer's comment."""
    fields = {"message_kind": "comment", "external_id": "500_77000001", "author_external_id": "2002", **more}
    return OutboundModeration(id="mod_1", operation=operation, attempted_at=NOW, **fields)


def _said(status: int, body: Json = None) -> HttpResponse:
    return HttpResponse(status=status, body=b"" if body is None else encode(body))


def _graph() -> tuple[Answer, ...]:
    gone = {"error": {"code": 100, "error_subcode": 33, "message": "No"}}
    return (
        ("hide", _said(200, {"success": True}), DONE),
        ("delete", _said(200, {"success": True}), DONE),
        (
            "hide",
            _said(200, {"success": False}),
            Failed(code="refused", reason="HTTP 200: the network says that it did not do it"),
        ),
        ("hide", _said(200, {"id": "500_1"}), NAMELESS),
        ("hide", _said(200), NAMELESS),
        ("delete", _said(400, gone), Failed(code=NOT_THERE, reason="HTTP 400, code 100/33: No")),
        ("hide", _said(400, {"error": {"code": 100, "message": "No"}}), _failed("100", "HTTP 400, code 100: No")),
        (
            "hide",
            _said(400, {"error": {"code": 190, "message": "No"}}),
            Failed(code="unauthorized", reason="HTTP 400, code 190: No", unauthorized=True),
        ),
        (
            "hide",
            _said(400, {"error": {"code": 32, "message": "No"}}),
            Throttled(retry_after=60.0, reason="HTTP 400, code 32: No"),
        ),
        ("hide", _said(502), Unknown(reason="HTTP 502: no reason given")),
    )


def _failed(code: str, reason: str) -> Failed:
    return Failed(code=code, reason=reason)


def _facebook() -> tuple[Request, ...]:
    comment = "https://graph.facebook.com/v24.0/500_77000001"
    return (
        (asked("hide"), "POST", f"{comment}?is_hidden=true", b""),
        (asked("unhide", message_kind="reply"), "POST", f"{comment}?is_hidden=false", b""),
        (asked("delete", message_kind="ad_comment"), "DELETE", comment, b""),
        (asked("delete", own=True), "DELETE", comment, b""),
        (asked("like"), "POST", f"{comment}/likes", b""),
    )


def _instagram() -> tuple[Request, ...]:
    comment = "https://graph.instagram.com/v24.0/17900000000000001"
    named = {"external_id": "17900000000000001"}
    return (
        (asked("hide", **named), "POST", f"{comment}?hide=true", b""),
        (asked("unhide", message_kind="reply", **named), "POST", f"{comment}?hide=false", b""),
        (asked("delete", **named), "DELETE", comment, b""),
        (asked("delete", own=True, **named), "DELETE", comment, b""),
    )


def _x() -> tuple[Request, ...]:
    api, reply = "https://api.x.com/2", {"message_kind": "reply", "external_id": "77000001"}
    return (
        (asked("hide", **reply), "PUT", f"{api}/tweets/77000001/hidden", b'{"hidden":true}'),
        (asked("unhide", **reply), "PUT", f"{api}/tweets/77000001/hidden", b'{"hidden":false}'),
        (asked("delete", own=True, **reply), "DELETE", f"{api}/tweets/77000001", b""),
        (
            asked("like", message_kind="mention", external_id="77000001"),
            "POST",
            f"{api}/users/{PAGE}/likes",
            b'{"tweet_id":"77000001"}',
        ),
    )


def _x_answers() -> tuple[Answer, ...]:
    return (
        ("hide", _said(200, {"data": {"hidden": True}}), DONE),
        ("unhide", _said(200, {"data": {"hidden": False}}), DONE),
        ("like", _said(200, {"data": {"liked": True}}), DONE),
        ("delete", _said(200, {"data": {"deleted": True}}), DONE),
        (
            "delete",
            _said(200, {"data": {"deleted": False}}),
            _failed("refused", "HTTP 200: X says that it did not do it"),
        ),
        ("hide", _said(200, {"data": {"liked": True}}), SILENT),
        ("hide", _said(200), SILENT),
        ("delete", _said(404, {"detail": "No"}), _failed(NOT_THERE, "HTTP 404: No")),
        ("hide", _said(403, {"detail": "No"}), _failed("http-403", "HTTP 403: No")),
        ("hide", _said(401), Failed(code="unauthorized", reason="HTTP 401: no reason given", unauthorized=True)),
        ("hide", _said(429), Throttled(retry_after=60.0, reason="HTTP 429: no reason given")),
        ("hide", _said(500), Unknown(reason="HTTP 500: no reason given")),
    )


def _telegram() -> tuple[Request, ...]:
    named, target = {"external_id": f"{GROUP}:9001"}, f'{{"chat_id":{GROUP},"message_id":9001'
    return (
        (asked("delete", **named), "POST", f"{BOT}/deleteMessage", f"{target}}}".encode()),
        (
            asked("like", message_kind="reply", **named),
            "POST",
            f"{BOT}/setMessageReaction",
            f'{target},"reaction":[{{"type":"emoji","emoji":"👍"}}]}}'.encode(),
        ),
    )


def _telegram_answers() -> tuple[Answer, ...]:
    gone = "Bad Request: message to delete not found"
    return (
        ("delete", _said(200, {"ok": True, "result": True}), DONE),
        ("delete", _said(200, {"ok": True, "result": {}}), SILENT),
        ("delete", _said(200), SILENT),
        ("delete", _said(400, {"ok": False, "description": gone}), _failed(NOT_THERE, f"HTTP 400: {gone}")),
        ("like", _said(400, {"ok": False, "description": "No"}), _failed("http-400", "HTTP 400: No")),
        (
            "like",
            _said(429, {"ok": False, "parameters": {"retry_after": 5}}),
            Throttled(retry_after=5.0, reason="HTTP 429: no reason given"),
        ),
        ("like", _said(500), Unknown(reason="HTTP 500: no reason given")),
    )


def _whatsapp() -> tuple[Request, ...]:
    url = "https://graph.facebook.com/v24.0/106540352242922/messages"
    head = b'{"messaging_product":"whatsapp","recipient_type":"individual",'
    tail = '"type":"reaction","reaction":{"message_id":"wamid.1","emoji":"👍"}}'.encode()
    named = {"message_kind": "dm", "external_id": "wamid.1"}
    return (
        (asked("like", author_external_id="15551234567", **named), "POST", url, head + b'"to":"15551234567",' + tail),
        (
            asked("like", author_external_id="US.13491208655302741918", **named),
            "POST",
            url,
            head + b'"recipient":"US.13491208655302741918",' + tail,
        ),
    )


def _whatsapp_answers() -> tuple[Answer, ...]:
    return (
        ("like", _said(200, {"messages": [{"id": "wamid.2"}]}), Sent(external_id="wamid.2")),
        ("like", _said(200), NAMELESS),
        (
            "like",
            _said(400, {"error": {"code": 131047, "message": "No"}}),
            _failed("window-closed", "HTTP 400, code 131047: No"),
        ),
        ("like", _said(500), Unknown(reason="HTTP 500: no reason given")),
    )


def _api() -> tuple[Request, ...]:
    head = '{"type":"moderation.requested","timestamp":"2026-11-22T12:00:00Z","data":{"id":"mod_1",'
    return (
        (
            asked("hide"),
            "POST",
            "https://shop.example/replies",
            f'{head}"operation":"hide","message":"500_77000001"}}}}'.encode(),
        ),
        (
            asked("delete", own=True, message_kind="dm"),
            "POST",
            "https://shop.example/replies",
            f'{head}"operation":"delete","message":"500_77000001"}}}}'.encode(),
        ),
    )


def _api_answers() -> tuple[Answer, ...]:
    return (
        ("hide", _said(200, {"id": "7"}), DONE),
        ("hide", _said(204), DONE),
        ("hide", _said(405), _failed(NOT_SUPPORTED, "HTTP 405")),
        ("like", _said(501), _failed(NOT_SUPPORTED, "HTTP 501")),
        ("hide", _said(400), _failed("http-400", "HTTP 400")),
        ("hide", _said(409), Unknown(reason="HTTP 409")),
        ("hide", _said(500), Unknown(reason="HTTP 500")),
        ("hide", _said(429), Throttled(retry_after=60.0, reason="HTTP 429")),
    )


REQUESTS: Final[Mapping[str, tuple[Request, ...]]] = {
    "facebook": _facebook(),
    "instagram": _instagram(),
    "x": _x(),
    "telegram": _telegram(),
    "whatsapp": _whatsapp(),
    "api": _api(),
}
"""What is asked, and the method, URL and exact body of its request."""

ANSWERS: Final[Mapping[str, tuple[Answer, ...]]] = {
    "facebook": _graph(),
    "instagram": _graph(),
    "x": _x_answers(),
    "telegram": _telegram_answers(),
    "whatsapp": _whatsapp_answers(),
    "api": _api_answers(),
}
"""An answer to an operation, and what it means."""
