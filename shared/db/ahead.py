"""Statements that travel with the next one: their answers are the driver's to pass over, so nobody waits for them."""

from functools import lru_cache
from typing import Any

_PARSE, _BIND, _EXECUTE = b"P", b"B", b"E"


def send(connection: Any, *statements: str) -> bool:
    """Writes statements without results in front of the connection's next message; False where that is not possible.

    The protocol answers at the next Sync, which is the next statement's: until then the server keeps its answers, and
    after an error it passes over everything up to it, so that the next statement fails with the first one's error.
    """
    transport = getattr(connection, "_transport", None)
    if transport is None:
        return False
    transport.write(_messages(statements))
    return True


@lru_cache(maxsize=1024)
def _messages(statements: tuple[str, ...]) -> bytes:
    return b"".join(
        _message(_PARSE, b"\0" + statement.encode() + b"\0" + bytes(2))
        + _message(_BIND, b"\0\0" + bytes(6))
        + _message(_EXECUTE, b"\0" + bytes(4))
        for statement in statements
    )


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4) + body
