"""Telegram for the contract suite: updates of the documented shapes, and what the Bot API is asked and answers."""

from dataclasses import replace
from typing import Final

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
from tests.support.networks.sample import Json, Sample, direct, encode, outbound

TOKEN: Final = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
BOT: Final = f"https://api.telegram.org/bot{TOKEN}"
GROUP: Final = -1001234567890


def telegram() -> Sample:
    """A bot."""
    account = Account(
        channel_id="chn_tg",
        external_id="110201543",
        credentials={"secret_token": "old-secret", "bot_token": TOKEN},
    )
    credentials = {**account.credentials, "secret_token": "new-secret", "secret_token_previous": "old-secret"}
    return Sample(
        network="telegram",
        account=account,
        rotated=replace(account, credentials=credentials),
        sign=lambda _, __: {"x-telegram-bot-api-secret-token": "old-secret"},
        part=telegram_message,
        batch=_only,
        seeds=(
            telegram_message(1),
            telegram_group_message(2),
            telegram_business_message(3),
            telegram_reaction(4),
            telegram_deletion(5, 6),
            telegram_callback(7),
            telegram_update(8, "message", text=None, photo=[{"file_id": "a", "file_size": 9}], caption="See"),
        ),
        parts_with_number=telegram_message,
        optional=(("message", "from", "last_name"), ("message", "date"), ("message", "chat", "type")),
        handshakes=(
            (WebhookRequest(method="GET", headers={}), None),
            (WebhookRequest(method="POST", headers={}), None),
        ),
        replies=_telegram_replies(),
        outcomes=_telegram_outcomes(),
        signs_time=False,
        signs_body=False,
        most_parts=1,
        private=direct(in_reply_to_external_id="3003:9001"),
        in_path=frozenset({"bot_token"}),
    )


def _only(parts: list[Json]) -> Json:
    (part,) = parts
    return part


def telegram_update(number: int, kind: str, **more: Json) -> Json:
    """An update with a message of a customer in a private chat with the bot."""
    message = {
        "message_id": 9000 + number,
        "from": {"id": 2002, "is_bot": False, "first_name": "Ana", "last_name": "Gómez", "username": "ana"},
        "chat": {"id": 2002, "first_name": "Ana", "type": "private"},
        "date": 1763800000,
        "text": f"Where is my order {number}? 📦",
        **more,
    }
    return {"update_id": 700 + number, kind: {key: value for key, value in message.items() if value is not None}}


def telegram_message(number: int, **more: Json) -> Json:
    """A customer's message to the bot."""
    return telegram_update(number, "message", **more)


def telegram_group_message(number: int, **more: Json) -> Json:
    """Something said in a public group."""
    chat = {"id": GROUP, "title": "Acme users", "username": "acme_users", "type": "supergroup"}
    return telegram_update(number, "message", **{"chat": chat, **more})


def telegram_business_message(number: int, **more: Json) -> Json:
    """A message to the business account that the bot works for."""
    return telegram_update(number, "business_message", business_connection_id="bc1", **more)


def telegram_deletion(*numbers: int) -> Json:
    """Messages that went from a business account's chat."""
    deleted = {
        "business_connection_id": "bc1",
        "chat": {"id": 2002, "type": "private"},
        "message_ids": [9000 + number for number in numbers],
    }
    return {"update_id": 800, "deleted_business_messages": deleted}


def telegram_reaction(number: int, old: tuple[str, ...] = (), new: tuple[str, ...] = ("👍",)) -> Json:
    """A customer's reactions to a message change."""
    reaction = {
        "chat": {"id": GROUP, "type": "supergroup"},
        "message_id": 9000 + number,
        "user": {"id": 2002, "first_name": "Ana"},
        "date": 1763800100,
        "old_reaction": [{"type": "emoji", "emoji": sign} for sign in old],
        "new_reaction": [{"type": "emoji", "emoji": sign} for sign in new],
    }
    return {"update_id": 900 + number, "message_reaction": reaction}


def telegram_callback(number: int, **more: Json) -> Json:
    """A customer presses a button under a message of the bot."""
    query = {
        "id": "4382bfdwdsb323b2d9",
        "from": {"id": 2002, "first_name": "Ana"},
        "message": telegram_message(number)["message"],
        "data": "track",
        **more,
    }
    return {"update_id": 600 + number, "callback_query": query}


