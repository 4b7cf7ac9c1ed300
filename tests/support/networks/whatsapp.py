"""WhatsApp for the contract suite: bodies of the documented shapes, and what the Cloud API is asked and answers."""

import hashlib
import hmac
from dataclasses import replace
from datetime import timedelta
from typing import Final

from shared.events.messages import Attachment
from shared.networks.port import Account, Failed, HttpResponse, OutboundReply, Outcome, Sent, Throttled, Unknown
from shared.networks.port import WebhookAnswer as Answer
from shared.networks.port import WebhookRequest as Request
from tests.support.networks.sample import Json, Sample, direct, encode

NUMBER: Final = "106540352242922"
BSUID: Final = "US.13491208655302741918"
PHONE: Final = "15550002002"


def whatsapp() -> Sample:
    """A phone number on the Cloud API."""
    account = Account(
        channel_id="chn_wa",
        external_id=NUMBER,
        credentials={"app_secret": "old-secret", "verify_token": "open-sesame", "access_token": "system-token"},
    )
    credentials = {**account.credentials, "app_secret": "new-secret", "app_secret_previous": "old-secret"}
    return Sample(
        network="whatsapp",
        account=account,
        rotated=replace(account, credentials=credentials),
        sign=lambda body, _: {
            "x-hub-signature-256": "sha256=" + hmac.new(b"old-secret", body, hashlib.sha256).hexdigest()
        },
        part=text,
        batch=delivery,
        seeds=(
            delivery([text(1), entry(messages=[picture("wamid.2"), flow("wamid.3")]), status("sent")]),
            delivery([edit("wamid.1"), revoke("wamid.1"), reaction("wamid.1"), status("failed"), order("wamid.4")]),
            delivery([change("smb_message_echoes", message_echoes=[echoed("wamid.5")]), place("wamid.6")]),
        ),
        parts_with_number=lambda number: entry(
            contacts=[], messages=[message(77000000 + number, sender=2002, text={"body": "Where? 📦"})]
        ),
        optional=(
            ("time",),
            ("changes", "0", "value", "contacts"),
            ("changes", "0", "value", "messaging_product"),
            ("changes", "0", "value", "messages", "0", "timestamp"),
            ("changes", "0", "value", "messages", "0", "from"),
        ),
        handshakes=_handshakes(),
        replies=_replies(),
        outcomes=_outcomes(),
        signs_time=False,
    )


def delivery(entries: list[Json]) -> Json:
    """One body of entries."""
    return {"object": "whatsapp_business_account", "entry": entries}


def change(field: str, *, number: str = NUMBER, **value: Json) -> Json:
    """An entry of the business account with one change of a phone number."""
    metadata = {"display_phone_number": "15550783881", "phone_number_id": number}
    content = {"messaging_product": "whatsapp", "metadata": metadata, **value}
    return {"id": "102290129340398", "time": 1763800000, "changes": [{"field": field, "value": content}]}


def entry(**value: Json) -> Json:
    """An entry with messages or statuses, and the customer's card."""
    card = {"profile": {"name": "Ana Gómez", "username": "@ana"}, "wa_id": PHONE, "user_id": BSUID}
    return change("messages", **{"contacts": [card], **value})


def message(name: Json, *, kind: str = "text", sender: Json = PHONE, **more: Json) -> Json:
    """A customer's message."""
    return {"from": sender, "id": name, "timestamp": "1763799990", "type": kind, **more}


def text(number: int) -> Json:
    """A customer's n-th words."""
    said = message(f"wamid.{number}", from_user_id=BSUID, text={"body": f"Where is my order {number}? 📦"})
    return entry(messages=[said])


def picture(name: str, **more: Json) -> Json:
    """A picture that can only be fetched by its id."""
    image = {"id": "65463453", "mime_type": "image/jpeg", "sha256": "4654+8g=", "caption": "Broken", **more}
    return message(name, kind="image", image=image)


def flow(name: str) -> Json:
    """A form that was filled in."""
    answers = {"name": "flow", "body": "Sent", "response_json": '{"flow_token": "t", "size": 4, "tags": ["a", "b"]}'}
    return message(name, kind="interactive", interactive={"type": "nfm_reply", "nfm_reply": answers})


def order(name: str) -> Json:
    """A cart."""
    items = [{"product_retailer_id": "SODA", "quantity": 2, "item_price": 9.5, "currency": "EUR"}]
    said = {"catalog_id": "354", "text": "Quickly please", "product_items": items}
    return entry(messages=[message(name, kind="order", order=said)])


def place(name: str) -> Json:
    """A place."""
    location = {"latitude": 37.5, "longitude": -122.25, "name": "Bay Bridge", "address": "San Francisco"}
    return entry(messages=[message(name, kind="location", location=location)])


def edit(original: str, *, at: str = "1763800100", said: str = "Where is it?") -> Json:
    """A message changed by its author."""
    new = {"original_message_id": original, "message": {"type": "text", "text": {"body": said}}}
    return entry(messages=[{**message("wamid.edit", kind="edit", edit=new), "timestamp": at}])


def revoke(original: str) -> Json:
    """A message taken back by its author."""
    return entry(messages=[message("wamid.revoke", kind="revoke", revoke={"original_message_id": original})])


def reaction(target: str, **said: Json) -> Json:
    """An emoji on a message."""
    given = {"message_id": target, "emoji": "😮", **said}
    return entry(messages=[message("wamid.reaction", kind="reaction", reaction=given)])


