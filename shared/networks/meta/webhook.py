"""How Meta calls: the handshake of a subscription, and the signature over the raw bytes."""

import hashlib
import hmac
from typing import Final

from shared.networks.port import Account, WebhookAnswer, WebhookRequest

SIGNATURE: Final = "x-hub-signature-256"
SECRETS: Final = ("app_secret", "app_secret_previous", "verify_token")
"""Credentials that calling takes."""


def handshake(request: WebhookRequest, account: Account) -> WebhookAnswer | None:
    """Meta's GET before it delivers anything: its challenge, if it knows our token."""
    if request.method != "GET":
        return None
    expected = account.credentials.get("verify_token", "")
    known = _same(request.query.get("hub.verify_token", ""), expected) and expected != ""
    challenge = request.query.get("hub.challenge")
    if not known or challenge is None or request.query.get("hub.mode") != "subscribe":
        return WebhookAnswer(status=403, body=b"forbidden")
    return WebhookAnswer(body=_bytes(challenge))


def verify(request: WebhookRequest, account: Account) -> bool:
    """Whether the app's secret, or the one before it, signed exactly these bytes; no time is signed."""
    given = request.headers.get(SIGNATURE, "")
    authentic = False
    for secret in account.secrets("app_secret"):
        # No early exit: which of the two secrets fits is nobody's business.
        authentic |= given.isascii() and hmac.compare_digest(given, sign(secret, request.body))
    return authentic


def sign(secret: str, body: bytes) -> str:
    """The value of `X-Hub-Signature-256` for a body."""
    return f"sha256={hmac.digest(_bytes(secret), body, hashlib.sha256).hex()}"


def delivery_key(request: WebhookRequest) -> str:
    """Meta names no delivery and repeats the same bytes: the digest of them that has just been verified.

    Whatever is delivered again while the app's secret is replaced has another one: it is stored twice, and told once.
    """
    return request.headers.get(SIGNATURE) or hashlib.sha256(request.body).hexdigest()


def acknowledge() -> WebhookAnswer:
    """Any 200 within five seconds will do."""
    return WebhookAnswer(body=b"EVENT_RECEIVED")


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(_bytes(given), _bytes(expected))


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")
