"""Facebook for the contract suite: bodies of the documented shapes, and what the Graph API is asked and answers."""

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from shared.events.messages import Attachment
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


def facebook() -> Sample:
    """A Page with a feed and Messenger."""
    account = Account(
        channel_id="chn_fb",
        external_id=PAGE,
        credentials={"app_secret": "old-secret", "verify_token": "open-sesame", "access_token": "page-token"},
    )
    credentials = {**account.credentials, "app_secret": "new-secret", "app_secret_previous": "old-secret"}
    return Sample(
        network="facebook",
        account=account,
        rotated=replace(account, credentials=credentials),
        sign=lambda body, _: {
            "x-hub-signature-256": "sha256=" + hmac.new(b"old-secret", body, hashlib.sha256).hexdigest()
        },
        part=facebook_comment,
        batch=lambda parts: {"object": "page", "entry": parts},
        seeds=(
            {"object": "page", "entry": [facebook_comment(1), facebook_message(2), facebook_message(3, is_echo=True)]},
            {"object": "page", "entry": [facebook_review(4), facebook_reaction(5), facebook_message_edit(6)]},
        ),
        parts_with_number=lambda number: facebook_comment(number, as_id=int),
        optional=(("time",), ("changes", "0", "value", "from"), ("changes", "0", "value", "created_time")),
        handshakes=_facebook_handshakes(),
        replies=_facebook_replies(),
        outcomes=_facebook_outcomes(),
        signs_time=False,
    )


def facebook_entry(**content: Json) -> Json:
    """One entry of the Page."""
    return {"id": PAGE, "time": 1763800000, **content}


def facebook_change(field: str, **value: Json) -> Json:
    """An entry with one change."""
    return facebook_entry(changes=[{"field": field, "value": value}])


def facebook_comment(number: int, *, as_id: Callable[[str], Json] = str, **more: Json) -> Json:
    """A customer's comment under a post of the Page. Ids with two halves can only be text."""
    return facebook_change(
        "feed",
        **{
            "item": "comment",
            "verb": "add",
            "comment_id": as_id(f"77{number:06d}") if as_id is int else f"500_77{number:06d}",
            "post_id": f"{PAGE}_500",
            "parent_id": f"{PAGE}_500",
            "from": {"id": as_id("2002"), "name": "Ana Gómez"},
            "created_time": 1763799990,
            "message": f"Where is my order {number}? 📦",
            **more,
        },
    )


def facebook_messaging(**content: Json) -> Json:
    """An entry with one Messenger event from a customer."""
    event = {"sender": {"id": "3003"}, "recipient": {"id": PAGE}, "timestamp": 1763800000123, **content}
    return facebook_entry(messaging=[event])


def facebook_message(number: int, **more: Json) -> Json:
    """A customer's direct message."""
    return facebook_messaging(message={"mid": f"m_{number}", "text": f"Hello {number}", **more})


def facebook_message_edit(number: int) -> Json:
    """A direct message, changed for the second time."""
    return facebook_messaging(message_edit={"mid": f"m_{number}", "text": "Hello again", "num_edit": "2"})


def facebook_review(number: int, **more: Json) -> Json:
    """A review of the Page."""
    return facebook_change(
        "ratings",
        **{
            "item": "rating",
            "verb": "add",
            "open_graph_story_id": 880000 + number,
            "reviewer_id": 4004,
            "reviewer_name": "Bo Li",
            "recommendation_type": "NEGATIVE",
            "review_text": "Never again",
            "created_time": 1763799000,
            **more,
        },
    )


def facebook_reaction(number: int, **more: Json) -> Json:
    """Somebody loves a comment."""
    return facebook_change(
        "feed",
        **{
            "item": "reaction",
            "verb": "add",
            "comment_id": f"500_77{number:06d}",
            "post_id": f"{PAGE}_500",
            "parent_id": f"{PAGE}_500",
            "from": {"id": "2002", "name": "Ana Gómez"},
            "reaction_type": "love",
            "created_time": 1763799995,
            **more,
        },
    )


def _facebook_handshakes() -> tuple[tuple[WebhookRequest, WebhookAnswer | None], ...]:
    right = {"hub.mode": "subscribe", "hub.verify_token": "open-sesame", "hub.challenge": "1158201444"}
    refused = WebhookAnswer(status=403, body=b"forbidden")

    def get(**changed: str) -> WebhookRequest:
        changes = {f"hub.{name}": value for name, value in changed.items()}
        return WebhookRequest(method="GET", headers={}, query={**right, **changes})

    return (
        (get(), WebhookAnswer(status=200, body=b"1158201444")),
        (get(verify_token="wrong"), refused),
        (get(verify_token=""), refused),
        (get(verify_token="öpen"), refused),
        (get(mode="unsubscribe"), refused),
        (WebhookRequest(method="GET", headers={}), refused),
        (WebhookRequest(method="POST", headers={}, body=b"{}"), None),
    )


