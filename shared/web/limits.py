"""How often a key may call: a token bucket per key in the memory of this process, and so per process."""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from shared.clock import Clock
from shared.errors import RateLimited

POLICY: Final = "key-per-process"
"""What the quota is counted by: nobody should take it for one that all processes share."""

_MOST_BUCKETS: Final = 16_384


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class RateLimiter:
    """Each key gets `rate` requests a second, and may save up `burst` of them."""

    def __init__(self, clock: Clock, *, rate: float, burst: int) -> None:
        self._clock = clock
        self._rate = rate
        self._burst = burst
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._policy = f'"{POLICY}";q={burst};w={math.ceil(burst / rate)}'.encode()

    def take(self, key: str) -> tuple[tuple[bytes, bytes], ...]:
        """Spends one request, and returns the headers that tell what is left; RateLimited when nothing is."""
        now = self._clock.elapsed()
        bucket = self._buckets.get(key)
        if bucket is None:
            # Forgetting the bucket that was idle longest gives nothing away: it is the likeliest to be full.
            if len(self._buckets) >= _MOST_BUCKETS:
                self._buckets.popitem(last=False)
            bucket = self._buckets[key] = _Bucket(tokens=self._burst, at=now)
        else:
            bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._rate)
            bucket.at = now
            self._buckets.move_to_end(key)
        if bucket.tokens < 1:
            wait = str(math.ceil((1 - bucket.tokens) / self._rate))
            headers = {
                "Retry-After": wait,
                "RateLimit-Policy": self._policy.decode(),
                "RateLimit": f'"{POLICY}";r=0;t={wait}',
            }
            raise RateLimited("this key calls too often", headers=headers)
        bucket.tokens -= 1
        full_in = math.ceil((self._burst - bucket.tokens) / self._rate)
        left = f'"{POLICY}";r={int(bucket.tokens)};t={full_in}'.encode()
        return ((b"ratelimit-policy", self._policy), (b"ratelimit", left))
