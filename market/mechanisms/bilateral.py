"""Baseline: decentralised bilateral trading, no round and no centre.

Each bid in random order meets a few random feasible asks, as a client that knows only some peers,
and takes the best of those with room; they split the gain, (reserve + limit) / 2, as in zero-
intelligence trading (Gode, Sunder, JPE 1993).
"""

import numpy as np

from market.mechanisms._sequential import candidates, simple_bound
from market.mechanisms.greedy import fill
from market.outcome import complete
from market.plan import Plan
from market.snapshot import Snapshot

PEERS_MET = 8


class Bilateral:
    """Random meetings, the gain split."""

    name = "bilateral"

    def clear(self, snapshot: Snapshot, *, budget_ms: int) -> Plan:
        """One pass; the budget is not needed."""
        rng = np.random.default_rng(snapshot.seed)
        pairs = candidates(snapshot)
        bids = snapshot.bids
        free = snapshot.asks.capacity.copy()
        matches: list[tuple[int, int, int, int]] = []
        for bid in rng.permutation(len(bids)).tolist():
            row = np.arange(pairs.start[bid], pairs.start[bid + 1])
            met = rng.permutation(row)[:PEERS_MET]
            met = met[np.argsort(-pairs.density[met], kind="stable")]
            found = fill(free, pairs.ask[met], bids.demand[bid], int(bids.count[bid]))
            if not found or sum(count for _, count in found) < bids.count_min[bid]:
                continue
            reserve = dict(
                zip(pairs.ask[met].tolist(), pairs.reserve_rate[met].tolist(), strict=True)
            )
            for ask, count in found:
                free[ask] -= bids.demand[bid] * count
                matches.append((bid, ask, count, (reserve[ask] + int(bids.limit[bid])) // 2))
        table = np.array(matches, dtype=np.int64).reshape(-1, 4)
        return complete(
            snapshot,
            mechanism=self.name,
            bid=table[:, 0].astype(np.int32),
            ask=table[:, 1].astype(np.int32),
            count=table[:, 2],
            bound=simple_bound(snapshot, pairs),
            rate=table[:, 3],
        )


def create() -> Bilateral:
    """The bilateral mechanism."""
    return Bilateral()
