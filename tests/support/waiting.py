"""Waiting for something that another task or process does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(is_so: Callable[[], bool], *, within: float = 10.0) -> None:
    """Returns once it is so; fails if it takes too long."""
    async with asyncio.timeout(within):
        while not is_so():  # noqa: ASYNC110 - nobody tells a test
            await asyncio.sleep(0.01)


async def answer(ask: Callable[[], Awaitable[T]], *, within: float = 10.0) -> T:
    """Asks until the answer is true; fails if it takes too long."""
    async with asyncio.timeout(within):
        while not (found := await ask()):  # noqa: ASYNC110 - nobody tells a test
            await asyncio.sleep(0.01)
        return found
