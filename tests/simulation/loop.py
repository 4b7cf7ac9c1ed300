"""An event loop without a selector: time is virtual, whatever comes from outside comes in the order of a seed."""

import asyncio
import contextlib
import contextvars
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

EPOCH: Final = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""Where the clocks of every seed begin."""


_TICK: Final = 1e-6
"""What a callback takes: if it took no time, whoever waits for "the rest" of a microsecond would wait for ever."""


_MOST: Final = 300_000
"""Callbacks of one seed; a lively one has 10,000."""


class Owner(Protocol):
    """Who runs callbacks, and so can stop to: one simulated process."""

    is_dead: bool
    stash: list[asyncio.Handle] | None
    """What waits while the process is paused; None while it runs."""


OWNER: Final[contextvars.ContextVar[Owner | None]] = contextvars.ContextVar("simulated-process", default=None)
"""Inherited by every task and callback of a process, because each keeps the context that it was made in."""


class _Task(asyncio.Task[Any]):
    """Hashed by number: sets of tasks, as in a TaskGroup, have one order in every run."""

    def __init__(self, number: int, coroutine: Coroutine[Any, Any, Any], **options: Any) -> None:
        self._number = number
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is ready, in order; then what `outside` offers; then lets time pass until the next timer."""

    def __init__(self, outside: Callable[[], bool], unheard: Callable[[str], None]) -> None:
        super().__init__()
        self._outside = outside
        self.set_exception_handler(lambda _, about: unheard(f"{about['message']}: {about.get('exception')!r}"))
        self._queue: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()
        self._now = 0.0
        self._count = 0
        self._tasks: list[_Task] = []
        self.set_task_factory(self._make_task)

    def time(self) -> float:
        """Virtual seconds since the seed began."""
        return self._now

    def call_soon(
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """As asyncio's, without threads."""
        handle = asyncio.Handle(callback, args, self, context)
        self._queue.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """As asyncio's."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """As asyncio's; timers of the same moment run in the order in which they were set."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def resume(self, handles: list[asyncio.Handle]) -> None:
        """What a paused process would have run."""
        self._queue.extend(handles)

    def end(self) -> None:
        """Closes what is left of tasks, so that nothing of them is heard of later; none of it may wait any more."""
        self._queue.clear()
        self._timers.clear()
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                # A dead process says nothing.
                with contextlib.suppress(BaseException):
                    task.get_coro().close()  # type: ignore[union-attr]
        self._tasks.clear()
        self._queue.clear()
        self.close()

    def _make_task(self, _: Any, coroutine: Any, **options: Any) -> _Task:
        task = _Task(next(self._numbers), coroutine, loop=self, **options)
        self._tasks.append(task)
        return task

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        del handle

    def _run_once(self) -> None:
        while self._queue:
            handle = self._queue.popleft()
            if not handle._cancelled and self._may_run(handle):  # type: ignore[attr-defined]
                self._now += _TICK
                handle._run()
            if self._stopping:  # type: ignore[attr-defined]
                return
        if self._outside():
            return
        while self._timers:
            when, _, timer = heapq.heappop(self._timers)
            if not timer._cancelled:  # type: ignore[attr-defined]
                self._now = max(self._now, when)
                self._queue.append(timer)
                return
        raise RuntimeError("nothing will ever happen again")

    def _may_run(self, handle: asyncio.Handle) -> bool:
        """Not what belongs to the dead, and what belongs to a paused process only later."""
        self._count += 1
        if self._count > _MOST:
            raise RuntimeError("the seed has no end")
        owner = handle._context.get(OWNER)  # type: ignore[attr-defined]
        if owner is None:
            return True
        if owner.stash is not None:
            owner.stash.append(handle)
        return not owner.is_dead and owner.stash is None


class VirtualClock:
    """The clocks of every process: none is wrong, but a paused process may look late."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        """Wall time."""
        return EPOCH + timedelta(seconds=self._loop.time())

    def elapsed(self) -> float:
        """Seconds since the seed began."""
        return self._loop.time()


class CountedIds:
    """Identifiers in the order in which they were asked for."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def new(self, prefix: str) -> str:
        """A prefix and 32 hex digits."""
        return f"{prefix}_{next(self._numbers):032x}"
