"""Baseline: bids in random order, each on random feasible asks."""

import numpy as np

from market.kernels.scanning import by_lists
from market.mechanisms._scanning import Scan, bound_of
from market.outcome import complete
from market.plan import Plan
from market.snapshot import Snapshot


class Random:
    """Chance, by the snapshot's seed."""

    name = "random"

    def clear(self, snapshot: Snapshot, *, budget_ms: int) -> Plan:
        """One pass; the budget is not needed."""
        rng = np.random.default_rng(snapshot.seed)
        scan = Scan.of(snapshot)
        free = snapshot.asks.capacity.copy()
        order = rng.permutation(len(snapshot.bids)).astype(np.int32)
        parts = [np.zeros((0, 3), np.int64)]
        for turns, row, ask in scan.rows(order):
            parts.append(by_lists(turns, row, ask, rng.random(len(ask)), scan.buys, free))
        matches = np.concatenate(parts)
        return complete(
            snapshot,
            mechanism=self.name,
            bid=matches[:, 0].astype(np.int32),
            ask=matches[:, 1].astype(np.int32),
            count=matches[:, 2],
            bound=bound_of(snapshot, scan.best()),
        )


def create() -> Random:
    """The random mechanism."""
    return Random()
