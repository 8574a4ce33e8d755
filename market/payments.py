"""What winners pay: micros per slot and hour, never under the owner's reserve or over the limit.

* ``pay_as_bid``: the limit itself.
* ``uniform``: what the slot costs at the standing prices of the cell that serves it, one price
  for all who buy there, raised to the owner's reserve and lowered to the bid's own limit where
  the standing price has not yet followed the market.
* ``critical``: for each slot the least limit with which the bid would still have won it (Lehmann,
  O'Callaghan, Shoham, JACM 2002). All or nothing, that is one limit; a bid that takes parts pays
  each at its own step, as in Myerson's payments (Math. Oper. Res. 1981): were all slots charged at
  the last one's, asking for less would pay.
* ``vcg``: the loss that the winner causes to all others, in money; of the exact optimum only
  (``market.solvers.exact``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from market.money import div_ceil
from market.snapshot import Indices, Ints, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """So many further slots are won with this limit, micros per slot and hour, and not below."""

    limit: int
    slots: int


def pay_as_bid(snapshot: Snapshot, bid: Indices) -> Ints:
    """(k,) each bid's limit."""
    return snapshot.bids.limit[bid]


def uniform(snapshot: Snapshot, bid: Indices, ask: Indices, reserve_rate: Ints) -> Ints:
    """(k,) the slot at the standing price of the ask's cell, rounded up (the owner gains)."""
    unit = snapshot.standing_price[snapshot.asks.cell[ask]] / snapshot.priced_units
    rate = np.einsum("kr,kr->k", snapshot.bids.demand[bid].astype(np.float64), unit)
    return bounded(snapshot, bid, reserve_rate, np.ceil(np.minimum(rate, 2.0**62)))


def critical(
    snapshot: Snapshot,
    bid: Indices,
    count: Ints,
    reserve_rate: Ints,
    steps: Mapping[int, Sequence[Step]],
) -> Ints:
    """(k,) each slot at its own step, the cheapest owner's first, as a mean over the match.

    A mean is rounded up to a micro (the owner gains).
    """
    rate = np.zeros(len(bid), np.int64)
    owed = {winner: _each_slot(of_winner) for winner, of_winner in steps.items()}
    for k in np.lexsort((reserve_rate, bid)).tolist():
        slots = int(count[k])
        rate[k] = div_ceil(_sum_of_next(owed[int(bid[k])], slots), slots)
    return bounded(snapshot, bid, reserve_rate, rate)


def _each_slot(steps: Sequence[Step]) -> list[list[int]]:
    """[limit, slots left at it] of every step, the highest first."""
    return [[step.limit, step.slots] for step in reversed(steps)]


def _sum_of_next(left: list[list[int]], slots: int) -> int:
    """What the next so many slots come to; they are taken off ``left``."""
    total = 0
    while slots > 0:
        taken = min(slots, left[-1][1])
        total += taken * left[-1][0]
        slots -= taken
        left[-1][1] -= taken
        if left[-1][1] == 0:
            left.pop()
    return total


def bounded(snapshot: Snapshot, bid: Indices, reserve_rate: Ints, rate: Ints | np.ndarray) -> Ints:
    """(k,) ``rate`` as integers between the owner's reserve and the bid's limit."""
    limit = snapshot.bids.limit[bid]
    return np.clip(np.asarray(rate).astype(np.int64), reserve_rate, np.maximum(limit, reserve_rate))
