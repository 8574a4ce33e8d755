"""Baseline: as ``first_price``, but each winner pays the best losing bid's price for its size.

The multi-unit form of Vickrey (1961) in a market with one price: the highest limit per unit of
size among the bids that could have used the winner's ask and won nothing, at least the reserve.
"""

import numpy as np

from market import score
from market.mechanisms._sequential import (
    candidates,
    dearest_first,
    sequential,
    simple_bound,
)
from market.outcome import complete
from market.plan import Plan
from market.snapshot import Snapshot


class Vickrey:
    """Sealed bids, highest first, the best loser's price."""

    name = "vickrey"

    def clear(self, snapshot: Snapshot, *, budget_ms: int) -> Plan:
        """One pass; the budget is not needed."""
        pairs = candidates(snapshot)
        bid, ask, count = sequential(
            snapshot,
            pairs,
            dearest_first(snapshot),
            lambda found, row: found.reserve_rate[row].astype(float),
        )
        size = np.maximum(score.sizes(snapshot), 1e-300)
        worth = snapshot.bids.limit / size
        lost = np.ones(len(snapshot.bids), dtype=bool)
        lost[bid] = False
        best_loser = np.zeros(len(snapshot.asks))
        row = np.repeat(np.arange(len(snapshot.bids)), np.diff(pairs.start))
        mine = lost[row]
        np.maximum.at(best_loser, pairs.ask[mine], worth[row[mine]])
        rate = np.minimum(best_loser[ask] * size[bid], 2.0**62).astype(np.int64)
        return complete(
            snapshot,
            mechanism=self.name,
            bid=bid,
            ask=ask,
            count=count,
            bound=simple_bound(snapshot, pairs),
            rate=rate,
        )


def create() -> Vickrey:
    """The Vickrey mechanism."""
    return Vickrey()
