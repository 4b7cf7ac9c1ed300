"""Failpoints: each stands in one place, is described, and is died at on every event log that comes by it."""

from shared.failpoints import REGISTERED
from tests.support.fire import CASES, hits, logs_of


def test_every_failpoint_stands_in_exactly_one_place():
    found = hits()
    assert found.keys() == REGISTERED.keys()
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_every_failpoint_is_died_at_on_every_log_that_comes_by_it():
    assert {name: logs_of(place) for name, [place] in hits().items()} == CASES
