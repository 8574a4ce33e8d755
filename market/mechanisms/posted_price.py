"""Baseline: the standing price is posted; bids come in order of arrival and take it or leave it."""

import numpy as np

from market.mechanisms._scanning import BY_POSTED, Scan, bound_of
from market.mechanisms._sequential import rates_at_standing
from market.outcome import complete
from market.plan import Plan
from market.snapshot import Snapshot

PRICES = "uniform"


class PostedPrice:
    """First come, first served at the standing price."""

    name = "posted_price"

    def clear(self, snapshot: Snapshot, *, budget_ms: int) -> Plan:
        """One pass; the budget is not needed."""
        scan = Scan.of(snapshot)
        arrivals = np.arange(len(snapshot.bids), dtype=np.int32)
        bid, ask, count = scan.by_turns(BY_POSTED, arrivals)
        return complete(
            snapshot,
            mechanism=self.name,
            bid=bid,
            ask=ask,
            count=count,
            bound=bound_of(snapshot, scan.best()),
            rate=rates_at_standing(snapshot, bid, ask),
        )


def create() -> PostedPrice:
    """The posted-price mechanism."""
    return PostedPrice()
