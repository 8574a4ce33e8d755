"""The first plan: items by falling reduced value, each to the best of its nodes that has room.

Order by reduced value serves first who loses most by waiting; the guide price keeps scarce nodes
for those who need them (greedy by reduced value, the primal half of Lagrangian relaxation).
"""

import numpy as np
from numba import njit

from market.kernels.scan import NOWHERE
from market.snapshot import Floats, Ints


@njit(cache=True)
def construct(order, nodes, values, demand, price, capacity):
    """``(at (n,), worth (n,), free (m, R))``: each item's node (−1 none), its value, what is left.

    ``price`` and ``capacity`` are (m, R).
    """
    n, width = nodes.shape
    resources = demand.shape[1]
    free = capacity.copy()
    at = np.full(n, -1, np.int64)
    worth = np.zeros(n)
    for o in range(n):
        i = order[o]
        chosen = -1
        best = NOWHERE
        for p in range(width):
            j = nodes[i, p]
            if j < 0:
                break
            if values[i, p] <= 0:
                continue
            room = True
            x = values[i, p]
            for r in range(resources):
                room &= demand[i, r] <= free[j, r]
                x -= demand[i, r] * price[j, r]
            if room and x > best:
                best = x
                chosen = p
        if chosen >= 0:
            j = nodes[i, chosen]
            at[i] = j
            worth[i] = values[i, chosen]
            for r in range(resources):
                free[j, r] -= demand[i, r]
    return at, worth, free


def order_by_need(reduced: Floats) -> Ints:
    """Items by falling best reduced value (n,); ties keep their order."""
    return np.argsort(-reduced, kind="stable")
