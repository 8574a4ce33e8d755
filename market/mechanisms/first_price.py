"""Baseline: the dearest bid for its size goes first, to the cheapest ask, and pays its limit."""

from market.mechanisms._scanning import BY_RESERVE, Scan, bound_of
from market.mechanisms._sequential import dearest_first
from market.outcome import complete
from market.plan import Plan
from market.snapshot import Snapshot

PRICES = "pay_as_bid"


class FirstPrice:
    """Sealed bids, highest first, pay as bid."""

    name = "first_price"

    def clear(self, snapshot: Snapshot, *, budget_ms: int) -> Plan:
        """One pass; the budget is not needed."""
        scan = Scan.of(snapshot)
        bid, ask, count = scan.by_turns(BY_RESERVE, dearest_first(snapshot))
        return complete(
            snapshot,
            mechanism=self.name,
            bid=bid,
            ask=ask,
            count=count,
            bound=bound_of(snapshot, scan.best()),
            rate=snapshot.bids.limit[bid],
        )


def create() -> FirstPrice:
    """The first-price mechanism."""
    return FirstPrice()
