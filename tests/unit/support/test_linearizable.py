"""The checker of histories: every true one passes, every false one is caught, as trying all orders says."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.linearizable import NotLinearizable, Operation, Undecided, check, check_grows, check_unique


@dataclass(frozen=True)
class Cell:
    """A number that is written, read, and compared and set."""

    first: int = 0

    def step(self, state: int, operation: Operation) -> Iterator[int]:
        verb, *values = operation.call
        if operation.result is None:
            yield state
        match verb:
            case "read" if operation.result in (None, state):
                yield state
            case "write":
                yield values[0]
            case "swap":
                fits = state == values[0]
                if operation.result in (None, fits):
                    yield values[1] if fits else state

    def is_read(self, operation: Operation) -> bool:
        return operation.call[0] == "read"


CALLS = st.one_of(
    st.tuples(st.just("read")),
    st.tuples(st.just("write"), st.integers(0, 2)),
    st.tuples(st.just("swap"), st.integers(0, 2), st.integers(0, 2)),
)


def told(call: tuple[str, int], result: object, start: float, end: float = math.inf) -> Operation:
    return Operation(who="x", call=call, result=result, start=start, end=end)


@st.composite
def anything(draw: st.DrawFn) -> list[Operation]:
    """Up to five operations that were told whatever."""
    found = []
    for _ in range(draw(st.integers(1, 5))):
        call, start, takes = draw(CALLS), draw(st.integers(0, 6)), draw(st.integers(0, 4))
        results = {"read": st.integers(0, 2), "write": st.just(True), "swap": st.booleans()}
        result = draw(st.none() | results[call[0]])
        found.append(told(call, result, start, math.inf if result is None else start + takes))
    return found


@st.composite
def true_stories(draw: st.DrawFn, longest: int = 40) -> list[Operation]:
    """What happened one after the other, seen through intervals that overlap; some were never answered."""
    state, found = 0, []
    for instant in range(draw(st.integers(1, longest))):
        call = draw(CALLS)
        answered, happened = draw(st.sampled_from([(True, True)] * 6 + [(False, True), (False, False)]))
        result: object = True
        if call[0] == "read":
            result = state
        elif call[0] == "swap":
            result = state == call[1]
        if happened and call[0] != "read" and result:
            state = call[-1]
        before, after = draw(st.floats(0, 3)), draw(st.floats(0, 3))
        end = instant + after if answered else math.inf
        found.append(told(call, result if answered else None, instant - before, end))
    return found


def is_true(history: Sequence[Operation], model: Cell) -> bool:
    """The same by trying everything."""
    heard = [one for one in history if not math.isinf(one.end)]
    unheard = [one for one in history if math.isinf(one.end)]
    for size in range(len(unheard) + 1):
        for happened in itertools.combinations(unheard, size):
            if any(_explains(order, model) for order in itertools.permutations([*heard, *happened])):
                return True
    return False


def _explains(order: Sequence[Operation], model: Cell) -> bool:
    if any(later.end < earlier.start for earlier, later in itertools.combinations(order, 2)):
        return False
    states = {model.first}
    for operation in order:
        states = {after for state in states for after in model.step(state, operation)}
    return bool(states)


@given(anything())
@settings(max_examples=150)
def test_it_says_what_trying_every_order_says(history: list[Operation]) -> None:
    expected = is_true(history, Cell())
    try:
        order = check(history, Cell())
    except NotLinearizable:
        assert not expected
    else:
        assert expected
        assert _explains(order, Cell())
        assert {id(one) for one in history if not math.isinf(one.end)} <= {id(one) for one in order}


@given(true_stories())
@settings(max_examples=60)
@example([])
def test_what_happened_one_after_the_other_passes_however_it_overlaps(history: list[Operation]) -> None:
    assert len(check(history, Cell())) <= len(history)


@given(true_stories(longest=9), st.integers(1, 3))
@settings(max_examples=80)
def test_a_number_that_nobody_wrote_is_caught_wherever_it_is_read(history: list[Operation], position: int) -> None:
    at = history[-position % len(history)]
    lie = told(("read",), 9, at.start, at.start + 1)
    with pytest.raises(NotLinearizable):
        check([*history, lie], Cell())


@pytest.mark.parametrize(
    ("history", "why"),
    [
        ([(("write", 1), True, 0, 1), (("read",), 0, 2, 3)], "a stale read"),
        ([(("swap", 0, 1), True, 0, 1), (("swap", 0, 2), True, 0, 1)], "a lost update"),
        ([(("write", 1), True, 0, 9), (("read",), 1, 1, 2), (("read",), 0, 3, 4)], "back in time"),
        ([(("write", 1), None, 5, math.inf), (("read",), 1, 1, 2)], "before it was asked for"),
        ([(("write", 1), None, 0, 3), (("read",), 0, 4, 5), (("read",), 1, 6, 7)], "after it was dead"),
    ],
)
def test_a_false_history_is_caught(history: list[tuple[tuple[str, int], object, float, float]], why: str) -> None:
    with pytest.raises(NotLinearizable):
        check([told(*line) for line in history], Cell())


def test_an_unanswered_write_may_have_happened_late_or_never() -> None:
    unheard = told(("write", 1), None, 0)
    for seen in ([0, 0], [0, 1], [1, 1]):
        check([unheard, *(told(("read",), value, 2 * n + 1, 2 * n + 2) for n, value in enumerate(seen))], Cell())


def test_a_verdict_names_what_does_not_fit() -> None:
    with pytest.raises(NotLinearizable, match=r"(?s)1 of 2 operations.*write.*leaves 1.*read.* -> 0"):
        check([told(("write", 1), True, 0, 1), told(("read",), 0, 2, 3)], Cell())


def test_a_search_without_end_says_so() -> None:
    crowd = [told(("write", number), True, 0, 1) for number in range(30)]
    with pytest.raises(Undecided, match="not decided within 1000 steps"):
        check([*crowd, told(("read",), -1, 2, 3)], Cell(), most_steps=1000)


def test_a_long_history_of_many_is_decided_at_once() -> None:
    crowd = [told(("write", number), True, number, number + 15.5) for number in range(2000)]
    looks = [told(("read",), number, number + 15, number + 15.5) for number in range(2000)]
    assert len(check([*crowd, *looks], Cell(), most_steps=20_000)) == 4000


def test_numbers_that_shrink_or_come_twice_are_caught_without_a_search() -> None:
    first, second, beside = told(("read",), 0, 0, 1), told(("read",), 0, 2, 3), told(("read",), 0, 0.5, 2.5)
    check_grows([(first, 1), (beside, 1), (second, 2)], strictly=True)
    check_grows([(beside, 9), (second, 2)], strictly=True)
    check_grows([(first, 1), (second, 1)], strictly=False)
    with pytest.raises(NotLinearizable, match="1 came after 1"):
        check_grows([(first, 1), (second, 1)], strictly=True)
    with pytest.raises(NotLinearizable, match="1 came after 2"):
        check_grows([(second, 1), (first, 2)], strictly=False)
    with pytest.raises(NotLinearizable, match="7 was given twice"):
        check_unique([(first, 7), (replace(first, who="y"), 7)])
