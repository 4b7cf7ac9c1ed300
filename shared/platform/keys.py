"""The text form of an API key: who issued it, which one it is, its secret, and a checksum that scanners can test."""

import base64
import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "baton"

_TOKEN: Final = re.compile(
    r"baton_(?P<environment>[a-z0-9]{1,16})_(?P<id>[a-z]+_[0-9a-f]{32})_(?P<secret>[A-Za-z0-9_-]{43})(?P<sum>[0-9a-f]{8})"
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A token that has the right form and checksum; nobody has looked at its secret yet."""

    key_id: str
    secret: str


def new_secret() -> str:
    """256 random bits, as 43 characters."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


def secret_hash(secret: str) -> bytes:
    """What is stored; a fast hash is enough for 256 random bits."""
    return hashlib.sha256(secret.encode()).digest()


def is_secret(secret: str, stored: bytes) -> bool:
    """Whether this is the secret, in time that tells nothing."""
    return hmac.compare_digest(secret_hash(secret), stored)


def token(environment: str, key_id: str, secret: str) -> str:
    """What the holder of a key sends."""
    body = f"{PREFIX}_{environment}_{key_id}_{secret}"
    return body + _checksum(body)


def parse(text: str) -> Parsed | None:
    """The parts of a token, or None when it cannot be one: mistyped keys never reach the database."""
    match = _TOKEN.fullmatch(text)
    if match is None or _checksum(text[:-8]) != match["sum"]:
        return None
    return Parsed(key_id=match["id"], secret=match["secret"])


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"
