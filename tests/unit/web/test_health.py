"""Readiness asks rarely, names what is missing, and flips first when the process leaves."""

import asyncio

from shared.errors import Retryable
from shared.web.health import Health
from tests.support.clock import ManualClock


class Counting:
    """A check that counts how often it was asked."""

    def __init__(self, *answers: str | None) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self) -> str | None:
        self.asked += 1
        return self._answers[min(self.asked, len(self._answers)) - 1]


async def test_only_what_is_not_ready_is_named() -> None:
    health = Health(ManualClock(), {"database": Counting(None), "consumers": Counting("not assigned")})

    assert await health.waiting_for() == {"consumers": "not assigned"}


async def test_many_probes_cost_one_check_a_second() -> None:
    clock, check = ManualClock(), Counting("away", None)
    health = Health(clock, {"database": check})

    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(health.waiting_for())
    assert check.asked == 1

    clock.advance(1.0)
    assert await health.waiting_for() == {}
    assert check.asked == 2


async def test_a_dependency_that_is_away_is_not_ready() -> None:
    async def away() -> str | None:
        raise Retryable("connection refused by 10.0.0.1")

    assert await Health(ManualClock(), {"database": away}).waiting_for() == {"database": "does not answer"}


async def test_a_leaving_process_is_not_ready_whatever_its_checks_say() -> None:
    check = Counting(None)
    health = Health(ManualClock())
    health.add("database", check)
    health.leave()

    assert await health.waiting_for() == {"process": "is stopping"}
    assert check.asked == 0
