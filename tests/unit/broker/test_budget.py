"""How long a round may search."""

import pytest

from broker.rounds.budget import LARGE_MOST_MS, round_budget_ms
from sim.generators import random_snapshot


@pytest.mark.parametrize(("bids", "asks"), [(1, 1), (40, 10), (400, 100)])
def test_budget_grows_with_size_and_ends_at_the_most(bids, asks):
    snapshot = random_snapshot(bids=bids, asks=asks, seed=1)
    asked, timed = (round_budget_ms(snapshot, most_ms=60, timed=timed) for timed in (False, True))
    assert 0 < asked <= timed <= 60
    assert round_budget_ms(snapshot, most_ms=10**6, timed=True) == 4 * round_budget_ms(
        snapshot, most_ms=10**6, timed=False
    )


def test_large_rounds_leave_time_to_write_what_they_sold():
    large = random_snapshot(bids=20_001, asks=5_000, seed=1)
    assert round_budget_ms(large, most_ms=60_000, timed=True) == LARGE_MOST_MS
    assert round_budget_ms(large, most_ms=300, timed=True) == 300
