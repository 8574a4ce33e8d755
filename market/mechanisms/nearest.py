"""Bilateral trade at the standing price: each bid buys of the nearest node with room, at once.

A client whose link degrades buys extra capacity of the nearest cluster while the slower handover
runs (short-term allocation, arXiv 2005.04326); here it is how a running job tops up and how a
lease moves. The price is the standing one of the node's cell, at least the owner's reserve; a node
that is dearer than the bid's limit is passed over. Nothing moves the standing price: a trade
between two is no market.
"""

from dataclasses import replace

import numpy as np

from market import score
from market.mechanisms._sequential import candidates, sequential, simple_bound, standing_rates
from market.outcome import complete
from market.plan import Plan
from market.snapshot import Snapshot

PRICES = "uniform"


class Nearest:
    """First come, first served by the nearest; of equally near ones by the cheapest."""

    name = "nearest"

    def clear(self, snapshot: Snapshot, *, budget_ms: int) -> Plan:
        """One pass; the budget is not needed."""
        everyone = candidates(snapshot)
        rate = standing_rates(snapshot, everyone)
        row = np.repeat(np.arange(len(snapshot.bids), dtype=np.int32), np.diff(everyone.start))
        paid = rate <= snapshot.bids.limit[row]
        pairs, rate, row = everyone.keep(paid), rate[paid], row[paid]
        far = score.latencies(snapshot, row, pairs.ask)
        place = np.empty(len(far))
        place[np.lexsort((rate, far))] = np.arange(len(far))
        bid, ask, count = sequential(
            snapshot,
            pairs,
            np.arange(len(snapshot.bids), dtype=np.int32),
            lambda _, part: place[part],
        )
        agreed = {(int(i), int(j)): int(p) for i, j, p in zip(row, pairs.ask, rate, strict=True)}
        plan = complete(
            snapshot,
            mechanism=self.name,
            bid=bid,
            ask=ask,
            count=count,
            bound=simple_bound(snapshot, everyone),
            rate=np.array(
                [agreed[key] for key in zip(bid.tolist(), ask.tolist(), strict=True)],
                dtype=np.int64,
            ),
        )
        return replace(plan, standing_price=snapshot.standing_price)


def create() -> Nearest:
    """The nearest mechanism."""
    return Nearest()
