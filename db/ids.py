"""New typed ids: the clock is an argument, chance is the system's."""

import datetime as dt
import secrets

from market.ids import make_id


def new_id(prefix: str, now: dt.datetime) -> str:
    """``job_0190a3…``: sorts by ``now``, unguessable in its last 74 bits."""
    return make_id(prefix, unix_ms=int(now.timestamp() * 1000), random_bits=secrets.randbits(74))
