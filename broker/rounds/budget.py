"""How long one round may search: by its size, for a small one gains nothing by a long search.

While a round of a cell runs the next demand waits, so a round that demand sets off searches for as
long as its reading and writing take anyway; the one that the timer sets off for several times that.
"""

from market.snapshot import Snapshot

LEAST_MS = 10
PAIRS_PER_MS = 25_000
TIMED_FACTOR = 4
LARGE_BIDS = 20_000
LARGE_MOST_MS = 1_000  # writing what a large round sells takes seconds; the next one goes on


def round_budget_ms(snapshot: Snapshot, *, most_ms: int, timed: bool) -> int:
    """Milliseconds for clearing ``snapshot``, at most ``most_ms``."""
    by_size = LEAST_MS + len(snapshot.bids) * len(snapshot.asks) // PAIRS_PER_MS
    if len(snapshot.bids) > LARGE_BIDS:
        most_ms = min(most_ms, LARGE_MOST_MS)
    return min(most_ms, by_size * (TIMED_FACTOR if timed else 1))
