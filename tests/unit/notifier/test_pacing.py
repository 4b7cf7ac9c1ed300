"""A channel sends a few replies at once and so many per second, and waits when it is told to."""

from services.notifier.domain.pacing import CROWDED, Pace


def test_places_are_few_and_come_back():
    pace = Pace(rate=100, at_once=2)
    assert [pace.take("c", 0.0) for _ in range(3)] == [0.0, 0.0, CROWDED]
    pace.give_back("c")
    assert pace.take("c", 0.0) == 0.0


def test_the_rate_holds_over_time_and_says_how_long_to_wait():
    pace = Pace(rate=2, at_once=100)
    assert [pace.take("c", 0.0) for _ in range(3)] == [0.0, 0.0, 0.5]
    assert pace.take("c", 0.5) == 0.0


def test_a_pause_that_the_network_asked_for_is_kept():
    pace = Pace(rate=10, at_once=10)
    pace.take("c", 0.0)
    pace.block("c", until=7.0)
    pace.block("c", until=3.0)
    assert pace.take("c", 2.0) == 5.0
    assert pace.take("c", 7.0) == 0.0


def test_channels_do_not_slow_each_other():
    pace = Pace(rate=1, at_once=1)
    assert [pace.take("a", 0.0), pace.take("b", 0.0)] == [0.0, 0.0]


def test_memory_stays_flat_over_many_channels():
    pace = Pace(rate=1, at_once=1)
    for number in range(10_000):
        pace.take(f"c{number}", float(number))
        pace.give_back(f"c{number}")
    assert len(pace._channels) <= 4_097
