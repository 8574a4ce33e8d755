"""What winners pay: micros per slot and hour, never under the owner's reserve or over the limit.

* ``pay_as_bid``: the limit itself.
* ``uniform``: what the slot costs at the standing prices of the cell that serves it, one price
  for all who buy there, raised to the owner's reserve and lowered to the bid's own limit where
  the standing price has not yet followed the market.
* ``critical``: the least limit with which the bid would still have won as many slots
  (Lehmann, O'Callaghan, Shoham, JACM 2002): found by asking the mechanism again.
* ``vcg``: the loss that the winner causes to all others, in money; of the exact optimum only
  (``market.solvers.exact``).
"""

from collections.abc import Callable

import numpy as np

from market.snapshot import Indices, Ints, Snapshot

Wins = Callable[[int, int], bool]  # would bid i, with this limit, be served as now?


def pay_as_bid(snapshot: Snapshot, bid: Indices) -> Ints:
    """(k,) each bid's limit."""
    return snapshot.bids.limit[bid]


def uniform(snapshot: Snapshot, bid: Indices, ask: Indices, reserve_rate: Ints) -> Ints:
    """(k,) the slot at the standing price of the ask's cell, rounded up (the owner gains)."""
    unit = snapshot.standing_price[snapshot.asks.cell[ask]] / snapshot.priced_units
    rate = np.einsum("kr,kr->k", snapshot.bids.demand[bid].astype(np.float64), unit)
    return bounded(snapshot, bid, reserve_rate, np.ceil(np.minimum(rate, 2.0**62)))


def critical(snapshot: Snapshot, bid: Indices, reserve_rate: Ints, wins: Wins) -> Ints:
    """(k,) the least limit that still wins, by bisection over whole micros.

    ``wins`` must be monotone: once a limit wins, every higher one does.
    """
    least = {
        int(winner): least_winning_limit(int(winner), int(snapshot.bids.limit[winner]), wins)
        for winner in np.unique(bid)
    }
    rate = np.array([least[int(winner)] for winner in bid], dtype=np.float64)
    return bounded(snapshot, bid, reserve_rate, rate)


def least_winning_limit(bid: int, limit: int, wins: Wins) -> int:
    """The least whole limit ≤ ``limit`` with which ``bid`` wins; ``limit`` itself must win."""
    low, high = -1, limit  # low loses, high wins
    while high - low > 1:
        middle = (low + high) // 2
        if wins(bid, middle):
            high = middle
        else:
            low = middle
    return high


def bounded(snapshot: Snapshot, bid: Indices, reserve_rate: Ints, rate: Ints | np.ndarray) -> Ints:
    """(k,) ``rate`` as integers between the owner's reserve and the bid's limit."""
    limit = snapshot.bids.limit[bid]
    return np.clip(np.asarray(rate).astype(np.int64), reserve_rate, np.maximum(limit, reserve_rate))
