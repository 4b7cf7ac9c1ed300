"""Instagram for the contract suite: bodies of the documented shapes, and what the Graph API is asked and answers."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from shared.events.messages import Attachment
from shared.networks.port import Account, Failed, HttpResponse, OutboundReply, Outcome, Sent, Throttled, Unknown
from tests.support.networks.facebook import facebook
from tests.support.networks.sample import Json, Sample, direct, encode, outbound

ACCOUNT = "1784001"
COMMENT = "77000001"


def instagram() -> Sample:
    """A professional account with comments and direct messages."""
    account = Account(
        channel_id="chn_ig",
        external_id=ACCOUNT,
        credentials={"app_secret": "old-secret", "verify_token": "open-sesame", "access_token": "ig-token"},
    )
    credentials = {**account.credentials, "app_secret": "new-secret", "app_secret_previous": "old-secret"}
    return Sample(
        network="instagram",
        account=account,
        rotated=replace(account, credentials=credentials),
        sign=lambda body, _: {
            "x-hub-signature-256": "sha256=" + hmac.new(b"old-secret", body, hashlib.sha256).hexdigest()
        },
        part=instagram_comment,
        batch=lambda parts: {"object": "instagram", "entry": parts},
        seeds=(
            {"object": "instagram", "entry": [instagram_comment(1), instagram_comment(2, parent_id="77000001")]},
            {"object": "instagram", "entry": [instagram_message(3), instagram_change("mentions", media_id="9001")]},
            {"object": "instagram", "entry": [instagram_story_reply(4), {**instagram_entry(), "field": "comments"}]},
        ),
        parts_with_number=lambda number: instagram_comment(number, as_id=int),
        optional=(
            ("time",),
            *(("changes", "0", "value", name) for name in ("from", "text", "media")),
            *(("changes", "0", "value", "media", name) for name in ("id", "media_product_type")),
        ),
        # The same app, the same handshake.
        handshakes=facebook().handshakes,
        replies=_replies(),
        outcomes=_outcomes(),
        signs_time=False,
    )


def instagram_entry(**content: Json) -> Json:
    """One entry of the account."""
    return {"id": ACCOUNT, "time": 1763800000, **content}


def instagram_change(field: str, **value: Json) -> Json:
    """An entry with one change."""
    return instagram_entry(changes=[{"field": field, "value": value}])


def instagram_comment(
    number: int, *, as_id: Callable[[str], Json] = str, field: str = "comments", **more: Json
) -> Json:
    """A customer's comment under a post of the account."""
    return instagram_change(
        field,
        **{
            "id": as_id(f"77{number:06d}"),
            "from": {"id": as_id("2002"), "username": "ana.gomez"},
            "text": f"Where is my order {number}? 📦",
            "media": {"id": as_id("9001"), "media_product_type": "FEED"},
            **more,
        },
    )


def instagram_messaging(**content: Json) -> Json:
    """An entry with one event of the conversation with a customer."""
    event = {"sender": {"id": "3003"}, "recipient": {"id": ACCOUNT}, "timestamp": 1763800000123, **content}
    return instagram_entry(messaging=[event])


def instagram_message(number: int, **more: Json) -> Json:
    """A customer's direct message."""
    return instagram_messaging(message={"mid": f"m_{number}", "text": f"Hello {number}", **more})


def instagram_story_reply(number: int) -> Json:
    """A customer's answer to a story."""
    return instagram_message(number, reply_to={"story": {"id": "5005", "url": "https://cdn.example/story"}})


def instagram_echo(number: int, **more: Json) -> Json:
    """A direct message of ours, whoever sent it."""
    message = {"mid": f"m_{number}", "text": f"Hello {number}", "is_echo": True, **more}
    return instagram_messaging(sender={"id": ACCOUNT}, recipient={"id": "3003"}, message=message)


def commented(**more: Json) -> OutboundReply:
    """A public answer to a comment."""
    return outbound(**{"in_reply_to_external_id": COMMENT, "sender_external_id": ACCOUNT, "thread": COMMENT, **more})


