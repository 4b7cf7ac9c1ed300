"""Waiting for something that another task or process does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds until a wait has failed: it is over much sooner, except on a machine that is busy with other things."""


async def eventually(is_so: Callable[[], bool], *, within: float = PATIENCE) -> None:
    """Returns once it is so; fails if it takes too long."""
    async with asyncio.timeout(within):
        while not is_so():  # noqa: ASYNC110 - nobody tells a test
            await asyncio.sleep(0.01)


async def answer(ask: Callable[[], Awaitable[T]], *, within: float = PATIENCE) -> T:
    """Asks until the answer is true; fails if it takes too long."""
    async with asyncio.timeout(within):
        while not (found := await ask()):  # noqa: ASYNC110 - nobody tells a test
            await asyncio.sleep(0.01)
        return found
