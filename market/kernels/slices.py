"""Kernels that go through all pairs by score in slices, each small enough to be listed and sorted.

A first pass counts the pairs by bins of their key; slices are runs of bins. Bids and asks that are
taken in one slice are not listed in the next, so the later ones are short.
"""

import numpy as np

from market.kernels.scanning import (
    BY_SCORE,
    NO_KEY,
    NOT_ABLE,
    Buys,
    Common,
    Sells,
    distance_to,
    exact,
    expense_at,
    fits,
    key_at,
    least_key,
    nearness,
)
from market.snapshot import Bools, Floats, Indices, Ints

BINS = 1 << 16  # of keys from −1 to 0: minus the score
EDGE = 1e-9  # beyond the end of a bin, so that no key of its is passed over


@exact
def bin_of(key: float) -> int:
    """The bin of a key; monotone."""
    return int(min(max((key + 1.0) * BINS, 0.0), BINS - 1.0))


@exact
def count_keys(
    turns: Indices, buys: Buys, sells: Sells, common: Common, free: Ints, counts: Ints
) -> None:
    """Adds to ``counts`` (BINS,) every pair of a bid in ``turns`` and an ask with room for it."""
    want, kind, zone, demand, _, _ = buys
    have, best, _, start, block_zone, block_kind, reserve = sells
    refused, latency, priced, weight = common
    for i in turns:
        for b in range(len(block_zone)):
            distance = distance_to(
                want, i, zone[i], kind[i], block_zone[b], block_kind[b], refused, latency
            )
            if distance == NOT_ABLE or expense_at(want, i, best, b) == NOT_ABLE:
                continue
            near = nearness(want, i, distance)
            for j in range(start[b], start[b + 1]):
                if fits(demand, i, free, j):
                    key = key_at(
                        BY_SCORE, want, demand, i, have, reserve, j, near, weight, priced, NO_KEY
                    )
                    if key < NO_KEY:
                        counts[bin_of(key)] += 1


@exact
def pairs_between(
    low: int,
    high: int,
    size: int,
    turns: Indices,
    taken: Bools,
    buys: Buys,
    sells: Sells,
    common: Common,
    free: Ints,
) -> tuple[Indices, Indices, Floats]:
    """(bid, place in block order, key) of up to ``size`` pairs in bins ``[low, high)``.

    Of bids in ``turns`` and of asks that are not ``taken`` (m,) and have room.
    """
    want, kind, zone, demand, _, _ = buys
    have, best, _, start, block_zone, block_kind, reserve = sells
    refused, latency, priced, weight = common
    bid, place = np.empty(size, np.int32), np.empty(size, np.int32)
    keys, found = np.empty(size, np.float64), 0
    most = NO_KEY if high == BINS else high / BINS - 1.0 + EDGE
    for i in turns:
        for b in range(len(block_zone)):
            distance = distance_to(
                want, i, zone[i], kind[i], block_zone[b], block_kind[b], refused, latency
            )
            if distance == NOT_ABLE:
                continue
            near = nearness(want, i, distance)
            least = least_key(BY_SCORE, want, i, best, b, near, weight)
            if least == NO_KEY or bin_of(least) >= high:
                continue
            for j in range(start[b], start[b + 1]):
                if taken[j] or not fits(demand, i, free, j):
                    continue
                key = key_at(
                    BY_SCORE, want, demand, i, have, reserve, j, near, weight, priced, most
                )
                if key < NO_KEY and low <= bin_of(key) < high:
                    bid[found], place[found], keys[found] = i, j, key
                    found += 1
    return bid[:found].copy(), place[:found].copy(), keys[:found].copy()


@exact
def one_to_one(order: Ints, bid: Indices, place: Indices, served: Bools, taken: Bools) -> Ints:
    """The pairs, in ``order``, whose bid and ask are both still open; closes them."""
    won, size = np.empty(min(len(served), len(order)), np.int64), 0
    for k in order:
        if not served[bid[k]] and not taken[place[k]]:
            served[bid[k]] = taken[place[k]] = True
            won[size] = k
            size += 1
    return won[:size].copy()
