"""Baseline: as ``first_price``, but each winner pays the best losing bid's price for its size.

The multi-unit form of Vickrey (1961) in a market with one price: the highest limit per unit of
size among the bids that could have used the winner's ask and won nothing, at least the reserve.
"""

import numpy as np

from market import score
from market.kernels.scanning import best_losers
from market.mechanisms._scanning import BY_RESERVE, Scan, bound_of
from market.mechanisms._sequential import dearest_first
from market.outcome import complete
from market.plan import Plan
from market.snapshot import Floats, Indices, Snapshot

PRICES = "own"


class Vickrey:
    """Sealed bids, highest first, the best loser's price."""

    name = "vickrey"

    def clear(self, snapshot: Snapshot, *, budget_ms: int) -> Plan:
        """One pass; the budget is not needed."""
        scan = Scan.of(snapshot)
        order = dearest_first(snapshot)
        bid, ask, count = scan.by_turns(BY_RESERVE, order)
        size = np.maximum(score.sizes(snapshot), 1e-300)
        best_loser = _best_losers(scan, order, bid, ask, snapshot.bids.limit / size)
        rate = np.minimum(best_loser * size[bid], 2.0**62).astype(np.int64)
        return complete(
            snapshot,
            mechanism=self.name,
            bid=bid,
            ask=ask,
            count=count,
            bound=bound_of(snapshot, scan.best()),
            rate=rate,
        )


def _best_losers(scan: Scan, order: Indices, bid: Indices, ask: Indices, worth: Floats) -> Floats:
    """(k,) the highest worth of a bid that won nothing and could use the ask of each match."""
    lost = np.ones(len(worth), dtype=bool)
    lost[bid] = False
    place = np.empty(len(scan.sells.ask), np.int64)
    place[scan.sells.ask] = np.arange(len(place))
    won, of_match = np.unique(ask, return_inverse=True)
    best = np.empty(len(won))
    best_losers(
        place[won].astype(np.int32), order[lost[order]], worth, scan.buys, scan.sells, scan.common,
        best,
    )  # fmt: skip
    found: Floats = best[of_match]
    return found


def create() -> Vickrey:
    """The Vickrey mechanism."""
    return Vickrey()
