"""New typed ids: the clock is an argument, chance is the system's."""

import datetime as dt
import secrets

from market.ids import make_id

_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}  # RFC 9562 §4.1


def new_id(prefix: str, now: dt.datetime) -> str:
    """``job_0190a3…``: sorts by ``now``, unguessable in its last 74 bits."""
    return make_id(prefix, unix_ms=int(now.timestamp() * 1000), random_bits=secrets.randbits(74))


def new_ids(prefix: str, now: dt.datetime, count: int) -> list[str]:
    """``count`` ids as ``new_id`` makes them, in ascending order."""
    start = f"{prefix}_{int(now.timestamp() * 1000) & ((1 << 48) - 1):012x}7"
    chance = secrets.token_hex(10 * count)
    digits = [chance[k : k + 20] for k in range(0, len(chance), 20)]
    return sorted(f"{start}{d[:3]}{_VARIANTS[d[3]]}{d[4:19]}" for d in digits)
