"""Token buckets in this process's memory: a bound on what one key may ask, not an account of it.

With n API processes a key may ask n times as much; a restart fills every bucket. Both are fine for
keeping one client from starving the rest. Buckets that are full again are forgotten.
"""

import threading
from dataclasses import dataclass, field

BUCKETS_MAX = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether it may go on; ``retry_after_s`` is 0 if so."""

    allowed: bool
    remaining: int
    retry_after_s: float


@dataclass(slots=True)
class _Bucket:
    level: float
    at: float


@dataclass(slots=True)
class RateLimiter:
    """``burst`` at once, ``per_s`` on the long run, for each key of its own. Thread-safe."""

    burst: float
    per_s: float
    _buckets: dict[str, _Bucket] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, key: str, *, now_s: float, cost: float = 1.0) -> Verdict:
        """Take ``cost`` from the bucket of ``key`` at the monotonic time ``now_s``."""
        with self._lock:
            bucket = self._bucket(key, now_s)
            if bucket.level < cost:
                return Verdict(
                    allowed=False,
                    remaining=int(bucket.level),
                    retry_after_s=(cost - bucket.level) / self.per_s,
                )
            bucket.level -= cost
            return Verdict(allowed=True, remaining=int(bucket.level), retry_after_s=0.0)

    def forget(self, key: str) -> None:
        """Fill the bucket of ``key``."""
        with self._lock:
            self._buckets.pop(key, None)

    def _bucket(self, key: str, now_s: float) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= BUCKETS_MAX:
                self._forget_full(now_s)
            bucket = self._buckets[key] = _Bucket(self.burst, now_s)
        gained = (now_s - bucket.at) * self.per_s
        bucket.level, bucket.at = min(self.burst, bucket.level + max(0.0, gained)), now_s
        return bucket

    def _forget_full(self, now_s: float) -> None:
        """Make room: the full ones lose nothing; if all are in use, begin anew."""
        self._buckets = {
            key: bucket
            for key, bucket in self._buckets.items()
            if bucket.level + (now_s - bucket.at) * self.per_s < self.burst
        }
        if len(self._buckets) >= BUCKETS_MAX:
            self._buckets.clear()
