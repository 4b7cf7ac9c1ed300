"""How long the intake rests: by what writing takes, and only where deliveries come closely."""

import pytest

from services.ingest.domain.pace import FEW, LONGEST, REST, SHORTEST, Pace


def written(pace: Pace, took: float, *, times: int, every: float) -> float:
    """So many batches of one delivery each, which came in even steps; returns when the last one had landed."""
    at = 0.0
    for number in range(times):
        pace.came(number * every)
        at = number * every + took
        pace.landed(at - took, at)
    return at


def test_nobody_rests_before_the_first_deliveries():
    assert Pace().patience(0.0) == 0.0


def test_one_by_one_nobody_rests():
    pace = Pace()
    at = written(pace, 0.002, times=50, every=1.0)
    assert pace.patience(at) == 0.0


@pytest.mark.parametrize("took", [0.001, 0.004, 0.01])
def test_the_rest_follows_what_writing_takes(took: float):
    pace = Pace()
    at = written(pace, took, times=100, every=took)
    assert pace.patience(at) == pytest.approx(REST * took, rel=0.05)
    assert pace.patience(at + pace.rest) == 0.0


def test_a_rest_is_neither_endless_nor_nothing():
    quick, slow = Pace(), Pace()
    written(quick, 0.00001, times=100, every=0.0001)
    written(slow, 5.0, times=100, every=0.0001)
    assert (quick.rest, slow.rest) == (SHORTEST, LONGEST)


def test_a_stall_of_the_disk_is_forgotten_soon():
    pace = Pace()
    at = written(pace, 0.002, times=100, every=0.003)
    before = pace.rest
    pace.came(at)
    pace.landed(at, at + 2.0)
    assert pace.rest < 1.2 * before


def test_a_few_that_came_long_ago_are_no_reason_to_rest():
    pace = Pace()
    at = written(pace, 0.002, times=100, every=0.003)
    for number in range(FEW - 1):
        pace.came(at + 10 + number / 1000)
    pace.landed(at + 10.01, at + 10.012)
    assert pace.patience(at + 10.012) == 0.0
