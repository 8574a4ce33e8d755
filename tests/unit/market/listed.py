"""The simple baselines by the plain way: every feasible pair listed, Python over the bids."""

import numpy as np

from market.mechanisms._sequential import dearest_first, sequential, standing_rates
from market.mechanisms.bilateral import PEERS_MET
from market.mechanisms.greedy import Candidates, allocate, candidates, fill, ranking
from market.snapshot import Floats, Indices, Ints, Snapshot

Matches = tuple[Indices, Indices, Ints]


def greedy(snapshot: Snapshot) -> Matches:
    pairs = candidates(snapshot)
    return allocate(snapshot, pairs, ranking(snapshot, pairs))


def first_price(snapshot: Snapshot) -> Matches:
    pairs = candidates(snapshot)
    return sequential(
        snapshot,
        pairs,
        dearest_first(snapshot),
        lambda found, row: found.reserve_rate[row].astype(np.float64),
    )


def random(snapshot: Snapshot) -> Matches:
    rng = np.random.default_rng(snapshot.seed)
    return sequential(
        snapshot,
        candidates(snapshot),
        rng.permutation(len(snapshot.bids)).astype(np.int32),
        lambda _, row: rng.random(row.stop - row.start),
    )


def posted_price(snapshot: Snapshot) -> Matches:
    everyone = candidates(snapshot)
    rate = standing_rates(snapshot, everyone)
    paid = rate <= snapshot.bids.limit[rows_of(everyone)]
    posted = rate[paid]
    arrivals = np.arange(len(snapshot.bids), dtype=np.int32)
    return sequential(
        snapshot, everyone.keep(paid), arrivals, lambda _, row: posted[row].astype(np.float64)
    )


def bilateral(snapshot: Snapshot) -> Matches:
    rng = np.random.default_rng(snapshot.seed)
    pairs, bids = candidates(snapshot), snapshot.bids
    free = snapshot.asks.capacity.copy()
    matches: list[tuple[int, int, int]] = []
    for bid in rng.permutation(len(bids)).tolist():
        met = rng.permutation(np.arange(pairs.start[bid], pairs.start[bid + 1]))[:PEERS_MET]
        met = met[np.argsort(-pairs.density[met], kind="stable")]
        found = fill(free, pairs.ask[met], bids.demand[bid], int(bids.count[bid]))
        if found and sum(count for _, count in found) >= bids.count_min[bid]:
            for ask, count in found:
                free[ask] -= bids.demand[bid] * count
                matches.append((bid, ask, count))
    table = np.array(matches, dtype=np.int64).reshape(-1, 3)
    return table[:, 0].astype(np.int32), table[:, 1].astype(np.int32), table[:, 2]


def mohaf(snapshot: Snapshot) -> Matches:
    pairs, bids = candidates(snapshot), snapshot.bids
    row = rows_of(pairs)
    fits = (bids.demand[row] <= snapshot.asks.capacity[pairs.ask]).all(axis=1)
    fits &= bids.count_min[row] <= 1
    open_bid, open_ask = np.ones(len(bids), bool), np.ones(len(snapshot.asks), bool)
    won = []
    order = np.argsort(-pairs.density, kind="stable")
    for k in order[fits[order]].tolist():
        if open_bid[row[k]] and open_ask[pairs.ask[k]]:
            open_bid[row[k]] = open_ask[pairs.ask[k]] = False
            won.append(k)
    chosen = np.array(won, np.int64)
    return row[chosen], pairs.ask[chosen], np.ones(len(chosen), np.int64)


def best_loser(snapshot: Snapshot, lost: Indices, worth: Floats, ask: int) -> float:
    """The highest of ``worth`` (n,) among the bids ``lost`` that could use ``ask``; 0: none."""
    pairs = candidates(snapshot)
    row = rows_of(pairs)
    able = row[(pairs.ask == ask) & np.isin(row, lost)]
    return float(worth[able].max(initial=0.0))


def rows_of(pairs: Candidates) -> Indices:
    """(k,) the bid of each pair."""
    bids = len(pairs.start) - 1
    return np.repeat(np.arange(bids, dtype=np.int32), np.diff(pairs.start))


MECHANISMS = {
    "first_price": first_price,
    "vickrey": first_price,  # the same allocation
    "random": random,
    "posted_price": posted_price,
    "bilateral": bilateral,
    "mohaf": mohaf,
}
