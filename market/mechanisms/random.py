"""Baseline: bids in random order, each on random feasible asks."""

import numpy as np

from market.mechanisms._sequential import candidates, sequential, simple_bound
from market.outcome import complete
from market.plan import Plan
from market.snapshot import Snapshot


class Random:
    """Chance, by the snapshot's seed."""

    name = "random"

    def clear(self, snapshot: Snapshot, *, budget_ms: int) -> Plan:
        """One pass; the budget is not needed."""
        rng = np.random.default_rng(snapshot.seed)
        pairs = candidates(snapshot)
        bid, ask, count = sequential(
            snapshot,
            pairs,
            rng.permutation(len(snapshot.bids)).astype(np.int32),
            lambda _, row: rng.random(row.stop - row.start),
        )
        bound = simple_bound(snapshot, pairs)
        return complete(snapshot, mechanism=self.name, bid=bid, ask=ask, count=count, bound=bound)


def create() -> Random:
    """The random mechanism."""
    return Random()
