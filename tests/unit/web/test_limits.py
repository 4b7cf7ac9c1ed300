"""A key that calls too often is told when to come back, and no other key notices."""

import pytest

from shared.errors import RateLimited
from shared.web import limits
from shared.web.limits import RateLimiter
from tests.support.clock import ManualClock


def test_a_burst_is_allowed_and_then_refused() -> None:
    limiter = RateLimiter(ManualClock(), rate=2, burst=3)

    left = [dict(limiter.take("a"))[b"ratelimit"] for _ in range(3)]

    assert left == [b'"key-per-process";r=2;t=1', b'"key-per-process";r=1;t=1', b'"key-per-process";r=0;t=2']
    with pytest.raises(RateLimited) as refused:
        limiter.take("a")
    assert refused.value.headers == {
        "Retry-After": "1",
        "RateLimit-Policy": '"key-per-process";q=3;w=2',
        "RateLimit": '"key-per-process";r=0;t=1',
    }


def test_another_key_does_not_notice() -> None:
    limiter = RateLimiter(ManualClock(), rate=1, burst=1)
    limiter.take("a")

    assert limiter.take("b")


def test_tokens_come_back_with_time_but_never_exceed_the_burst() -> None:
    clock = ManualClock()
    limiter = RateLimiter(clock, rate=2, burst=3)
    for _ in range(3):
        limiter.take("a")

    clock.advance(0.5)
    limiter.take("a")
    clock.advance(3600)

    assert dict(limiter.take("a"))[b"ratelimit"] == b'"key-per-process";r=2;t=1'


def test_the_memory_of_keys_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MOST_BUCKETS", 2)
    limiter = RateLimiter(ManualClock(), rate=1, burst=1)

    for key in ("a", "b", "c", "d"):
        limiter.take(key)

    assert list(limiter._buckets) == ["c", "d"]
