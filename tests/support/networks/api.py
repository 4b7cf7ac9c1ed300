"""The generic channel for the contract suite, signed by the reference implementation of Standard Webhooks."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from standardwebhooks.webhooks import Webhook

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
    WebhookRequest,
)
from tests.support.networks.sample import Json, Sample, direct, outbound

OLD: Final = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
NEW: Final = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4"


def api() -> Sample:
    """An integration that posts messages and takes replies."""
    account = Account(
        channel_id="chn_api",
        external_id="shop",
        credentials={"secret": OLD, "reply_url": "https://shop.example/replies"},
    )
    rotated = replace(account, credentials={**account.credentials, "secret": NEW, "secret_previous": OLD})
    return Sample(
        network="api",
        account=account,
        rotated=rotated,
        sign=_api_sign,
        part=api_message,
        batch=lambda parts: {"messages": parts},
        seeds=(
            api_message(1),
            {"messages": [api_message(2), api_message(3, direction="out", correlation_id="rpl_1")]},
            {"messages": [api_message(4, verb="reacted", reaction={"action": "add", "emoji": "👍"})]},
        ),
        parts_with_number=lambda number: api_message(number, as_id=int),
        optional=(("author",), ("text",), ("occurred_at",), ("attachments",), ("post",), ("kind",)),
        handshakes=(
            (WebhookRequest(method="GET", headers={}), None),
            (WebhookRequest(method="POST", headers={}), None),
        ),
        replies=_api_replies(),
        outcomes=_api_outcomes(),
        signs_time=True,
    )


def _api_sign(body: bytes, at: datetime) -> Mapping[str, str]:
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(OLD).sign("evt_1", at, body.decode("utf-8", "surrogateescape")),
    }


def api_message(number: int, *, as_id: Callable[[str], Json] = str, **more: Json) -> Json:
    """A message in the generic channel's words, with everything that it may carry."""
    return {
        "id": as_id(str(9000 + number)),
        "thread": as_id("77"),
        "kind": "comment",
        "text": f"Is this in stock? {number} 📦",
        "author": {"id": as_id("5005"), "name": "Cem Öz", "handle": "cem", "followers": 3, "verified": False},
        "occurred_at": "2026-11-22T11:59:00Z",
        "attachments": [{"kind": "image", "url": "https://shop.example/a.png", "mime": "image/png", "size": 12}],
        "post": {"id": as_id("42"), "permalink": "https://shop.example/p/42"},
        "rating": 4,
        "permalink": "https://shop.example/c/1",
        **more,
    }


def _api_replies() -> tuple[tuple[OutboundReply, str, bytes], ...]:
    start = '{"type":"reply.requested","timestamp":"2026-11-22T12:00:00Z","data":{"id":"rpl_1",'
    return (
        (
            outbound(),
            "https://shop.example/replies",
            f'{start}"thread":"500_77000001","in_reply_to":"500_77000001","kind":"public",'
            '"text":"It is on its way, Ana ✨","attachments":[],"recipient":"2002","template":null}}'.encode(),
        ),
        (
            direct(text="", attachments=(Attachment(kind="file", url="https://cdn.example/a.pdf"),)),
            "https://shop.example/replies",
            f'{start}"thread":"3003","in_reply_to":"m_1","kind":"private","text":"",'
            '"attachments":[{"kind":"file","url":"https://cdn.example/a.pdf"}],"recipient":"3003",'
            '"template":null}}'.encode(),
        ),
    )


def _api_outcomes() -> tuple[tuple[HttpResponse, Outcome], ...]:
    return (
        (HttpResponse(status=200, body=b'{"id":"abc"}'), Sent(external_id="abc")),
        (HttpResponse(status=201, body=b'{"id":17}'), Sent(external_id="17")),
        (HttpResponse(status=204), Sent(external_id=None)),
        (HttpResponse(status=202, body=b"thanks"), Sent(external_id=None)),
        (HttpResponse(status=400), Failed(code="http-400", reason="HTTP 400")),
        (HttpResponse(status=401), Failed(code="http-401", reason="HTTP 401", unauthorized=True)),
        (HttpResponse(status=410), Failed(code="http-410", reason="HTTP 410")),
        (HttpResponse(status=429), Throttled(retry_after=60.0, reason="HTTP 429")),
        (
            HttpResponse(status=503, headers={"retry-after": "30"}),
            Throttled(retry_after=30.0, reason="HTTP 503"),
        ),
        (HttpResponse(status=503), Unknown(reason="HTTP 503")),
        (HttpResponse(status=500), Unknown(reason="HTTP 500")),
        (HttpResponse(status=302), Unknown(reason="HTTP 302")),
        (HttpResponse(status=408), Unknown(reason="HTTP 408")),
        (HttpResponse(status=409), Unknown(reason="HTTP 409")),
    )
