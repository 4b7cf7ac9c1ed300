"""A surge is much more than usual, and no mere chance: whatever is usual, and however little is known of it."""

from datetime import UTC, datetime, timedelta
from math import comb, exp, factorial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.domain import surge, usual
from services.router.domain.surge import WORKSPACE, Effects, Followed, Policy, Reading
from services.router.domain.usual import HOUR, WEEKS, Span, Usual

NOW = datetime(2026, 11, 26, 9, 10, tzinfo=UTC)
POLICY = Policy()
SPAN = Span(NOW - timedelta(minutes=15), NOW)
"""Five minutes of eight o'clock, ten of nine o'clock."""


def weekly(*weeks, span=SPAN):
    """What is usual after weeks that held so much at that time, the last one first."""
    counts = {}
    for number, messages in enumerate(weeks, 1):
        for hour, _ in span.pieces():
            counts[hour - timedelta(weeks=number)] = messages / span.share
    return usual.by_week(span, counts, weeks=len(weeks))


def reading(messages, expected):
    return Reading(messages, expected)


def begins(messages, expected, policy=POLICY):
    return surge.step(policy, None, reading(messages, expected), now=NOW) == "start"


# -- what is usual -------------------------------------------------------------------------------------------------


def test_a_window_has_the_share_of_each_hour_that_it_touches():
    five_to_nine, nine = datetime(2026, 11, 26, 8, tzinfo=UTC), datetime(2026, 11, 26, 9, tzinfo=UTC)
    assert SPAN.pieces() == [(five_to_nine, pytest.approx(5 / 60)), (nine, pytest.approx(10 / 60))]
    whole = Span(NOW, NOW + timedelta(minutes=15))
    assert whole.pieces() == [(nine, pytest.approx(0.25))]
    assert len(SPAN.hours()) == 2 * WEEKS


def test_only_weeks_that_were_counted_in_full_are_compared_with():
    eight = datetime(2026, 11, 26, 8, tzinfo=UTC)
    assert usual.weeks_counted(SPAN, eight - timedelta(weeks=3)) == 3
    assert usual.weeks_counted(SPAN, eight - timedelta(weeks=3) + timedelta(seconds=1)) == 2
    assert usual.weeks_counted(SPAN, eight - timedelta(weeks=400)) == WEEKS


def test_one_odd_week_changes_nothing():
    assert weekly(30, 30, 3_000, 30, 30) == weekly(30, 30, 30, 30, 30)


def test_hours_without_messages_count():
    assert usual.by_hour(SPAN, [40] * 3, hours=100).mean == pytest.approx(0.25 / 101)
    assert usual.by_hour(SPAN, [40] * 30, hours=100).mean == pytest.approx(10)


def test_nothing_is_usual_on_the_first_day():
    assert usual.by_hour(SPAN, [5] * 23, hours=23) is None
    assert usual.by_hour(SPAN, [5] * 24, hours=24) is not None


@given(st.integers(1, 60), st.floats(0.1, 40))
def test_the_chance_of_a_poisson_count_is_its_tail(count, mean):
    exact = 1 - sum(exp(-mean) * mean**k / factorial(k) for k in range(count))
    found = usual.chance(count, Usual(mean, mean))
    assert count <= mean or found == pytest.approx(exact, rel=1e-6, abs=1e-12)


@given(st.integers(1, 60), st.integers(1, 12), st.floats(0.05, 0.95))
def test_the_chance_of_a_count_whose_rate_varies_is_its_tail(count, size, share):
    mean, variance = size * (1 - share) / share, size * (1 - share) / share**2
    exact = 1 - sum(comb(k + size - 1, k) * share**size * (1 - share) ** k for k in range(count))
    found = usual.chance(count, Usual(mean, variance))
    assert count <= mean or found == pytest.approx(exact, rel=0.01, abs=1e-9)


@given(st.integers(1, 10**6), st.floats(1e-3, 10**6), st.floats(1, 10**3))
def test_more_is_never_more_likely(count, mean, times):
    expected = Usual(mean, mean * times)
    one, more = usual.chance(count, expected), usual.chance(count + 1, expected)
    assert 0 <= more <= one * (1 + 1e-6) + 1e-15
    assert one <= 1


# -- what is a surge -----------------------------------------------------------------------------------------------


def test_a_burst_on_a_usual_day_is_one():
    assert begins(300, weekly(40, 38, 45, 41))


def test_a_weekly_peak_is_none():
    assert not begins(420, weekly(400, 380, 450, 410))


def test_slow_growth_is_none():
    """A tenth more every week: today is far from the middle of two months, and yet not three times that."""
    weeks = [100 * 1.1**-week for week in range(WEEKS + 1)]
    assert not begins(100, weekly(*weeks[1:]))