def _telegram_replies() -> tuple[tuple[OutboundReply, str, bytes], ...]:
    said = "It is on its way, Ana ✨"
    photo = (Attachment(kind="image", url="https://cdn.example/a.png"),)
    file = (Attachment(kind="file", url="https://cdn.example/a.pdf"),)
    quoted = '"reply_parameters":{"message_id":9001,"allow_sending_without_reply":true}'
    in_group = outbound(in_reply_to_external_id=f"{GROUP}:9001")
    return (
        (
            in_group,
            f"{BOT}/sendMessage",
            f'{{"chat_id":{GROUP},"reply_parameters":{{"message_id":9001}},"text":"{said}"}}'.encode(),
        ),
        (
            replace(in_group, kind="private"),
            f"{BOT}/sendMessage",
            f'{{"chat_id":2002,"text":"{said}"}}'.encode(),
        ),
        (
            direct(in_reply_to_external_id="3003:9001"),
            f"{BOT}/sendMessage",
            f'{{"chat_id":3003,{quoted},"text":"{said}"}}'.encode(),
        ),
        (
            direct(in_reply_to_external_id="bc1:3003:9001"),
            f"{BOT}/sendMessage",
            f'{{"chat_id":3003,"business_connection_id":"bc1",{quoted},"text":"{said}"}}'.encode(),
        ),
        (
            direct(in_reply_to_external_id="3003:callback-4382bfdwdsb323b2d9"),
            f"{BOT}/sendMessage",
            f'{{"chat_id":3003,"text":"{said}"}}'.encode(),
        ),
        (
            direct(in_reply_to_external_id="3003:9001", text="See", attachments=photo),
            f"{BOT}/sendPhoto",
            f'{{"chat_id":3003,{quoted},"photo":"https://cdn.example/a.png","caption":"See"}}'.encode(),
        ),
        (
            direct(in_reply_to_external_id="3003:9001", text="", attachments=file),
            f"{BOT}/sendDocument",
            f'{{"chat_id":3003,{quoted},"document":"https://cdn.example/a.pdf"}}'.encode(),
        ),
    )


def _telegram_outcomes() -> tuple[tuple[HttpResponse, Outcome], ...]:
    def sent(**more: Json) -> HttpResponse:
        return HttpResponse(status=200, body=encode({"ok": True, "result": {"message_id": 9, **more}}))

    def error(status: int, description: str, **parameters: Json) -> HttpResponse:
        body = {"ok": False, "error_code": status, "description": description, "parameters": parameters}
        return HttpResponse(status=status, body=encode(body))

    blocked = "Forbidden: bot was blocked by the user"
    chat, migrated = "Bad Request: chat not found", "Bad Request: group chat was upgraded to a supergroup chat"
    late = "Too Many Requests: retry after 5"
    return (
        (sent(chat={"id": 3003}), Sent(external_id="3003:9")),
        (sent(chat={"id": 3003}, business_connection_id="bc1"), Sent(external_id="bc1:3003:9")),
        (sent(), Unknown(reason="a success without an id")),
        (HttpResponse(status=200, body=b'{"ok":false}'), Unknown(reason="a success without an id")),
        (HttpResponse(status=200, body=b"<html>"), Unknown(reason="a success without an id")),
        (error(429, late, retry_after=5), Throttled(retry_after=5.0, reason=f"HTTP 429: {late}")),
        (
            HttpResponse(status=429, headers={"Retry-After": "7"}),
            Throttled(retry_after=7.0, reason="HTTP 429: no reason given"),
        ),
        (HttpResponse(status=429), Throttled(retry_after=60.0, reason="HTTP 429: no reason given")),
        (error(401, "Unauthorized"), Failed(code="unauthorized", reason="HTTP 401: Unauthorized", unauthorized=True)),
        (error(404, "Not Found"), Failed(code="unauthorized", reason="HTTP 404: Not Found", unauthorized=True)),
        (error(403, blocked), Failed(code="blocked", reason=f"HTTP 403: {blocked}")),
        (error(400, chat), Failed(code="chat-not-found", reason=f"HTTP 400: {chat}")),
        (error(400, migrated, migrate_to_chat_id=-1001), Failed(code="chat-migrated", reason=f"HTTP 400: {migrated}")),
        (error(400, "Bad Request"), Failed(code="http-400", reason="HTTP 400: Bad Request")),
        (error(500, "Internal Server Error"), Unknown(reason="HTTP 500: Internal Server Error")),
        (HttpResponse(status=502, body=b"<html>"), Unknown(reason="HTTP 502: no reason given")),
        (HttpResponse(status=302), Unknown(reason="HTTP 302: no reason given")),
        (HttpResponse(status=408), Unknown(reason="HTTP 408: no reason given")),
    )
