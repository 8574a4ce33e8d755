"""Baseline: MOHAF as published (Agrawal et al., arXiv 2508.14830), on the market's own rounds.

Greedy by largest marginal gain of its utility, one bid an ask (each ask serves one slot only), its
payment min{ρ·d·(0.8 + 0.4·U), B} with ρ the standing price; hard constraints are kept, which the
published code does not do. As in the paper a bid's utility is not weighted by its size. Pairs
are listed and sorted in slices of their utility, so that memory stays bounded. Its own utility,
instance and Table 1 are in ``sim.mohaf_paper``.
"""

from collections.abc import Iterator

import numpy as np

from market import score
from market.kernels import slices
from market.mechanisms._scanning import PAIRS_PER_LIST_MAX, Scan, bound_of
from market.mechanisms._sequential import rates_at_standing
from market.outcome import complete
from market.plan import Plan
from market.snapshot import Indices, Ints, Snapshot

PRICES = "own"


class Mohaf:
    """One-to-one greedy on the unweighted multi-objective utility."""

    name = "mohaf"

    def clear(self, snapshot: Snapshot, *, budget_ms: int) -> Plan:
        """One pass over the pairs by utility; the budget is not needed."""
        scan = Scan.of(snapshot)
        bid, ask = matching(scan)
        factor = 0.8 + 0.4 * score.densities(snapshot, bid, ask)
        rate = rates_at_standing(snapshot, bid, ask) * factor
        return complete(
            snapshot,
            mechanism=self.name,
            bid=bid,
            ask=ask,
            count=np.ones(len(bid), np.int64),
            bound=bound_of(snapshot, scan.best()),
            rate=np.minimum(rate, 2.0**62).astype(np.int64),
        )


def create() -> Mohaf:
    """The MOHAF mechanism."""
    return Mohaf()


def matching(scan: Scan) -> tuple[Indices, Indices]:
    """(bid, ask) of each match, the pair of highest utility first."""
    arrays, free = (scan.buys, scan.sells, scan.common), scan.free()
    served = scan.buys.least > 1  # one slot would be nothing to them
    taken = np.zeros(len(free), np.bool_)
    counts = np.zeros(slices.BINS, np.int64)
    slices.count_keys(np.flatnonzero(~served).astype(np.int32), *arrays, free, counts)
    found = [(np.zeros(0, np.int32), np.zeros(0, np.int32))]
    for low, high, pairs in _runs(counts):
        if taken.all():
            break
        turns = np.flatnonzero(~served).astype(np.int32)
        bid, place, key = slices.pairs_between(low, high, pairs, turns, taken, *arrays, free)
        ask = scan.sells.ask[place]
        order = np.argsort(key, kind="stable")
        if (np.diff(key[order]) == 0).any():  # equals: the first bid, then the first ask
            order = np.lexsort((ask, bid, key))
        won = slices.one_to_one(order, bid, place, served, taken)
        found.append((bid[won], ask[won]))
    bids, asks = zip(*found, strict=True)
    return np.concatenate(bids), np.concatenate(asks)


def _runs(counts: Ints) -> Iterator[tuple[int, int, int]]:
    """(first bin, end, pairs) of runs of bins that can be listed at once; single ones always."""
    low, pairs = 0, 0
    for at in np.flatnonzero(counts).tolist():
        if pairs and pairs + int(counts[at]) > PAIRS_PER_LIST_MAX:
            yield low, at, pairs
            low, pairs = at, 0
        pairs += int(counts[at])
    if pairs:
        yield low, len(counts), pairs
