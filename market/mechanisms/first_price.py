"""Baseline: the dearest bid for its size goes first, to the cheapest ask, and pays its limit."""

from market.mechanisms._sequential import (
    candidates,
    dearest_first,
    sequential,
    simple_bound,
)
from market.outcome import complete
from market.plan import Plan
from market.snapshot import Snapshot


class FirstPrice:
    """Sealed bids, highest first, pay as bid."""

    name = "first_price"

    def clear(self, snapshot: Snapshot, *, budget_ms: int) -> Plan:
        """One pass; the budget is not needed."""
        pairs = candidates(snapshot)
        bid, ask, count = sequential(
            snapshot,
            pairs,
            dearest_first(snapshot),
            lambda found, row: found.reserve_rate[row].astype(float),
        )
        return complete(
            snapshot,
            mechanism=self.name,
            bid=bid,
            ask=ask,
            count=count,
            bound=simple_bound(snapshot, pairs),
            rate=snapshot.bids.limit[bid],
        )


def create() -> FirstPrice:
    """The first-price mechanism."""
    return FirstPrice()
