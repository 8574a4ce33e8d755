"""What the simple baselines share: bids one after another, each on the asks that a rule prefers."""

from collections.abc import Callable

import numpy as np

from market.feasible import reserve_rates
from market.mechanisms.greedy import Candidates, candidates, fill, simple_bound
from market.score import sizes
from market.snapshot import Floats, Indices, Ints, Snapshot

Preference = Callable[[Candidates, slice], Floats]  # the lowest first

__all__ = ["Candidates", "candidates", "sequential", "simple_bound"]


def sequential(
    snapshot: Snapshot, pairs: Candidates, order: Indices, prefer: Preference
) -> tuple[Indices, Indices, Ints]:
    """Matches of the bids in ``order``, each filled from its feasible asks by ``prefer``."""
    bids = snapshot.bids
    free = snapshot.asks.capacity.copy()
    matches: list[tuple[int, int, int]] = []
    for bid in order.tolist():
        row = slice(int(pairs.start[bid]), int(pairs.start[bid + 1]))
        if row.start == row.stop:
            continue
        asks = pairs.ask[row][np.argsort(prefer(pairs, row), kind="stable")]
        found = fill(free, asks, bids.demand[bid], int(bids.count[bid]))
        if found and sum(count for _, count in found) >= bids.count_min[bid]:
            for ask, count in found:
                free[ask] -= bids.demand[bid] * count
                matches.append((bid, ask, count))
    table = np.array(matches, dtype=np.int64).reshape(-1, 3)
    return table[:, 0].astype(np.int32), table[:, 1].astype(np.int32), table[:, 2]


def dearest_first(snapshot: Snapshot) -> Indices:
    """Bids by their limit for each unit of size, the highest first."""
    worth = snapshot.bids.limit / np.maximum(sizes(snapshot), 1e-300)
    return np.argsort(-worth, kind="stable").astype(np.int32)


def standing_rates(snapshot: Snapshot, pairs: Candidates) -> Ints:
    """(k,) micros per slot and hour of each pair at the standing price, at least the reserve."""
    bid = np.repeat(np.arange(len(snapshot.bids), dtype=np.int32), np.diff(pairs.start))
    return rates_at_standing(snapshot, bid, pairs.ask)


def rates_at_standing(snapshot: Snapshot, bid: Indices, ask: Indices) -> Ints:
    """The same of the pairs ``(bid[k], ask[k])``."""
    unit = snapshot.standing_price[snapshot.asks.cell[ask]] / snapshot.priced_units
    rate = np.einsum("kr,kr->k", snapshot.bids.demand[bid].astype(np.float64), unit)
    rates: Ints = np.maximum(
        np.ceil(np.minimum(rate, 2.0**62)).astype(np.int64), reserve_rates(snapshot, bid, ask)
    )
    return rates
