"""Whoever queues goes out together, and nobody pays for another's failure or leave."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from services.tickets.handlers.grouping import MOST, Lanes


class Ferry:
    """Carries numbers, and gives tens of them; leaves only when it is told to."""

    def __init__(self) -> None:
        self.lanes: Lanes[int, int] = Lanes(self.carry)
        self.trips: list[tuple[str, list[int]]] = []
        self.leaves = asyncio.Semaphore(0)
        self.on_board = asyncio.Event()

    async def carry(self, lane: str, asked: Sequence[int]) -> list[int | None]:
        self.trips.append((lane, list(asked)))
        self.on_board.set()
        await self.leaves.acquire()
        if 13 in asked:
            raise ValueError("13")
        return [None if number == 7 else number * 10 for number in asked]

    async def has_boarded(self) -> None:
        await self.on_board.wait()
        self.on_board.clear()


async def queued(ferry: Ferry, group: asyncio.TaskGroup, *numbers: int) -> list[asyncio.Task[int | None]]:
    """The first alone on board, and the others waiting behind it."""
    first = group.create_task(ferry.lanes.ask("a", numbers[0]))
    await ferry.has_boarded()
    others = [group.create_task(ferry.lanes.ask("a", number)) for number in numbers[1:]]
    await settled()
    return [first, *others]


async def settled() -> None:
    """Everybody who can go on has done so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_whoever_queues_goes_with_the_next_and_gets_his_own() -> None:
    ferry = Ferry()
    async with asyncio.TaskGroup() as group:
        tasks = await queued(ferry, group, 1, 2, 3, 4)
        ferry.leaves.release()
        ferry.leaves.release()
    assert ferry.trips == [("a", [1]), ("a", [2, 3, 4])]
    assert [task.result() for task in tasks] == [10, 20, 30, 40]


async def test_those_who_come_at_the_same_moment_go_together() -> None:
    ferry = Ferry()
    ferry.leaves.release()
    async with asyncio.TaskGroup() as group:
        for number in (1, 2, 3):
            group.create_task(ferry.lanes.ask("a", number))
    assert ferry.trips == [("a", [1, 2, 3])]


async def test_lanes_do_not_wait_for_each_other() -> None:
    ferry = Ferry()
    async with asyncio.TaskGroup() as group:
        await queued(ferry, group, 1)
        group.create_task(ferry.lanes.ask("b", 2))
        await ferry.has_boarded()
        assert ferry.trips == [("a", [1]), ("b", [2])]
        ferry.leaves.release()
        ferry.leaves.release()


async def test_too_many_go_in_several_trips() -> None:
    ferry = Ferry()
    async with asyncio.TaskGroup() as group:
        tasks = await queued(ferry, group, *range(100, 102 + MOST))
        for _ in range(3):
            ferry.leaves.release()
    assert [len(asked) for _, asked in ferry.trips] == [1, MOST, 1]
    assert tasks[-1].result() == (101 + MOST) * 10


async def test_one_who_fails_sends_the_others_alone_and_learns_it_himself_when_alone() -> None:
    ferry = Ferry()
    async with asyncio.TaskGroup() as group:
        tasks = await queued(ferry, group, 1, 2, 13, 3)
        ferry.leaves.release()
        ferry.leaves.release()
    assert [task.result() for task in tasks] == [10, None, None, None]
    ferry.leaves.release()
    with pytest.raises(ValueError, match="13"):
        await ferry.lanes.ask("a", 13)


async def test_the_lane_is_free_again_after_a_failure() -> None:
    ferry = Ferry()
    ferry.leaves.release()
    with suppress(ValueError):
        await ferry.lanes.ask("a", 13)
    ferry.leaves.release()
    assert await ferry.lanes.ask("a", 1) == 10


async def test_one_who_must_go_alone_is_told_so() -> None:
    ferry = Ferry()
    async with asyncio.TaskGroup() as group:
        tasks = await queued(ferry, group, 1, 7, 8)
        ferry.leaves.release()
        ferry.leaves.release()
    assert [task.result() for task in tasks] == [10, None, 80]


async def test_one_who_leaves_the_queue_is_not_carried() -> None:
    ferry = Ferry()
    async with asyncio.TaskGroup() as group:
        tasks = await queued(ferry, group, 1, 2, 3)
        tasks[1].cancel()
        await settled()
        ferry.leaves.release()
        ferry.leaves.release()
    assert ferry.trips == [("a", [1]), ("a", [3])]
    assert tasks[2].result() == 30


async def test_one_who_leaves_on_the_way_keeps_nobody() -> None:
    ferry = Ferry()
    async with asyncio.TaskGroup() as group:
        tasks = await queued(ferry, group, 1, 2, 3, 4)
        ferry.leaves.release()
        await ferry.has_boarded()
        tasks[2].cancel()
        ferry.leaves.release()
    assert [tasks[1].result(), tasks[3].result()] == [20, 40]


async def test_when_the_one_who_leads_is_cancelled_the_others_go_alone_and_the_queue_goes_on() -> None:
    ferry = Ferry()
    async with asyncio.TaskGroup() as group:
        tasks = await queued(ferry, group, 1, 2, 3)
        ferry.leaves.release()
        await ferry.has_boarded()
        late = group.create_task(ferry.lanes.ask("a", 4))
        await settled()
        tasks[1].cancel()
        await settled()
        ferry.leaves.release()
    assert tasks[1].cancelled()
    assert tasks[2].result() is None
    assert late.result() == 40


@pytest.mark.parametrize("steps", range(6))
async def test_whenever_the_next_to_lead_is_cancelled_somebody_else_leads(steps: int) -> None:
    ferry = Ferry()
    async with asyncio.TaskGroup() as group:
        tasks = await queued(ferry, group, 1, 2, 3)
        ferry.leaves.release()
        for _ in range(steps):
            await asyncio.sleep(0)
        tasks[1].cancel()
        await settled()
        ferry.leaves.release()
        ferry.leaves.release()
    # Cancelled on the way, it sends the other alone; before that, the other goes without it.
    assert tasks[2].result() in (30, None)
    ferry.leaves.release()
    assert await ferry.lanes.ask("a", 5) == 50


@pytest.mark.parametrize("steps", range(4))
async def test_whenever_the_only_one_is_cancelled_the_lane_is_free_again(steps: int) -> None:
    ferry = Ferry()
    task = asyncio.get_running_loop().create_task(ferry.lanes.ask("a", 1))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await settled()
    ferry.leaves.release()
    assert await ferry.lanes.ask("a", 2) == 20
