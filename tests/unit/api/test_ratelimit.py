"""Token buckets: burst, refill, and room for many keys."""

from broker.services import ratelimit
from broker.services.ratelimit import RateLimiter


def test_bucket_allows_a_burst_then_the_rate() -> None:
    limiter = RateLimiter(burst=2, per_s=1)
    assert [limiter.take("a", now_s=0.0).allowed for _ in range(3)] == [True, True, False]
    assert limiter.take("a", now_s=0.5).retry_after_s == 0.5  # half a token is there
    assert limiter.take("a", now_s=1.0).allowed
    assert limiter.take("b", now_s=1.0).allowed  # a bucket of its own


def test_bucket_never_holds_more_than_the_burst() -> None:
    limiter = RateLimiter(burst=2, per_s=1)
    assert limiter.take("a", now_s=0.0).remaining == 1
    assert limiter.take("a", now_s=1_000.0).remaining == 1


def test_clock_that_goes_back_gives_nothing() -> None:
    limiter = RateLimiter(burst=1, per_s=1)
    assert limiter.take("a", now_s=10.0).allowed
    assert not limiter.take("a", now_s=5.0).allowed


def test_full_buckets_make_room_and_used_ones_stay() -> None:
    limiter = RateLimiter(burst=1, per_s=1)
    limiter.take("used", now_s=99.9)
    for number in range(ratelimit.BUCKETS_MAX - 1):
        limiter.take(f"idle {number}", now_s=0.0)
    limiter.take("one more", now_s=100.0)
    assert not limiter.take("used", now_s=100.0).allowed
