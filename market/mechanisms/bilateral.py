"""Baseline: decentralised bilateral trading, no round and no centre.

Each bid in random order meets a few random feasible asks, as a client that knows only some peers,
and takes the best of those with room; they split the gain, (reserve + limit) / 2, as in zero-
intelligence trading (Gode, Sunder, JPE 1993).
"""

import numpy as np

from market import score
from market.feasible import reserve_rates
from market.kernels.scanning import by_lists
from market.mechanisms._scanning import Scan, bound_of
from market.outcome import complete
from market.plan import Plan
from market.snapshot import Indices, Ints, Snapshot

PRICES = "own"
PEERS_MET = 8


class Bilateral:
    """Random meetings, the gain split."""

    name = "bilateral"

    def clear(self, snapshot: Snapshot, *, budget_ms: int) -> Plan:
        """One pass; the budget is not needed."""
        rng = np.random.default_rng(snapshot.seed)
        scan = Scan.of(snapshot)
        free = snapshot.asks.capacity.copy()
        parts = [np.zeros((0, 3), np.int64)]
        for turns, row, ask in scan.rows(rng.permutation(len(snapshot.bids)).astype(np.int32)):
            row, ask = _met(rng, row, ask)
            key = -score.densities(snapshot, np.repeat(turns, np.diff(row)), ask)
            parts.append(by_lists(turns, row, ask, key, scan.buys, free))
        matches = np.concatenate(parts)
        bid, ask = matches[:, 0].astype(np.int32), matches[:, 1].astype(np.int32)
        return complete(
            snapshot,
            mechanism=self.name,
            bid=bid,
            ask=ask,
            count=matches[:, 2],
            bound=bound_of(snapshot, scan.best()),
            rate=(reserve_rates(snapshot, bid, ask) + snapshot.bids.limit[bid]) // 2,
        )


def create() -> Bilateral:
    """The bilateral mechanism."""
    return Bilateral()


def _met(rng: np.random.Generator, row: Ints, ask: Indices) -> tuple[Ints, Indices]:
    """(start of each list, asks): of each of the lists a few, drawn and in the order drawn."""
    met = [
        ask[rng.permutation(np.arange(low, high))[:PEERS_MET]]
        for low, high in zip(row[:-1].tolist(), row[1:].tolist(), strict=True)
    ]
    start = np.concatenate([[0], np.cumsum([len(some) for some in met])]).astype(np.int64)
    return start, np.concatenate([np.zeros(0, np.int32), *met])