def messaged(**more: Json) -> OutboundReply:
    """A private answer to a direct message."""
    return direct(sender_external_id=ACCOUNT, **more)


def _replies() -> tuple[tuple[OutboundReply, str, bytes], ...]:
    graph = "https://graph.instagram.com/v24.0"
    said = '"message":{"text":"It is on its way, Ana ✨"}}'
    photo = (Attachment(kind="image", url="https://cdn.example/a.png"),)
    return (
        (commented(), f"{graph}/{COMMENT}/replies", '{"message":"It is on its way, Ana ✨"}'.encode()),
        (
            commented(message_kind="reply"),
            f"{graph}/{COMMENT}/replies",
            '{"message":"It is on its way, Ana ✨"}'.encode(),
        ),
        (
            commented(message_kind="mention", in_reply_to_external_id="9001"),
            f"{graph}/{ACCOUNT}/mentions",
            '{"media_id":"9001","message":"It is on its way, Ana ✨"}'.encode(),
        ),
        (
            commented(message_kind="mention", in_reply_to_external_id="9001_77000001"),
            f"{graph}/{ACCOUNT}/mentions",
            '{"media_id":"9001","comment_id":"77000001","message":"It is on its way, Ana ✨"}'.encode(),
        ),
        (
            commented(kind="private"),
            f"{graph}/me/messages",
            f'{{"recipient":{{"comment_id":"{COMMENT}"}},{said}'.encode(),
        ),
        (
            messaged(),
            f"{graph}/me/messages",
            f'{{"recipient":{{"id":"3003"}},"messaging_type":"RESPONSE",{said}'.encode(),
        ),
        (
            messaged(message_kind="story_reply", message_age=timedelta(hours=25)),
            f"{graph}/me/messages",
            f'{{"recipient":{{"id":"3003"}},"messaging_type":"MESSAGE_TAG","tag":"HUMAN_AGENT",{said}'.encode(),
        ),
        (
            messaged(text="", attachments=photo),
            f"{graph}/me/messages",
            encode(
                {
                    "recipient": {"id": "3003"},
                    "messaging_type": "RESPONSE",
                    "message": {"attachment": {"type": "image", "payload": {"url": "https://cdn.example/a.png"}}},
                }
            ),
        ),
    )


def _outcomes() -> tuple[tuple[HttpResponse, Outcome], ...]:
    def error(status: int, code: int, **more: Json) -> HttpResponse:
        return HttpResponse(status=status, body=encode({"error": {"message": "No", "code": code, **more}}))

    return (
        (HttpResponse(status=200, body=b'{"id":"17900001"}'), Sent(external_id="17900001")),
        (HttpResponse(status=200, body=b'{"recipient_id":"3003","message_id":"m_9"}'), Sent(external_id="m_9")),
        (HttpResponse(status=200, body=b"{}"), Unknown(reason="a success without an id")),
        (error(400, 4), Throttled(retry_after=60.0, reason="HTTP 400, code 4: No")),
        (error(400, 613), Throttled(retry_after=60.0, reason="HTTP 400, code 613: No")),
        # Too many actions is no lost authorization, though the status says so.
        (
            error(401, 4, error_subcode=2207051),
            Throttled(retry_after=60.0, reason="HTTP 401, code 4/2207051: No"),
        ),
        (error(400, 190), Failed(code="unauthorized", reason="HTTP 400, code 190: No", unauthorized=True)),
        (
            error(400, 10, error_subcode=2534022),
            Failed(code="window-closed", reason="HTTP 400, code 10/2534022: No"),
        ),
        (
            error(400, 10, error_subcode=2018278),
            Failed(code="window-closed", reason="HTTP 400, code 10/2018278: No"),
        ),
        (error(400, 100, error_subcode=33), Failed(code="100", reason="HTTP 400, code 100/33: No")),
        (error(500, 2), Unknown(reason="HTTP 500, code 2: No")),
        (HttpResponse(status=504), Unknown(reason="HTTP 504: no reason given")),
    )
