"""X for the contract suite: bodies of both documented shapes, and what the API is asked and answers."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from shared.networks.port import (
    Account,
    Failed,
    HttpResponse,
    OutboundReply,
    Outcome,
    Sent,
    Throttled,
    Unknown,
    WebhookAnswer,
    WebhookRequest,
)
from tests.support.networks.sample import PAGE, Json, Sample, direct, encode, outbound

API: Final = "https://api.x.com/2"


def x() -> Sample:
    """An account whose app delivers through the older API, the only one that batches."""
    account = Account(
        channel_id="chn_x",
        external_id=PAGE,
        credentials={"consumer_secret": "old-secret", "access_token": "user-token"},
    )
    credentials = {**account.credentials, "consumer_secret": "new-secret", "consumer_secret_previous": "old-secret"}
    return Sample(
        network="x",
        account=account,
        rotated=replace(account, credentials=credentials),
        sign=lambda body, _: {"x-twitter-webhooks-signature": x_signature(b"old-secret", body)},
        part=x_old_post,
        batch=lambda parts: {"for_user_id": PAGE, "tweet_create_events": parts},
        seeds=(
            {"for_user_id": PAGE, "tweet_create_events": [x_old_post(1), x_old_post(2, retweeted_status={"id": 1})]},
            x_old_messages(3),
            x_event("post.reply.create", x_post(4), includes=x_includes()),
            x_event("dm.received", {k: v for k, v in x_old_messages(5).items() if k != "for_user_id"}),
            x_event("post.delete", {"id": "77000006", "author_id": "2002"}),
            x_event("chat.received", {"id": "c-7", "sender_id": "3003", "conversation_id": f"3003:{PAGE}"}),
        ),
        parts_with_number=lambda number: x_old_post(number, as_id=int),
        optional=(("user", "name"), ("created_at",), ("entities",), ("in_reply_to_status_id_str",), ("text",)),
        handshakes=_x_handshakes(),
        replies=_x_replies(),
        outcomes=_x_outcomes(),
        signs_time=False,
    )


def x_signature(secret: bytes, body: bytes) -> str:
    """As X signs."""
    return "sha256=" + base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode()


def x_old_post(number: int, *, as_id: Callable[[str], Json] = str, **more: Json) -> Json:
    """A customer's answer to a post of the account, as the Account Activity API lists it."""
    suffix = "_str" if as_id is str else ""
    return {
        "created_at": "Sun Nov 22 11:59:50 +0000 2026",
        f"id{suffix}": as_id(f"77{number:06d}"),
        "text": f"@acme Where is my order {number}? 📦",
        "in_reply_to_status_id_str": "500",
        "in_reply_to_user_id_str": PAGE,
        "user": {f"id{suffix}": as_id("2002"), "name": "Ana Gómez", "screen_name": "ana", "followers_count": 7},
        "entities": {"user_mentions": [{"id_str": PAGE, "screen_name": "acme"}]},
        **more,
    }


def x_old_messages(*numbers: int, sender: str = "3003", recipient: str = PAGE, **data: Json) -> Json:
    """Direct messages as the Account Activity API lists them."""
    events = [
        {
            "type": "message_create",
            "id": f"88{number:06d}",
            "created_timestamp": "1763800000123",
            "message_create": {
                "sender_id": sender,
                "target": {"recipient_id": recipient},
                "message_data": {"text": f"Hello {number}", **data},
            },
        }
        for number in numbers
    ]
    users = {"3003": {"id": "3003", "name": "Cem Öz", "screen_name": "cem", "verified": True}}
    return {"for_user_id": PAGE, "direct_message_events": events, "users": users}


def x_event(event_type: str, payload: Json, **more: Json) -> Json:
    """One event of the X Activity API."""
    named = {"event_uuid": "-6850472171600526495", "filter": {"user_id": PAGE}, "event_type": event_type}
    return {"data": {**named, "payload": payload, **more}}


def x_post(number: int, **more: Json) -> Json:
    """A customer's answer to a post of the account, as the X Activity API tells of it."""
    return {
        "id": f"77{number:06d}",
        "text": f"Where is my order {number}?",
        "author_id": "2002",
        "created_at": "2026-11-22T11:59:50.000Z",
        "conversation_id": "500",
        "in_reply_to_user_id": PAGE,
        "referenced_tweets": [{"type": "replied_to", "id": "500"}],
        "edit_history_tweet_ids": [f"77{number:06d}"],
        **more,
    }


def x_includes() -> Json:
    """Who and what an event of the X Activity API speaks of."""
    profile = {"id": "2002", "name": "Ana Gómez", "username": "ana", "verified": False}
    return {"users": [{"data": {**profile, "public_metrics": {"followers_count": 7}}}]}


