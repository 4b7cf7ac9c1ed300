"""Whether a history of concurrent operations has one order that a sequential model allows (Wing, Gong and Lowe)."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

S = TypeVar("S")
T = TypeVar("T")

UNKNOWN: Final = None
"""The result of an operation of which nobody heard: it happened or not, now or later."""

MOST_STEPS: Final = 500_000


class NotLinearizable(AssertionError):
    """No order explains the history."""


class Undecided(AssertionError):
    """There are too many orders to try them all within the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What somebody asked for and was told, between two instants of one monotonic clock.

    Without an end it may take effect at any time or never; a model gives one without a result the state as it was, too.
    """

    who: str
    call: Any
    result: Any = UNKNOWN
    start: float
    end: float = math.inf

    def __str__(self) -> str:
        until = "?" if math.isinf(self.end) else f"{self.end:.4f}"
        return f"[{self.start:.4f}, {until}] {self.who}: {self.call} -> {self.result}"


class Model(Protocol[S]):
    """A sequential object; states are values that can be hashed."""

    first: S

    def step(self, state: S, operation: Operation) -> Iterable[S]:
        """Every state that the operation, with its result, may leave behind; none where it cannot have been."""
        ...

    def is_read(self, operation: Operation) -> bool:
        """Whether it never changes anything, whatever the state."""
        ...


def check(history: Iterable[Operation], model: Model[S], *, most_steps: int = MOST_STEPS) -> list[Operation]:
    """An order that explains the history; NotLinearizable or Undecided where there is none, or none was found."""
    search = _Search(sorted(history, key=lambda one: (one.start, one.end)), model)
    return search.run(most_steps)


@dataclass(frozen=True, slots=True)
class _Place(Generic[T]):
    """How far an attempt has come: all operations before `base` are placed, and those of the mask from there on."""

    base: int
    mask: int
    state: T


class _Search(Generic[S]):
    def __init__(self, operations: Sequence[Operation], model: Model[S]) -> None:
        self._operations = operations
        self._model = model
        self._deepest: tuple[int, list[int], S] = (0, [], model.first)

    def run(self, most_steps: int) -> list[Operation]:
        """Depth first, each place once; the path is kept beside the stack."""
        path: list[int] = []
        stack: list[tuple[int, int, _Place[S]]] = [(0, -1, _Place(0, 0, self._model.first))]
        tried: set[_Place[S]] = set()
        while stack:
            depth, placed, here = stack.pop()
            del path[max(depth - 1, 0) :]
            if placed >= 0:
                path.append(placed)
            if here in tried:
                continue
            tried.add(here)
            if len(tried) > most_steps:
                raise Undecided(self._told(f"not decided within {most_steps} steps"))
            if depth > self._deepest[0]:
                self._deepest = (depth, list(path), here.state)
            open_ = self._minimal(here)
            if all(math.isinf(self._operations[number].end) for number in open_):
                return [self._operations[number] for number in path]
            stack += [(depth + 1, number, place) for number, place in reversed(self._next(here, open_))]
        raise NotLinearizable(self._told("no order explains this"))

    def _minimal(self, here: _Place[S]) -> list[int]:
        """What may come next: whatever began before anything else that is not placed yet has ended."""
        found: list[int] = []
        earliest_end = math.inf
        for number in range(here.base, len(self._operations)):
            if here.mask >> (number - here.base) & 1:
                continue
            operation = self._operations[number]
            if operation.start > earliest_end:
                break
            found.append(number)
            earliest_end = min(earliest_end, operation.end)
        return sorted(found, key=lambda number: self._operations[number].end)

    def _next(self, here: _Place[S], open_: Iterable[int]) -> list[tuple[int, _Place[S]]]:
        found = []
        for number in open_:
            operation = self._operations[number]
            states = list(dict.fromkeys(self._model.step(here.state, operation)))
            if math.isinf(operation.end):
                # It need not be placed at all: so only where that changes something.
                states = [state for state in states if state != here.state]
            places = [(number, _placed(here, number, state)) for state in states]
            if states == [here.state] and self._model.is_read(operation):
                # Whatever comes later could come after this just as well.
                return places
            found += places
        return found

    def _told(self, verdict: str) -> str:
        depth, path, state = self._deepest
        placed = set(path)
        waiting = [number for number in range(len(self._operations)) if number not in placed]
        base = waiting[0] if waiting else 0
        mask = sum(1 << (number - base) for number in placed if number >= base)
        stuck = self._minimal(_Place(base, mask, state))
        lines = [f"{verdict}; the longest explanation has {depth} of {len(self._operations)} operations, the last:"]
        lines += [f"  {self._operations[number]}" for number in path[-12:]]
        lines += [f"and leaves {state}, where none of these fits:"]
        lines += [f"  {self._operations[number]}" for number in stuck]
        return "\n".join(lines)


def _placed(here: _Place[S], number: int, state: S) -> _Place[S]:
    base, mask = here.base, here.mask | 1 << (number - here.base)
    done = (~mask & (mask + 1)).bit_length() - 1
    return _Place(base + done, mask >> done, state)


# -- what needs no search -------------------------------------------------------------------------------------------


def check_grows(marks: Iterable[tuple[Operation, int]], *, strictly: bool) -> None:
    """What was over before something else began has the smaller number, or with `strictly` off no greater one."""
    by_start = sorted(marks, key=lambda mark: mark[0].start)
    ended = sorted(by_start, key=lambda mark: mark[0].end)
    highest: tuple[Operation, int] | None = None
    number = 0
    for operation, value in by_start:
        while number < len(ended) and ended[number][0].end < operation.start:
            if highest is None or ended[number][1] > highest[1]:
                highest = ended[number]
            number += 1
        if highest and (value < highest[1] or (strictly and value == highest[1])):
            raise NotLinearizable(f"{value} came after {highest[1]}:\n  {highest[0]}\n  {operation}")


def check_unique(marks: Iterable[tuple[Operation, Any]]) -> None:
    """No two operations have the same mark."""
    seen: dict[Any, Operation] = {}
    for operation, value in marks:
        if value in seen:
            raise NotLinearizable(f"{value} was given twice:\n  {seen[value]}\n  {operation}")
        seen[value] = operation