@pytest.mark.parametrize(("messages", "expected"), [(1, False), (5, False), (19, False), (20, True), (60, True)])
def test_a_quiet_night_wakes_nobody_for_a_handful(messages, expected):
    assert begins(messages, weekly(0, 1, 0, 0)) is expected


@pytest.mark.parametrize(("messages", "expected"), [(6, False), (9, False), (12, False), (17, True)])
def test_small_counts_have_to_be_more_than_chance(messages, expected):
    """Three times two is six, which comes by itself every hour or so of a hundred subjects."""
    assert begins(messages, weekly(2, 2, 2, 2), Policy(at_least=3)) is expected


def test_weeks_that_differ_much_take_more_to_be_surprised():
    erratic, steady = weekly(5, 80, 10, 60), weekly(35, 35, 35, 35)
    assert begins(120, steady)
    assert not begins(120, erratic)


def test_what_is_not_known_is_no_surge():
    assert not begins(10_000, None)


def test_a_young_channel_is_compared_with_its_busiest_hours():
    expected = usual.by_hour(SPAN, [10] * 20 + [80] * 10, hours=48)
    assert not begins(40, expected)
    assert begins(80, expected)


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**5), min_size=3, max_size=8), st.floats(1.2, 50))
def test_what_begins_is_not_calm(messages, weeks, factor):
    policy = Policy(factor=factor, leave_factor=(1 + factor) / 2 - 0.05)
    seen = reading(messages, weekly(*weeks))
    assert not (surge.is_surge(policy, seen) and surge.is_calm(policy, seen))


@given(st.lists(st.integers(0, 400), min_size=3, max_size=8), st.integers(0, 10**5), st.integers(0, 10**5))
def test_what_is_a_surge_stays_one_with_more_messages(weeks, messages, more):
    expected = weekly(*weeks)
    assert not begins(messages, expected) or begins(messages + more, expected)


# -- how it ends ---------------------------------------------------------------------------------------------------

USUAL = weekly(40, 40, 40)
LOUD, BETWEEN, CALM = reading(300, USUAL), reading(90, USUAL), reading(41, USUAL)


def followed(*, began=60, calm=None, is_open=True):
    since = None if calm is None else NOW - timedelta(minutes=calm)
    return Followed(began_at=NOW - timedelta(minutes=began), is_open=is_open, calm_since=since)


@pytest.mark.parametrize(
    ("known", "seen", "expected"),
    [
        (followed(), LOUD, "stay"),
        (followed(), BETWEEN, "stay"),
        (followed(), CALM, "calm"),
        (followed(calm=10), CALM, "stay"),
        (followed(calm=10), BETWEEN, "loud"),
        (followed(calm=10), LOUD, "loud"),
        (followed(calm=30), CALM, "end"),
        (followed(began=7 * 24 * 60), LOUD, "settle"),
        (followed(began=8 * 24 * 60, calm=5), CALM, "stay"),
        (followed(is_open=False), LOUD, "stay"),
        (followed(is_open=False), CALM, "calm"),
        (followed(is_open=False, began=30 * 24 * 60), LOUD, "stay"),
        (None, BETWEEN, "stay"),
        (None, LOUD, "start"),
    ],
)
def test_each_look_is_one_step(known, seen, expected):
    assert surge.step(POLICY, known, seen, now=NOW) == expected


def test_a_surge_lasts_as_long_as_the_policy_says_however_calm_it_is():
    policy = Policy(leave_minutes=0, lasts_minutes=60)
    assert surge.step(policy, followed(began=59, calm=20), CALM, now=NOW) == "stay"
    assert surge.step(policy, followed(began=60, calm=20), CALM, now=NOW) == "end"


def test_what_became_silent_is_calm_although_nothing_is_known():
    assert surge.is_calm(POLICY, reading(0, None))


# -- what is counted -----------------------------------------------------------------------------------------------


def test_a_message_counts_for_what_is_watched():
    found = surge.subjects(POLICY, channel="c1", lane="care", tags=("refund", "refund", "surge"))
    assert list(found) == [WORKSPACE, "channel:c1", "lane:care", "tag:refund"]
    only = Policy(watch=("tag",), during=Effects(tags=("crisis",)))
    assert list(surge.subjects(only, channel="c1", lane=None, tags=("crisis", "surge"))) == ["tag:surge"]


def test_a_policy_that_would_never_leave_is_refused():
    [problem] = surge.problems(Policy(factor=2.0, leave_factor=2.0))
    assert problem["pointer"] == "#/leave/factor"
    assert surge.problems(POLICY) == []


def test_hours_are_those_of_the_window():
    assert all((NOW - hour) % timedelta(weeks=1) < 2 * HOUR for hour in SPAN.hours())
