"""Signed webhooks of one Facebook Page, ready to be written to a socket; and what they decode to."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec

PAGE: Final = "1067280970047460"
SECRET: Final = "bench-app-secret"
VERIFY_TOKEN: Final = "bench-verify"


class Person(msgspec.Struct):
    id: str


class Message(msgspec.Struct):
    mid: str
    text: str | None = None
    attachments: list[dict[str, Any]] | None = None


class Messaging(msgspec.Struct):
    sender: Person
    recipient: Person
    timestamp: int
    message: Message | None = None


class Entry(msgspec.Struct):
    id: str
    time: int
    messaging: list[Messaging]


class Delivery(msgspec.Struct):
    object: str
    entry: list[Entry]


DECODE: Final = msgspec.json.Decoder(Delivery).decode
"""The least that decoding is: typed, into slots."""

CROWD: Final = 1_000
PER_CUSTOMER: Final = 5

_NUMBER: Final = "999999999999"
_CUSTOMER: Final = b"6999999999999999"
_TEXTS: Final = (
    "Where is my order? It has been a week and nobody answers 😡 Please tell me what happened to parcel 00340434161.",
    "¡Hola! Compré dos pares y uno llegó roto, ¿cómo puedo devolverlo? Gracias de antemano por su ayuda 🙏",
    "注文した商品が壊れていました。返金してください。写真を添付します。よろしくお願いいたします。",
    "Hallo, könnt ihr mir sagen, ob die Jacke in Größe M wieder lieferbar ist? Ich warte schon so lange darauf!",
    "我要退款，质量太差了，客服一直不回复，请尽快处理，谢谢。订单号在下面的图片里。",
    "Do you ship to Norway, and how much is it? I would like three of the blue ones before Christmas if possible.",
    "환불해주세요 🙏 배송이 너무 늦어요. 확인 부탁드립니다.",
    "Love it! Best purchase of the year, thank you so much to the whole team ❤️❤️❤️",
)


def three_messages(count: int) -> Iterator[bytes]:
    """So many distinct deliveries of about 2 kB: three direct messages of three customers, one with a picture."""
    entries = [_direct(f"{_NUMBER}.{part}", customer=part) for part in range(3)]
    url = f"https://scontent.xx.fbcdn.net/v/t1.15752-9/{_NUMBER}_n.jpg?oh=" + "0" * 1010
    entries[1]["message"]["attachments"] = [{"type": "image", "payload": {"url": url}}]
    template = _delivery(entries)
    for number in range(count):
        yield template.replace(_NUMBER.encode(), f"{number:012d}".encode())


def one_message(number: int) -> bytes:
    """One direct message, as Messenger delivers it: number `number`, of a customer who writes five times or so."""
    template = _TEMPLATES[number % len(_TEMPLATES)]
    # A thousand customers write at a time, each in turn; in each round a fifth of them is replaced by new ones.
    turn, place = divmod(number, CROWD)
    customer = (turn + place % PER_CUSTOMER) // PER_CUSTOMER * CROWD + place
    return template.replace(_CUSTOMER, b"6%015d" % customer).replace(_NUMBER.encode(), b"%012d" % number)


def request(path: str, body: bytes, *, secret: str = SECRET) -> bytes:
    """The whole HTTP request."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: facebookexternalua\r\nAccept: */*\r\n"
        f"Content-Type: application/json\r\nX-Hub-Signature-256: {sign(secret, body)}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def sign(secret: str, body: bytes) -> str:
    """The value of the signature header."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _direct(external_id: str, *, customer: int, text: str | None = None) -> dict[str, Any]:
    return {
        "sender": {"id": f"6{customer:015d}"},
        "recipient": {"id": PAGE},
        "timestamp": 1_795_000_000_000,
        "message": {"mid": f"m_{external_id}", "text": text or _TEXTS[customer % len(_TEXTS)]},
    }


def _delivery(messaging: list[dict[str, Any]]) -> bytes:
    entry = {"id": PAGE, "time": 1_795_000_000_000, "messaging": messaging}
    return json.dumps({"object": "page", "entry": [entry]}, separators=(",", ":")).encode()


_TEMPLATES: Final = [_delivery([_direct(_NUMBER, customer=999_999_999_999_999, text=text)]) for text in _TEXTS]