def echoed(name: str, **more: Json) -> Json:
    """What somebody wrote in the business app."""
    fields = {"from": "15550783881", "to": PHONE, "to_user_id": BSUID, "id": name, "timestamp": "1763799999"}
    return {**fields, "type": "text", "text": {"body": "We are on it"}, **more}


def status(state: str, *, name: str = "wamid.9", correlation_id: str | None = "rpl_1", **more: Json) -> Json:
    """What became of a message that was sent through the API."""
    said: dict[str, Json] = {
        "id": name,
        "status": state,
        "timestamp": "1763800200",
        "recipient_id": PHONE,
        "recipient_user_id": BSUID,
        **more,
    }
    if correlation_id:
        said["biz_opaque_callback_data"] = f"baton:{correlation_id}"
    return entry(statuses=[said])


def _handshakes() -> tuple[tuple[Request, Answer | None], ...]:
    right = {"hub.mode": "subscribe", "hub.verify_token": "open-sesame", "hub.challenge": "1158201444"}
    refused = Answer(status=403, body=b"forbidden")
    return (
        (Request(method="GET", headers={}, query=right), Answer(status=200, body=b"1158201444")),
        (Request(method="GET", headers={}, query={**right, "hub.verify_token": "wrong"}), refused),
        (Request(method="GET", headers={}), refused),
        (Request(method="POST", headers={}, body=b"{}"), None),
    )


def _replies() -> tuple[tuple[OutboundReply, str, bytes], ...]:
    messages = f"https://graph.facebook.com/v24.0/{NUMBER}/messages"
    head = '{"messaging_product":"whatsapp","recipient_type":"individual",'
    said = '"type":"text","text":{"body":"It is on its way, Ana ✨"},'
    tail = '"biz_opaque_callback_data":"baton:rpl_1"}'
    photo = (Attachment(kind="image", url="https://cdn.example/a.png"),)
    voice = (Attachment(kind="voice", url="https://cdn.example/a.ogg"),)
    paper = (Attachment(kind="pdf", url="https://cdn.example/a.pdf"),)
    late = timedelta(days=30)

    def case(reply: OutboundReply, to: str, content: str) -> tuple[OutboundReply, str, bytes]:
        return reply, messages, f"{head}{to},{content}{tail}".encode()

    phone = '"to":"3003"'
    return (
        case(direct(), phone, said),
        # A user id never goes into `to`, where it would be taken and reach nobody.
        case(direct(recipient_external_id=BSUID), f'"recipient":"{BSUID}"', said),
        case(direct(recipient_external_id="US.ENT.1181"), '"recipient":"US.ENT.1181"', said),
        case(direct(message_kind="comment"), phone, said),
        case(
            direct(text="See", attachments=photo),
            phone,
            '"type":"image","image":{"link":"https://cdn.example/a.png","caption":"See"},',
        ),
        case(
            direct(text="", attachments=voice),
            phone,
            '"type":"audio","audio":{"link":"https://cdn.example/a.ogg"},',
        ),
        case(
            direct(text="", attachments=paper),
            phone,
            '"type":"document","document":{"link":"https://cdn.example/a.pdf"},',
        ),
        case(
            direct(text="", template="order_update", message_age=late),
            phone,
            '"type":"template","template":{"name":"order_update","language":{"code":"en_US"}},',
        ),
        case(
            direct(text="today", template="order_update:pt_BR", message_age=late),
            phone,
            '"type":"template","template":{"name":"order_update","language":{"code":"pt_BR"},'
            '"components":[{"type":"body","parameters":[{"type":"text","text":"today"}]}]},',
        ),
    )


def _outcomes() -> tuple[tuple[HttpResponse, Outcome], ...]:
    def error(status: int, code: int) -> HttpResponse:
        return HttpResponse(status=status, body=encode({"error": {"message": "No", "code": code}}))

    accepted = {
        "messaging_product": "whatsapp",
        "contacts": [{"input": "3003", "wa_id": "3003"}],
        "messages": [{"id": "wamid.9", "message_status": "accepted"}],
    }
    unauthorized = [
        (
            error(status, code),
            Failed(code="unauthorized", reason=f"HTTP {status}, code {code}: No", unauthorized=True),
        )
        for status, code in ((401, 190), (401, 0), (400, 190))
    ]
    throttled = [
        (error(status, code), Throttled(retry_after=wait, reason=f"HTTP {status}, code {code}: No"))
        for status, code, wait in (
            (429, 130429, 60.0),
            (400, 131048, 60.0),
            (400, 80007, 60.0),
            (400, 4, 60.0),
            (400, 131056, 6.0),
        )
    ]
    doubtful = [
        (error(status, code), Unknown(reason=f"HTTP {status}, code {code}: No"))
        for status, code in (
            (500, 131000),
            (400, 131000),
            (503, 131016),
            (400, 131016),
            (500, 1),
            (400, 2),
            (400, 131057),
        )
    ]
    refused = [
        (error(400, code), Failed(code=str(code), reason=f"HTTP 400, code {code}: No"))
        for code in (131026, 131051, 131009, 131042, 132000, 132001, 368, 100)
    ]
    return (
        (HttpResponse(status=200, body=encode(accepted)), Sent(external_id="wamid.9")),
        (HttpResponse(status=200, body=b'{"messages":[]}'), Unknown(reason="a success without an id")),
        (HttpResponse(status=200, body=b"<html>"), Unknown(reason="a success without an id")),
        (error(400, 131047), Failed(code="window-closed", reason="HTTP 400, code 131047: No")),
        (HttpResponse(status=502, body=b"<html>"), Unknown(reason="HTTP 502: no reason given")),
        *unauthorized,
        *throttled,
        *doubtful,
        *refused,
    )