def _facebook_replies() -> tuple[tuple[OutboundReply, str, bytes], ...]:
    graph = "https://graph.facebook.com/v24.0"
    messages = f"{graph}/{PAGE}/messages"
    photo = (Attachment(kind="image", url="https://cdn.example/a.png"),)
    said = '"message":{"text":"It is on its way, Ana ✨","metadata":"rpl_1"}}'
    return (
        (outbound(), f"{graph}/500_77000001/comments", '{"message":"It is on its way, Ana ✨"}'.encode()),
        (
            outbound(text="See", attachments=photo),
            f"{graph}/500_77000001/comments",
            b'{"message":"See","attachment_url":"https://cdn.example/a.png"}',
        ),
        (
            outbound(message_kind="review", in_reply_to_external_id="880004"),
            f"{graph}/880004/comments",
            '{"message":"It is on its way, Ana ✨"}'.encode(),
        ),
        (outbound(kind="private"), messages, f'{{"recipient":{{"comment_id":"500_77000001"}},{said}'.encode()),
        (
            outbound(kind="private", message_kind="mention", in_reply_to_external_id=f"{PAGE}_500"),
            messages,
            f'{{"recipient":{{"post_id":"{PAGE}_500"}},{said}'.encode(),
        ),
        (direct(), messages, f'{{"recipient":{{"id":"3003"}},"messaging_type":"RESPONSE",{said}'.encode()),
        (
            direct(message_age=timedelta(hours=25)),
            messages,
            f'{{"recipient":{{"id":"3003"}},"messaging_type":"MESSAGE_TAG","tag":"HUMAN_AGENT",{said}'.encode(),
        ),
        (
            direct(recipient_external_id="user_ref:9"),
            messages,
            f'{{"recipient":{{"user_ref":"9"}},"messaging_type":"RESPONSE",{said}'.encode(),
        ),
        (
            direct(text="", attachments=photo),
            messages,
            encode(
                {
                    "recipient": {"id": "3003"},
                    "messaging_type": "RESPONSE",
                    "message": {
                        "attachment": {"type": "image", "payload": {"url": "https://cdn.example/a.png"}},
                        "metadata": "rpl_1",
                    },
                }
            ),
        ),
    )


def _facebook_outcomes() -> tuple[tuple[HttpResponse, Outcome], ...]:
    def error(status: int, code: int, **more: Json) -> HttpResponse:
        body = {"error": {"message": "No", "type": "OAuthException", "code": code, **more}}
        return HttpResponse(status=status, body=encode(body))

    usage = json.dumps({PAGE: [{"type": "messenger", "estimated_time_to_regain_access": 3}]})
    limited = encode({"error": {"code": 80006, "message": "No"}})
    return (
        (HttpResponse(status=200, body=b'{"id":"500_9"}'), Sent(external_id="500_9")),
        (HttpResponse(status=200, body=b'{"recipient_id":"3003","message_id":"m_9"}'), Sent(external_id="m_9")),
        (HttpResponse(status=200, body=b"<html>"), Unknown(reason="a success without an id")),
        (HttpResponse(status=200), Unknown(reason="a success without an id")),
        (error(400, 4), Throttled(retry_after=60.0, reason="HTTP 400, code 4: No")),
        (error(403, 32), Throttled(retry_after=60.0, reason="HTTP 403, code 32: No")),
        (
            HttpResponse(status=400, headers={"X-Business-Use-Case-Usage": usage}, body=limited),
            Throttled(retry_after=180.0, reason="HTTP 400, code 80006: No"),
        ),
        (
            HttpResponse(status=429, headers={"Retry-After": "7"}, body=b""),
            Throttled(retry_after=7.0, reason="HTTP 429: no reason given"),
        ),
        (error(401, 190), Failed(code="unauthorized", reason="HTTP 401, code 190: No", unauthorized=True)),
        (error(400, 102), Failed(code="unauthorized", reason="HTTP 400, code 102: No", unauthorized=True)),
        (
            HttpResponse(status=401),
            Failed(code="unauthorized", reason="HTTP 401: no reason given", unauthorized=True),
        ),
        (error(400, 100), Failed(code="100", reason="HTTP 400, code 100: No")),
        (error(400, 10900), Failed(code="10900", reason="HTTP 400, code 10900: No")),
        (
            error(403, 10, error_subcode=2018278),
            Failed(code="window-closed", reason="HTTP 403, code 10/2018278: No"),
        ),
        (HttpResponse(status=404, body=b"gone"), Failed(code="http-404", reason="HTTP 404: no reason given")),
        (error(500, 1), Unknown(reason="HTTP 500, code 1: No")),
        (error(400, 2), Unknown(reason="HTTP 400, code 2: No")),
        (error(400, 100, is_transient=True), Unknown(reason="HTTP 400, code 100: No")),
        (HttpResponse(status=502, body=b"<html>"), Unknown(reason="HTTP 502: no reason given")),
        (HttpResponse(status=302), Unknown(reason="HTTP 302: no reason given")),
        (HttpResponse(status=408), Unknown(reason="HTTP 408: no reason given")),
    )
