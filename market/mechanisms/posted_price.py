"""Baseline: the standing price is posted; bids come in order of arrival and take it or leave it."""

import numpy as np

from market.mechanisms._sequential import (
    candidates,
    sequential,
    simple_bound,
    standing_rates,
)
from market.outcome import complete
from market.plan import Plan
from market.snapshot import Snapshot


class PostedPrice:
    """First come, first served at the standing price."""

    name = "posted_price"

    def clear(self, snapshot: Snapshot, *, budget_ms: int) -> Plan:
        """One pass; the budget is not needed."""
        everyone = candidates(snapshot)
        rate = standing_rates(snapshot, everyone)
        row = np.repeat(np.arange(len(snapshot.bids)), np.diff(everyone.start))
        pairs = everyone.keep(rate <= snapshot.bids.limit[row])
        posted = rate[rate <= snapshot.bids.limit[row]]
        bid, ask, count = sequential(
            snapshot,
            pairs,
            np.arange(len(snapshot.bids), dtype=np.int32),
            lambda _, part: posted[part].astype(float),
        )
        price = {
            (int(i), int(j)): int(p)
            for i, j, p in zip(
                np.repeat(np.arange(len(snapshot.bids)), np.diff(pairs.start)),
                pairs.ask,
                posted,
                strict=True,
            )
        }
        paid = [price[i, j] for i, j in zip(bid.tolist(), ask.tolist(), strict=True)]
        return complete(
            snapshot,
            mechanism=self.name,
            bid=bid,
            ask=ask,
            count=count,
            bound=simple_bound(snapshot, everyone),
            rate=np.array(paid, dtype=np.int64),
        )


def create() -> PostedPrice:
    """The posted-price mechanism."""
    return PostedPrice()