def _x_handshakes() -> tuple[tuple[WebhookRequest, WebhookAnswer | None], ...]:
    refused = WebhookAnswer(status=403, body=b"forbidden")
    token = "9b4507b3-9040-4669-9ca3-6b94edb50553"
    answer = encode({"response_token": x_signature(b"old-secret", token.encode())})

    def get(**query: str) -> WebhookRequest:
        return WebhookRequest(method="GET", headers={}, query=query)

    return (
        (get(crc_token=token), WebhookAnswer(body=answer, content_type="application/json")),
        (get(crc_token=token, nonce="x"), WebhookAnswer(body=answer, content_type="application/json")),
        (get(), refused),
        (get(crc_token=""), refused),
        (get(crc_token='{"for_user_id":"1001"}'), refused),
        (WebhookRequest(method="POST", headers={}, query={"crc_token": token}, body=b"{}"), None),
    )


def _x_replies() -> tuple[tuple[OutboundReply, str, bytes], ...]:
    said = "It is on its way, Ana ✨"
    public = outbound(in_reply_to_external_id="77000001")
    answer = f'{{"text":"{said}","reply":{{"in_reply_to_tweet_id":"77000001"}}}}'.encode()
    return (
        (public, f"{API}/tweets", answer),
        (outbound(message_kind="mention", in_reply_to_external_id="77000001"), f"{API}/tweets", answer),
        (direct(), f"{API}/dm_conversations/with/3003/messages", f'{{"text":"{said}"}}'.encode()),
        (
            outbound(kind="private", in_reply_to_external_id="77000001"),
            f"{API}/dm_conversations/with/2002/messages",
            f'{{"text":"{said}"}}'.encode(),
        ),
    )


def _x_outcomes() -> tuple[tuple[HttpResponse, Outcome], ...]:
    def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> HttpResponse:
        body = {"title": "A problem", "detail": detail, "type": "about:blank", "status": status}
        return HttpResponse(status=status, headers=headers or {}, body=encode(body))

    def error(status: int, code: int) -> HttpResponse:
        return HttpResponse(status=status, body=encode({"errors": [{"code": code, "message": "No"}]}))

    hint = "(the account has posted these words already; look for that answer before writing another one)"
    date = "Sun, 22 Nov 2026 12:00:00 GMT"
    window = {"Date": date, "x-rate-limit-remaining": "0", "x-rate-limit-reset": "1795349100"}
    day = {"x-user-limit-24hour-remaining": "0", "x-user-limit-24hour-reset": "1795352400"}
    unused = {"x-app-limit-24hour-remaining": "9", "x-app-limit-24hour-reset": "1795435000"}
    return (
        (HttpResponse(status=201, body=b'{"data":{"id":"9","text":"x"}}'), Sent(external_id="9")),
        (
            HttpResponse(status=201, body=b'{"data":{"dm_conversation_id":"1-2","dm_event_id":"8"}}'),
            Sent(external_id="8"),
        ),
        (HttpResponse(status=201, body=b"<html>"), Unknown(reason="a success without an id")),
        (HttpResponse(status=200), Unknown(reason="a success without an id")),
        (problem(429, "Too Many"), Throttled(retry_after=60.0, reason="HTTP 429: Too Many")),
        (problem(429, "Too Many", window), Throttled(retry_after=300.0, reason="HTTP 429: Too Many")),
        (problem(429, "Too Many", window | day), Throttled(retry_after=3600.0, reason="HTTP 429: Too Many")),
        (problem(429, "Too Many", window | unused), Throttled(retry_after=300.0, reason="HTTP 429: Too Many")),
        (problem(429, "Too Many", {"Retry-After": "7"}), Throttled(retry_after=7.0, reason="HTTP 429: Too Many")),
        (problem(401, "No"), Failed(code="unauthorized", reason="HTTP 401: No", unauthorized=True)),
        (
            problem(403, "You are not allowed to create a Tweet with duplicate content."),
            Failed(
                code="duplicate-content",
                reason=f"HTTP 403: You are not allowed to create a Tweet with duplicate content. {hint}",
            ),
        ),
        (error(403, 187), Failed(code="duplicate-content", reason=f"HTTP 403, code 187: No {hint}")),
        (error(403, 349), Failed(code="349", reason="HTTP 403, code 349: No")),
        (problem(403, "Not allowed"), Failed(code="http-403", reason="HTTP 403: Not allowed")),
        (problem(402, "No credits"), Failed(code="http-402", reason="HTTP 402: No credits")),
        (problem(404, ""), Failed(code="http-404", reason="HTTP 404: A problem")),
        (HttpResponse(status=408), Unknown(reason="HTTP 408: no reason given")),
        (HttpResponse(status=302), Unknown(reason="HTTP 302: no reason given")),
        (HttpResponse(status=503, body=b"over capacity"), Unknown(reason="HTTP 503: no reason given")),
    )
