"""Bodies are held to their limits while they arrive."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import pytest
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from shared.errors import BadRequest, BodyTooLarge
from shared.web import bodies


def channel(messages: Iterable[Message]) -> Receive:
    iterator = iter(messages)

    async def receive() -> Message:
        return next(iterator)

    return receive


def chunks(*parts: bytes) -> Receive:
    last = len(parts) - 1
    return channel(
        {"type": "http.request", "body": part, "more_body": number < last} for number, part in enumerate(parts)
    )


async def test_a_body_is_joined_from_its_chunks() -> None:
    assert await bodies.read(chunks(b"ab", b"", b"c"), announced=None, limit=3) == b"abc"


async def test_an_announced_body_that_is_too_large_is_not_even_read() -> None:
    with pytest.raises(BodyTooLarge):
        await bodies.read(channel([]), announced=4, limit=3)


async def test_a_body_is_refused_as_soon_as_it_is_too_large() -> None:
    with pytest.raises(BodyTooLarge) as refused:
        await bodies.read(chunks(b"ab", b"cd", b"ef"), announced=None, limit=3)
    assert refused.value.fields == {"limit": 3}


async def test_a_body_that_never_comes_is_given_up() -> None:
    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(BadRequest):
        await bodies.read(receive, announced=None, limit=3, within=0.01)


async def test_a_client_that_leaves_ends_the_reading() -> None:
    with pytest.raises(ClientDisconnect):
        await bodies.read(channel([{"type": "http.disconnect"}]), announced=None, limit=3)


async def test_what_was_read_is_given_again_and_then_what_follows() -> None:
    receive = bodies.replay(b"abc", channel([{"type": "http.disconnect"}]))

    assert await receive() == {"type": "http.request", "body": b"abc", "more_body": False}
    assert await receive() == {"type": "http.disconnect"}


@pytest.mark.parametrize(
    "body", [b"", b"[[[1]]]", b'[{"a":["]"]}]', b'"[[[[[["', b'["[\\"[[[[[["]', b"[]" * 50, b'{"a":"{{{{{{\\\\"}']
)
def test_shallow_json_passes(body: bytes) -> None:
    bodies.refuse_deep(body, limit=3)


@pytest.mark.parametrize("body", [b"[[[[", b'[{"a":[{}]}]', b'["[",[[["\\"",[]]]]]'])
def test_deep_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        bodies.refuse_deep(body, limit=3)


class Pydantic(BaseModel):
    at: datetime


class Struct(msgspec.Struct):
    n: int


@dataclass
class Plain:
    inner: Struct


def test_models_structs_and_dataclasses_become_json_at_any_depth() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)

    encoded = bodies.encode({"a": [Pydantic(at=at)], "b": Plain(inner=Struct(n=1)), "c": at})

    assert encoded == b'{"a":[{"at":"2026-01-02T00:00:00Z"}],"b":{"inner":{"n":1}},"c":"2026-01-02T00:00:00Z"}'


def test_what_is_not_json_is_a_bug() -> None:
    with pytest.raises(NotImplementedError):
        bodies.encode({"a": object()})
