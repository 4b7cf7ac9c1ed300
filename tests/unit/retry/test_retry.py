"""Back-off grows, spreads and ends; only what may succeed later is tried again."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Rejected, Retryable
from shared.retry import Backoff, pause, retrying

QUICK = Backoff(base=timedelta(milliseconds=1), cap=timedelta(milliseconds=4))
LONG = timedelta(seconds=10)


def _failing(*errors: Exception) -> tuple[Callable[[], Awaitable[str]], list[None]]:
    left, calls = list(errors), []

    async def call() -> str:
        calls.append(None)
        if left:
            raise left.pop(0)
        return "done"

    return call, calls


def test_ceilings_double_up_to_the_cap() -> None:
    backoff = Backoff(base=timedelta(seconds=1), cap=timedelta(seconds=10))

    assert [backoff.ceiling(n).total_seconds() for n in range(6)] == [1, 2, 4, 8, 10, 10]


@given(
    attempt=st.integers(min_value=0, max_value=10**9),
    share=st.floats(min_value=0, max_value=1, exclude_max=True),
    factor=st.floats(min_value=1, max_value=10),
)
def test_a_delay_stays_between_zero_and_its_ceiling_however_often(attempt: int, share: float, factor: float) -> None:
    backoff = Backoff(factor=factor)

    assert timedelta(0) <= backoff.delay(attempt, random=lambda: share) <= backoff.ceiling(attempt) <= backoff.cap


def test_the_other_sides_wish_is_a_lower_bound() -> None:
    backoff = Backoff(base=timedelta(seconds=4))

    assert backoff.delay(0, random=lambda: 0.5, retry_after=1.0) == timedelta(seconds=2)
    assert backoff.delay(0, random=lambda: 0.5, retry_after=60.0) == timedelta(seconds=60)


def test_delays_follow_the_ceilings() -> None:
    delays = itertools.islice(QUICK.delays(random=lambda: 0.5), 4)

    assert [delay / timedelta(milliseconds=1) for delay in delays] == [0.5, 1, 2, 2]


async def test_a_call_is_repeated_until_it_succeeds() -> None:
    call, calls = _failing(Retryable("away"), Retryable("away"))

    assert await retrying(call, within=LONG, stop=asyncio.Event(), backoff=QUICK) == "done"
    assert len(calls) == 3


@pytest.mark.parametrize("error", [Rejected("never"), ValueError("bug")])
async def test_what_can_never_succeed_is_not_repeated(error: Exception) -> None:
    call, calls = _failing(error)

    with pytest.raises(type(error)):
        await retrying(call, within=LONG, stop=asyncio.Event(), backoff=QUICK)
    assert len(calls) == 1


async def test_nobody_sleeps_only_to_give_up() -> None:
    call, calls = _failing(Retryable("busy", retry_after=60.0))
    started = asyncio.get_running_loop().time()

    with pytest.raises(Retryable, match="busy"):
        await retrying(call, within=timedelta(seconds=59), stop=asyncio.Event(), backoff=QUICK)
    assert len(calls) == 1
    assert asyncio.get_running_loop().time() - started < 1


async def test_the_deadline_ends_the_repetitions() -> None:
    call, calls = _failing(*(Retryable(str(n)) for n in range(1000)))

    with pytest.raises(Retryable):
        await retrying(call, within=timedelta(milliseconds=20), stop=asyncio.Event(), backoff=QUICK)
    assert 1 < len(calls) < 1000


async def test_a_stop_ends_the_wait_with_the_last_error() -> None:
    stop = asyncio.Event()
    call, calls = _failing(Retryable("away", retry_after=5.0))
    asyncio.get_running_loop().call_soon(stop.set)

    with pytest.raises(Retryable, match="away"):
        await retrying(call, within=LONG, stop=stop)
    assert len(calls) == 1


async def test_cancelling_is_never_swallowed() -> None:
    call, _ = _failing(Retryable("away", retry_after=5.0))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await retrying(call, within=LONG, stop=asyncio.Event())


async def test_a_pause_says_whether_to_go_on() -> None:
    stop = asyncio.Event()

    assert await pause(timedelta(0), stop)
    assert await pause(timedelta(milliseconds=1), stop)
    stop.set()
    assert not await pause(LONG, stop)
    assert not await pause(timedelta(0), stop)
