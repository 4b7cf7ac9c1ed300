"""Loops are started again when they fail, and a process ends only for what an operator must change."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from shared.clock import SystemClock
from shared.errors import Misconfigured, Retryable
from shared.host import supervision
from shared.host.supervision import Supervisor
from shared.log.consumer import PoisonFlood
from shared.retry import Backoff
from shared.telemetry.metrics import Metrics


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "BACKOFF", Backoff(base=supervision.timedelta(0)))


def failing(*errors: Exception | None) -> tuple[Callable[[], Awaitable[None]], list[int]]:
    """A loop that ends so, one error after another; and the numbers of its runs."""
    runs: list[int] = []

    async def loop() -> None:
        runs.append(len(runs))
        error = errors[len(runs) - 1]
        if error is not None:
            raise error

    return loop, runs


async def test_a_loop_that_fails_starts_again_until_it_returns() -> None:
    metrics = Metrics()
    loop, runs = failing(ValueError("bug"), Retryable("away"), None)

    with capture_logs() as lines:
        await Supervisor(SystemClock(), metrics, asyncio.Event()).keep("sender", loop)

    assert runs == [0, 1, 2]
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("task_failed", "error"),
        ("task_waits", "warning"),
    ]
    assert b'baton_task_failures_total{task="sender"} 2.0' in metrics.exposition()[0]


async def test_what_an_operator_must_change_ends_the_process() -> None:
    loop, runs = failing(Misconfigured("no such key"))

    with pytest.raises(Misconfigured):
        await Supervisor(SystemClock(), Metrics(), asyncio.Event()).keep("sender", loop)
    assert runs == [0]


async def test_a_flood_of_poison_is_told_loudly_and_waits_long() -> None:
    loop, runs = failing(PoisonFlood("50 keys in a row"))
    stopping = asyncio.Event()
    supervisor = Supervisor(SystemClock(), Metrics(), stopping)

    with capture_logs() as lines:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(supervisor.keep("router", loop))
            await asyncio.sleep(0.01)
            assert not task.done()
            stopping.set()

    assert runs == [0]
    assert [line["log_level"] for line in lines] == ["critical"]


async def test_a_failing_loop_does_not_outlive_the_process() -> None:
    stopping = asyncio.Event()

    async def loop() -> None:
        stopping.set()
        raise ValueError("bug")

    with capture_logs():
        await Supervisor(SystemClock(), Metrics(), stopping).keep("sender", loop)


async def test_a_blocked_event_loop_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(SystemClock):
        """Every second look is a second later than it should be."""

        def __init__(self) -> None:
            self.looks = 0

        def elapsed(self) -> float:
            self.looks += 1
            return self.looks * 1.25

    monkeypatch.setattr(supervision, "LAG_EVERY", 0.0)
    metrics = Metrics()
    with capture_logs() as lines:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(Supervisor(Late(), metrics, asyncio.Event()).watch_loop())
            await asyncio.sleep(0.01)
            watching.cancel()

    assert lines[0] == {"event": "event_loop_was_blocked", "log_level": "warning", "seconds": 1.25}
    assert b"baton_event_loop_lag_seconds 1.25" in metrics.exposition()[0]
