"""Bodies, both ways: JSON that leaves, and the limits that what arrives is held to while it is read."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from shared.errors import BadRequest, BodyTooLarge

READ_SECONDS: Final = 30.0
"""A body that takes longer to arrive is given up."""

_BRACKETS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a request's body may be at most, in bytes and in nesting; `larger`: in bytes, for some paths."""

    size: int
    depth: int
    larger: Mapping[str, int] = field(default_factory=dict)

    def of(self, path: str) -> int:
        """Bytes; a path's own limit never makes it smaller."""
        return max(self.size, self.larger.get(path, 0))


def encode(body: Any) -> bytes:
    """JSON of pydantic models, msgspec structs, dataclasses and plain values."""
    return msgspec.json.encode(body, enc_hook=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise NotImplementedError(f"{type(value).__name__} is not JSON")


async def read(receive: Receive, *, announced: int | None, limit: int, within: float = READ_SECONDS) -> bytes:
    """A whole body; BodyTooLarge as soon as that is certain, BadRequest when it comes too slowly."""
    if announced is not None and announced > limit:
        raise BodyTooLarge(f"a body may have {limit} bytes here", limit=limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(within):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > limit:
                    raise BodyTooLarge(f"a body may have {limit} bytes here", limit=limit)
                chunks.append(chunk)
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError:
        raise BadRequest(f"the body did not arrive within {within:.0f} s", headers={"Connection": "close"}) from None


def refuse_deep(body: bytes, *, limit: int) -> None:
    """BadRequest for JSON that is nested deeper than anything we define; costs two scans when it is shallow."""
    if body.count(b"[") + body.count(b"{") <= limit:
        return
    depth = 0
    for match in _BRACKETS.finditer(body):
        token = match[0]
        if token in (b"[", b"{"):
            depth += 1
            if depth > limit:
                raise BadRequest(f"the body is nested deeper than {limit} levels", limit=limit)
        elif token in (b"]", b"}"):
            depth -= 1


def replay(body: bytes, receive: Receive) -> Receive:
    """A channel that gives the body that was read, then whatever comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
