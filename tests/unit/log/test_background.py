"""Loops end with their block, and a loop that fails ends it."""

import asyncio
from datetime import timedelta

import pytest

from shared.errors import Retryable
from shared.log.background import Wakes, persevering, running, woken


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_loops_end_with_the_block() -> None:
    ended = asyncio.Event()

    async def loop() -> None:
        try:
            await for_ever()
        finally:
            ended.set()

    async with running(loop):
        await asyncio.sleep(0)
    assert ended.is_set()


async def test_an_error_of_the_block_comes_out_as_it_is() -> None:
    with pytest.raises(ValueError, match="mine"):
        async with running(for_ever):
            raise ValueError("mine")


async def test_an_error_of_a_loop_ends_the_block() -> None:
    async def loop() -> None:
        raise ValueError("the loop's")

    with pytest.raises(ValueError, match="the loop's"):
        async with running(loop):
            await for_ever()


async def test_cancellation_passes_through() -> None:
    async def block() -> None:
        async with running(for_ever):
            await for_ever()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(block())
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()


async def test_a_step_is_repeated_while_its_dependency_is_away_and_no_longer() -> None:
    errors: list[Exception] = [Retryable("away"), Retryable("away"), ValueError("bug")]
    calls: list[Exception] = []

    async def step() -> None:
        calls.append(errors[len(calls)])
        raise calls[-1]

    with pytest.raises(ValueError, match="bug"):
        await persevering(step)
    assert calls == errors


async def test_a_loop_ends_also_when_its_step_mistakes_the_cancellation_for_a_failure() -> None:
    calls = 0

    async def step() -> None:
        nonlocal calls
        calls += 1
        try:
            await for_ever()
        except asyncio.CancelledError as error:
            if calls == 1:
                raise Retryable("away") from error
            raise

    async with asyncio.TaskGroup() as group:
        task = group.create_task(persevering(step))
        await asyncio.sleep(0)
        task.cancel()
        # As when a process is to stop and nobody asks twice.
        await asyncio.wait([task], timeout=5)
        task.cancel()
    assert calls == 1


async def test_only_listeners_of_a_topic_are_woken() -> None:
    wakes = Wakes()
    with wakes.listen(["a", "b"]) as one, wakes.listen(["c"]) as other:
        wakes.wake(["b"])
        assert (one.is_set(), other.is_set()) == (True, False)
    wakes.wake(["c"])
    assert not other.is_set()


async def test_a_wake_up_that_came_before_the_wait_is_not_lost() -> None:
    event = asyncio.Event()
    event.set()
    async with asyncio.timeout(1):
        await woken(event, within=timedelta(seconds=30))
    assert not event.is_set()
