"""Baseline: MOHAF as published (Agrawal et al., arXiv 2508.14830), on the market's own rounds.

Greedy by largest marginal gain of its utility, one bid an ask (each ask serves one slot only), its
payment min{ρ·d·(0.8 + 0.4·U), B} with ρ the standing price; hard constraints are kept, which the
published code does not do. As in the paper a bid's utility is not weighted by its size. Its own
utility, instance and Table 1 are in ``sim.mohaf_paper``.
"""

import numpy as np

from market import score
from market.mechanisms._sequential import candidates, simple_bound, standing_rates
from market.outcome import complete
from market.plan import Plan
from market.snapshot import Snapshot


class Mohaf:
    """One-to-one greedy on the unweighted multi-objective utility."""

    name = "mohaf"

    def clear(self, snapshot: Snapshot, *, budget_ms: int) -> Plan:
        """One pass over the pairs by utility; the budget is not needed."""
        pairs = candidates(snapshot)
        bids = snapshot.bids
        row = np.repeat(np.arange(len(bids), dtype=np.int32), np.diff(pairs.start))
        fits = (bids.demand[row] <= snapshot.asks.capacity[pairs.ask]).all(axis=1)
        fits &= bids.count_min[row] <= 1
        open_bid = np.ones(len(bids), dtype=bool)
        open_ask = np.ones(len(snapshot.asks), dtype=bool)
        chosen: list[int] = []
        order = np.argsort(-pairs.density, kind="stable")
        for k in order[fits[order]].tolist():
            if open_bid[row[k]] and open_ask[pairs.ask[k]]:
                open_bid[row[k]] = open_ask[pairs.ask[k]] = False
                chosen.append(k)
        won = np.array(chosen, dtype=np.int64)
        factor = 0.8 + 0.4 * score.densities(snapshot, row[won], pairs.ask[won])
        rate = standing_rates(snapshot, pairs)[won] * factor
        return complete(
            snapshot,
            mechanism=self.name,
            bid=row[won],
            ask=pairs.ask[won],
            count=np.ones(len(won), np.int64),
            bound=simple_bound(snapshot, pairs),
            rate=np.minimum(rate, 2.0**62).astype(np.int64),
        )


def create() -> Mohaf:
    """The MOHAF mechanism."""
    return Mohaf()
