"""Standard Webhooks signatures: `v1,` and the base64 HMAC-SHA256 of id, timestamp and body, under every live secret."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from shared.errors import Rejected

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
PREFIX: Final = "whsec_"
VERSION: Final = "v1"
TOLERANCE: Final = timedelta(minutes=5)
"""How old, or how far ahead, a timestamp may be: it bounds for how long a stolen delivery can be replayed."""

_MOST_SIGNATURES: Final = 16
_LONGEST_TIMESTAMP: Final = 15


def verify(headers: Mapping[str, str], body: bytes, *, secrets: Sequence[str], now: datetime) -> bool:
    """Whether one of the signatures is of one of the secrets, and recent. Header names are lower-case."""
    delivery_id, timestamp, given = headers.get(ID), headers.get(TIMESTAMP), headers.get(SIGNATURE)
    if not delivery_id or not timestamp or not given or not _recent(timestamp, now):
        return False
    candidates = [_bytes(part) for part in given.split(" ")[:_MOST_SIGNATURES]]
    authentic = False
    for secret in secrets:
        key = _key(secret)
        if not key:
            continue
        expected = _bytes(_signature(key, delivery_id, timestamp, body))
        for candidate in candidates:
            # No early exit: which of the secrets fits is nobody's business.
            authentic |= hmac.compare_digest(candidate, expected)
    return authentic


def headers(delivery_id: str, body: bytes, *, secrets: Sequence[str], at: datetime) -> dict[str, str]:
    """The three headers of a delivery, signed with every secret so that receivers may rotate at leisure."""
    timestamp = str(int(at.timestamp()))
    keys = [_key(secret) for secret in secrets]
    if not keys or not all(keys):
        raise Rejected(f"the signing secret must be {PREFIX} and base64")
    signatures = [_signature(key, delivery_id, timestamp, body) for key in keys if key]
    return {ID: delivery_id, TIMESTAMP: timestamp, SIGNATURE: " ".join(signatures)}


def _recent(timestamp: str, now: datetime) -> bool:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _LONGEST_TIMESTAMP):
        return False
    return abs(now.timestamp() - int(timestamp)) <= TOLERANCE.total_seconds()


def _signature(key: bytes, delivery_id: str, timestamp: str, body: bytes) -> str:
    signed = _bytes(f"{delivery_id}.{timestamp}.") + body
    return f"{VERSION},{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


def _key(secret: str) -> bytes | None:
    encoded = secret.removeprefix(PREFIX).rstrip("=")
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")
