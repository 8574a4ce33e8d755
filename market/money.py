"""Money is an integer count of micros (millionths of a credit); every rounding names who gains."""

from market.resources import HOUR_MS

MICROS_PER_CREDIT = 1_000_000


def div_ceil(numerator: int, denominator: int) -> int:
    """Integer division rounded up (the payee gains). ``denominator`` > 0."""
    return -(-numerator // denominator)


def div_floor(numerator: int, denominator: int) -> int:
    """Integer division rounded down (the payer gains). ``denominator`` > 0."""
    return numerator // denominator


def charge_micros(*, rate_micros_per_hour: int, slot_ms: int) -> int:
    """What ``slot_ms`` milliseconds of one slot cost at an hourly rate, rounded up once.

    Sum the milliseconds of a lease first and round once: rounding each attempt would overcharge
    short tasks.
    """
    return div_ceil(rate_micros_per_hour * slot_ms, HOUR_MS)


def format_credits(micros: int) -> str:
    """``1_234_500`` → ``"1.2345"``: exact, without a float."""
    sign = "-" if micros < 0 else ""
    whole, rest = divmod(abs(micros), MICROS_PER_CREDIT)
    return f"{sign}{whole}.{rest:06d}".rstrip("0").rstrip(".")
